"""The roles that training jobs run as: one for each team."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct, IConstruct

from hpo_dispatcher.contract import aws_limits, names
from infra.acknowledge import acknowledge, acknowledge_key_use, acknowledge_resource
from infra.settings import Guardrails

READ = ("s3:GetObject",)
# Checkpoints are written, and restored by SageMaker.
READ_AND_WRITE = ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload")


class TrainingRole(Construct):
    """The role of a team's training jobs.

    It reaches the team's workspace, the shared folders and what the settings open, in S3; else only
    what every training job needs.

    Args:
        scope: the stack.
        id_: unique in the stack.
        deployment: its name.
        team: whose training jobs run as the role.
        teams: all teams of the deployment.
        bucket: the artifact bucket.
        base: the permissions of every training job.
        rules: guardrails of the deployment and of the team.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        deployment: str,
        team: str,
        teams: Iterable[str],
        bucket: s3.IBucket,
        base: iam.IManagedPolicy,
        rules: Guardrails,
    ) -> None:
        super().__init__(scope, id_)
        self.role = iam.Role(
            self,
            "Role",
            role_name=names.training_role(deployment, team),
            description=f"Training jobs of the team {team}",
            assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"),
            managed_policies=[base],
        )
        own = names.team_folders(team)
        allow(self.role, READ_AND_WRITE, *map(bucket.arn_for_objects, (f"{each}*" for each in own)))
        allow(
            self.role,
            ["s3:ListBucket"],
            bucket.bucket_arn,
            conditions={"StringLike": {"s3:prefix": [f"{each}*" for each in own]}},
        )
        accept_folders(self.role, bucket, own, "SageMaker names the objects of a training job.")
        # The names of training jobs begin with the team, those of a direct campaign with another.
        grant_logs(self.role, map(names.tuning_job_prefix, (team, names.DIRECT)))
        _deny_logs(self.role, names.longer_prefixes(team, teams))
        grant_opened(self.role, rules)
        grant_keys(self.role, bucket, rules)
        if rules.vpc:
            grant_vpc(self.role)


def grant_logs(role: iam.Role, beginnings: Iterable[str]) -> None:
    """Grant writing to the log streams of training jobs whose names begin so."""
    for beginning in beginnings:
        streams = log_streams(role, beginning)
        allow(role, ["logs:PutLogEvents"], streams)
        acknowledge_resource(role, streams, "SageMaker names the log streams.")


def _deny_logs(role: iam.Role, beginnings: Sequence[str]) -> None:
    """Deny writing to the log streams of training jobs whose names begin so."""
    if beginnings:
        role.add_to_principal_policy(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                actions=["logs:PutLogEvents"],
                resources=[log_streams(role, each) for each in beginnings],
            )
        )


def log_streams(scope: IConstruct, beginning: str) -> str:
    """Return the ARN pattern of the log streams of training jobs whose names begin so."""
    return cdk.Stack.of(scope).format_arn(
        service="logs",
        resource="log-group",
        resource_name=f"{aws_limits.TRAINING_LOG_GROUP}:log-stream:{beginning}*",
        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
    )


def grant_opened(role: iam.Role, rules: Guardrails) -> None:
    """Grant access to the prefixes that the guardrails open."""
    for prefixes, actions in (
        (rules.input_prefixes, READ),
        (rules.output_prefixes, READ_AND_WRITE),
    ):
        for prefix in prefixes:
            bucket, _, path = prefix.removeprefix("s3://").partition("/")
            folder = path.rstrip("/*")
            arn = f"arn:{cdk.Aws.PARTITION}:s3:::{bucket}"
            objects = f"{arn}/{folder}/*" if folder else f"{arn}/*"
            # A channel may name the folder with or without its final slash.
            listed: dict[str, object] = {"StringLike": {"s3:prefix": [folder, f"{folder}/*"]}}
            allow(role, actions, objects)
            allow(role, ["s3:ListBucket"], arn, conditions=listed if folder else None)
            reason = "The settings allow training jobs this prefix."
            acknowledge_resource(role, objects, reason)


def grant_keys(role: iam.Role, bucket: s3.IBucket, rules: Guardrails) -> None:
    """Grant the use of the keys: volumes through a KMS grant, models and data directly."""
    if bucket.encryption_key:
        bucket.encryption_key.grant_encrypt_decrypt(role)
        acknowledge_key_use(role)
    if rules.volume_kms_key:
        allow(role, ["kms:CreateGrant"], key_arn(role, rules.volume_kms_key))
    if rules.output_kms_key:
        actions = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
        allow(role, actions, key_arn(role, rules.output_kms_key))


def key_arn(scope: IConstruct, key: str) -> str:
    """Return the ARN of a key that the guardrails name by ARN or id."""
    if key.startswith("arn:"):
        return key
    return cdk.Stack.of(scope).format_arn(service="kms", resource="key", resource_name=key)


def grant_vpc(role: iam.Role) -> None:
    """Grant the network interfaces that SageMaker attaches to the VPC as the training role."""
    actions = [
        "ec2:CreateNetworkInterface",
        "ec2:CreateNetworkInterfacePermission",
        "ec2:DeleteNetworkInterface",
        "ec2:DeleteNetworkInterfacePermission",
        "ec2:DescribeDhcpOptions",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
    ]
    allow(role, actions, "*")
    acknowledge(role, "IAM5[Resource::*]", "Actions on network interfaces precede their ids.")


def allow(
    role: iam.Role | iam.ManagedPolicy,
    actions: Sequence[str],
    *resources: str,
    conditions: dict[str, object] | None = None,
) -> None:
    """Add a statement to the policies of a role, or to a managed policy."""
    statement = iam.PolicyStatement(
        actions=list(actions), resources=list(resources), conditions=conditions
    )
    if isinstance(role, iam.Role):
        role.add_to_principal_policy(statement)
    else:
        role.add_statements(statement)


def accept_folders(
    role: IConstruct, bucket: s3.IBucket, folders: Iterable[str], reason: str
) -> None:
    """Acknowledge that a policy names all objects of some folders of the bucket."""
    name = cdk.Stack.of(bucket).get_logical_id(bucket.node.default_child)  # type: ignore[arg-type]
    for folder in folders:
        acknowledge(role, f"IAM5[Resource::<{name}.Arn>/{folder}*]", reason)
