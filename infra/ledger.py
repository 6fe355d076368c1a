"""Every request and what became of it."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

# The partition that every team may read: settings, templates, capacity.
SHARED_PARTITION = "#deployment"


class Ledger(Construct):
    """A table keyed by team and request id; a sparse index holds each team's line."""

    def __init__(
        self, scope: Construct, id_: str, *, deployment: str, key: kms.IKey | None, retain: bool
    ) -> None:
        super().__init__(scope, id_)
        text = dynamodb.AttributeType.STRING
        encryption = dynamodb.TableEncryption
        self.table = dynamodb.Table(
            self,
            "Table",
            table_name=f"{deployment}-ledger",
            partition_key=dynamodb.Attribute(name="team", type=text),
            sort_key=dynamodb.Attribute(name="id", type=text),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            encryption=encryption.CUSTOMER_MANAGED if key else encryption.AWS_MANAGED,
            encryption_key=key,
            removal_policy=RemovalPolicy.RETAIN if retain else RemovalPolicy.DESTROY,
        )
        self.table.add_global_secondary_index(
            index_name="line",
            partition_key=dynamodb.Attribute(name="line", type=text),
            sort_key=dynamodb.Attribute(name="line_position", type=text),
            projection_type=dynamodb.ProjectionType.ALL,
        )

    def grant_dispatch(self, grantee: iam.IGrantable) -> None:
        """Read and write entries; no scans, no table administration."""
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
            resource_arns=[self.table.table_arn, f"{self.table.table_arn}/index/line"],
        )
        if self.table.encryption_key:
            self.table.encryption_key.grant_encrypt_decrypt(grantee)

    def reader_statement(self, team: str) -> iam.PolicyStatement:
        """A team's own entries and the shared documents, by the partition key."""
        return iam.PolicyStatement(
            sid="ReadOwnEntries",
            actions=["dynamodb:GetItem", "dynamodb:Query"],
            resources=[self.table.table_arn],
            conditions={
                "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [team, SHARED_PARTITION]},
                # "For all" of none holds, too: a call that names no partition is refused.
                "Null": {"dynamodb:LeadingKeys": "false"},
            },
        )
