"""The permissions of a team."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from hpo_dispatcher.contract import aws_limits, names
from infra.acknowledge import acknowledge_resource
from infra.ledger import LedgerTable
from infra.notices import Notices
from infra.request_queue import RequestQueue
from infra.settings import Settings
from infra.training_role import accept_folders, key_arn, log_streams


class TeamAccess(Construct):
    """A managed policy to attach to the users and roles of a team.

    Args:
        scope: the stack.
        id_: unique in the stack.
        settings: of the deployment, or of a target under its name.
        team: the team.
        queue: its queues; None on a target.
        ledger: the ledger; None on a target.
        bucket: the artifact bucket.
        notices: its topic, if it has one.
        deployment: the name in the tags of its jobs; None: that of the settings.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        team: str,
        queue: RequestQueue | None,
        ledger: LedgerTable | None,
        bucket: s3.IBucket,
        notices: Notices | None = None,
        deployment: str | None = None,
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
        sending: list[iam.PolicyStatement] = []
        if queue and ledger:
            sending = [*queue.sender_statements(), ledger.reader_statement(team), request_cycle]
        statements = [
            *sending,
            *_folders(bucket, team),
            *self._jobs(deployment or settings.name, team),
            *self._logs(team, settings.teams),
        ]
        if notices:
            statements.append(notices.subscriber_statement())
        encrypted_with = ledger.table.encryption_key if ledger else bucket.encryption_key
        keys = [key.key_arn for key in (encrypted_with,) if key]
        if output_key := settings.rules_of(team).output_kms_key:
            keys.append(key_arn(self, output_key))
        if keys:
            statements.append(_use_of(keys))
        self.policy = iam.ManagedPolicy(
            self,
            "Policy",
            managed_policy_name=f"{settings.name}-{team}-team",
            description=(
                f"Send tuning requests as {team}, and read what became of them"
                if queue
                else f"Read and write what tuning jobs of {team} use here, and follow them"
            ),
            statements=statements,
        )
        self._accept_wildcards(bucket, team)

    def _accept_wildcards(self, bucket: s3.IBucket, team: str) -> None:
        folders = (*names.team_folders(team), names.SHARED_PREFIX)
        accept_folders(self.policy, bucket, folders, "A team chooses the names of its files.")
        group = self._training_logs()
        streams = "SageMaker names the log streams."
        acknowledge_resource(self.policy, f"{group}:*", streams)
        acknowledge_resource(self.policy, log_streams(self, names.tuning_job_prefix(team)), streams)
        for kind in ("hyper-parameter-tuning-job", "training-job"):
            reason = "The names of jobs derive from requests; a condition checks their tags."
            acknowledge_resource(self.policy, self._of_team(kind, team), reason)

    def _jobs(self, deployment: str, team: str) -> Iterator[iam.PolicyStatement]:
        """Yield the statements that let a team follow its tuning jobs and their training jobs.

        The names of jobs do not distinguish teams whose names share a beginning. The dispatcher
        tags each tuning job, and SageMaker gives the tags to its training jobs: API reference,
        CreateHyperParameterTuningJob, Tags.
        """
        actions = {
            "hyper-parameter-tuning-job": [
                "sagemaker:DescribeHyperParameterTuningJob",
                "sagemaker:ListTrainingJobsForHyperParameterTuningJob",
                "sagemaker:ListTags",
            ],
            "training-job": ["sagemaker:DescribeTrainingJob", "sagemaker:ListTags"],
        }
        tags = {
            f"aws:ResourceTag/{names.TAG_TEAM}": team,
            f"aws:ResourceTag/{names.TAG_DEPLOYMENT}": deployment,
        }
        for kind, allowed in actions.items():
            yield iam.PolicyStatement(
                actions=allowed,
                resources=[self._of_team(kind, team)],
                conditions={"StringEquals": tags},
            )

    def _of_team(self, kind: str, team: str) -> str:
        """Return the ARN pattern of the jobs whose names begin with a team's name."""
        stack = cdk.Stack.of(self)
        name = f"{names.tuning_job_prefix(team)}*"
        return stack.format_arn(service="sagemaker", resource=kind, resource_name=name)

    def _logs(self, team: str, teams: Iterable[str]) -> Iterator[iam.PolicyStatement]:
        """Yield the statements that let a team read the logs of its training jobs.

        Log streams have no tags: "Actions, resources, and condition keys for Amazon CloudWatch
        Logs" in the Service Authorization Reference. FilterLogEvents cannot be limited to streams.
        """
        group = self._training_logs()
        yield iam.PolicyStatement(
            sid="FindLogStreams",
            actions=["logs:DescribeLogStreams"],
            resources=[group, f"{group}:*"],
        )
        yield iam.PolicyStatement(
            sid="ReadOwnLogs",
            actions=["logs:GetLogEvents"],
            resources=[log_streams(self, names.tuning_job_prefix(team))],
        )
        alike = names.longer_prefixes(team, teams)
        if alike:
            yield iam.PolicyStatement(
                sid="NotOfTeamsNamedAlike",
                effect=iam.Effect.DENY,
                actions=["logs:GetLogEvents"],
                resources=[log_streams(self, prefix) for prefix in alike],
            )

    def _training_logs(self) -> str:
        """Return the ARN of the log group of all training jobs."""
        return cdk.Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            resource_name=aws_limits.TRAINING_LOG_GROUP,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )


def _folders(bucket: s3.IBucket, team: str) -> Iterator[iam.PolicyStatement]:
    """Yield the statements that let a team use its workspace and read other folders."""
    workspace, *earlier = names.team_folders(team)
    yield iam.PolicyStatement(
        sid="UseWorkspace",
        actions=["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
        resources=[bucket.arn_for_objects(f"{workspace}*")],
    )
    readable = (*earlier, names.SHARED_PREFIX)
    yield iam.PolicyStatement(
        sid="ReadFolders",
        actions=["s3:GetObject"],
        resources=[bucket.arn_for_objects(f"{folder}*") for folder in readable],
    )
    listed = (workspace, *readable, names.EXAMPLE_DATA)
    yield iam.PolicyStatement(
        sid="ListFolders",
        actions=["s3:ListBucket"],
        resources=[bucket.bucket_arn],
        conditions={"StringLike": {"s3:prefix": [f"{folder}*" for folder in listed]}},
    )


def _use_of(keys: Sequence[str]) -> iam.PolicyStatement:
    """Return the statement that lets SQS, DynamoDB and S3 use the keys for the team."""
    region = f"{cdk.Aws.REGION}.{cdk.Aws.URL_SUFFIX}"
    services = [f"{service}.{region}" for service in ("sqs", "dynamodb", "s3")]
    return iam.PolicyStatement(
        sid="UseKeyThroughServices",
        actions=["kms:Decrypt", "kms:GenerateDataKey"],
        resources=list(dict.fromkeys(keys)),
        conditions={"StringEquals": {"kms:ViaService": services}},
    )
