"""The table of all requests and their states."""

from __future__ import annotations

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from hpo_dispatcher.contract import names
from infra.settings import removal_policy

# Every team may read this partition: settings, templates and capacity.
SHARED_PARTITION = "#deployment"


class LedgerTable(Construct):
    """A table keyed by team and request id; a sparse index orders each team's queued requests."""

    def __init__(
        self, scope: Construct, id_: str, *, deployment: str, key: kms.IKey | None, retain: bool
    ) -> None:
        super().__init__(scope, id_)
        text = dynamodb.AttributeType.STRING
        encryption = dynamodb.TableEncryption
        self.table = dynamodb.Table(
            self,
            "Table",
            table_name=names.ledger_table(deployment),
            partition_key=dynamodb.Attribute(name="team", type=text),
            sort_key=dynamodb.Attribute(name="id", type=text),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            time_to_live_attribute=names.EXPIRES_AT,
            encryption=encryption.CUSTOMER_MANAGED if key else encryption.AWS_MANAGED,
            encryption_key=key,
            removal_policy=removal_policy(retain=retain),
        )
        self.table.add_global_secondary_index(
            index_name=names.LEDGER_INDEX,
            partition_key=dynamodb.Attribute(name="line", type=text),
            sort_key=dynamodb.Attribute(name="line_position", type=text),
            projection_type=dynamodb.ProjectionType.ALL,
        )

    def grant_dispatch(self, grantee: iam.IGrantable) -> None:
        """Grant reading and writing entries, without scans and table administration."""
        actions = [
            "GetItem",
            "BatchGetItem",
            "PutItem",
            "UpdateItem",
            "DeleteItem",
            "ConditionCheckItem",
        ]
        iam.Grant.add_to_principal(
            grantee=grantee,
            actions=[f"dynamodb:{action}" for action in actions],
            resource_arns=[self.table.table_arn],
        )
        iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["dynamodb:Query"],
            resource_arns=[
                self.table.table_arn,
                f"{self.table.table_arn}/index/{names.LEDGER_INDEX}",
            ],
        )
        if self.table.encryption_key:
            self.table.encryption_key.grant_encrypt_decrypt(grantee)

    def reader_statement(self, team: str) -> iam.PolicyStatement:
        """Return the statement that lets a team read its own entries and the shared documents."""
        return iam.PolicyStatement(
            sid="ReadOwnEntries",
            actions=["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"],
            resources=[
                self.table.table_arn,
                f"{self.table.table_arn}/index/{names.LEDGER_INDEX}",
            ],
            conditions={
                "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [team, SHARED_PARTITION]},
                # ForAllValues also matches an empty set: deny calls that name no partition.
                "Null": {"dynamodb:LeadingKeys": "false"},
            },
        )
