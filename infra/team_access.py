"""The permissions of a team."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from hpo_dispatcher.contract import names
from infra.ledger import LedgerTable
from infra.notices import Notices
from infra.request_queue import RequestQueue


class TeamAccess(Construct):
    """A managed policy to attach to the users and roles of a team."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        deployment: str,
        team: str,
        queue: RequestQueue,
        ledger: LedgerTable,
        example_data: iam.PolicyStatement,
        notices: Notices | None = None,
    ) -> None:
        super().__init__(scope, id_)
        request_cycle = iam.PolicyStatement(
            sid="AskForACycle",
            actions=["events:PutEvents"],
            resources=[
                cdk.Stack.of(self).format_arn(
                    service="events", resource="event-bus", resource_name="default"
                )
            ],
            # ForAllValues checks all entries of a call, but also matches an empty set.
            conditions={
                "ForAllValues:StringEquals": {
                    "events:source": names.EVENT_SOURCE,
                    "events:detail-type": names.SUBMITTED_EVENT,
                },
                "Null": {"events:source": "false", "events:detail-type": "false"},
            },
        )
        statements = [
            *queue.sender_statements(),
            ledger.reader_statement(team),
            request_cycle,
            example_data,
        ]
        if notices:
            statements.append(notices.subscriber_statement())
        if key := ledger.table.encryption_key:
            statements.append(_use_of(key))
        self.policy = iam.ManagedPolicy(
            self,
            "Policy",
            managed_policy_name=f"{deployment}-{team}-team",
            description=f"Send tuning requests as {team}, and read what became of them",
            statements=statements,
        )


def _use_of(key: kms.IKey) -> iam.PolicyStatement:
    """Return the statement that lets SQS and DynamoDB use the key for the team."""
    region = f"{cdk.Aws.REGION}.{cdk.Aws.URL_SUFFIX}"
    services = [f"{service}.{region}" for service in ("sqs", "dynamodb")]
    return iam.PolicyStatement(
        sid="UseKeyThroughQueueAndLedger",
        actions=["kms:Decrypt", "kms:GenerateDataKey"],
        resources=[key.key_arn],
        conditions={"StringEquals": {"kms:ViaService": services}},
    )
