"""The function that turns requests into tuning jobs, and the rules that invoke it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from hpo_dispatcher.contract import aws_limits, names
from hpo_dispatcher.contract.settings import WorkflowSettings
from hpo_dispatcher.contract.targets.sites import dispatcher_role
from infra.acknowledge import acknowledge, acknowledge_key_use, acknowledge_resource
from infra.sdk_layer import SdkLayer, build_module
from infra.settings import Settings
from infra.source import ROOT, bundling, fingerprint, source_files, write_function
from infra.templates import own_files

HANDLER = "hpo_dispatcher.handler.handler"
HEARTBEAT = Duration.minutes(10)


class DispatcherFunction(Construct):
    """The Lambda function with its SDK layer, on-failure queue and three event rules."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        environment: dict[str, str],
        key: kms.IKey | None,
    ) -> None:
        super().__init__(scope, id_)
        name = names.dispatcher_function(settings.name)
        self.failures = sqs.Queue(
            self,
            "Failures",
            encryption=sqs.QueueEncryption.KMS if key else sqs.QueueEncryption.SQS_MANAGED,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        acknowledge(
            self.failures,
            "SQS3",
            "This queue is itself the dead-letter queue of failed invocations.",
        )
        log_group = logs.LogGroup(
            self,
            "Log",
            log_group_name=f"/aws/lambda/{name}",
            retention=_retention(settings.log_retention_days),
            encryption_key=key,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        role = iam.Role(
            self,
            "Role",
            # Targets trust the role by its name.
            role_name=dispatcher_role(settings.name) if settings.sites else None,
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        )
        self.role = role
        log_group.grant_write(role)
        runtime = lambda_.Runtime(f"python{settings.python_version}", lambda_.RuntimeFamily.PYTHON)
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            runtime=runtime,
            architecture=lambda_.Architecture.X86_64,
            handler=HANDLER,
            code=self._code(settings),
            layers=[SdkLayer(self, "Sdk", python_version=settings.python_version).layer],
            role=role,
            log_group=log_group,
            environment=environment
            | {
                "POWERTOOLS_SERVICE_NAME": names.dispatcher_function(settings.name),
                "POWERTOOLS_METRICS_NAMESPACE": names.METRICS_NAMESPACE,
            },
            environment_encryption=key,
            # Each log line contains its trace id: docs/decisions/0021.
            tracing=lambda_.Tracing.ACTIVE,
            timeout=Duration.minutes(15),
            memory_size=settings.memory_mb,
            reserved_concurrent_executions=settings.reserved_concurrency,
            retry_attempts=2,
            max_event_age=HEARTBEAT,  # the next heartbeat does the work of older events
            on_failure=destinations.SqsDestination(self.failures),
        )
        acknowledge(
            self.function,
            "L1",
            "The layer's packages are locked and tested for Python 3.13.",
        )
        if key:
            acknowledge_key_use(role)
        self._add_rules(settings.name)

    def _code(self, settings: Settings) -> lambda_.Code:
        package = ROOT / "lambdas" / "hpo_dispatcher"
        deployment, version = settings.deployment, settings.python_version
        templates = own_files(settings.templates)

        def interpreter() -> str:
            found: str = build_module().find_interpreter(version)
            return found

        return lambda_.Code.from_asset(
            str(package),
            asset_hash=fingerprint(
                source_files(package),
                json.dumps(deployment, sort_keys=True),
                version,
                *(text for path in templates for text in (path.name, path.read_text())),
            ),
            asset_hash_type=cdk.AssetHashType.CUSTOM,
            bundling=bundling(
                lambda folder: write_function(folder, deployment, interpreter(), templates)
            ),
        )

    def _add_rules(self, deployment: str) -> None:
        """Invoke the function every ten minutes and whenever an event may give it work."""
        for name, trigger in _triggers(deployment).items():
            rule = events.Rule(self, name, **trigger)
            rule.add_target(targets.LambdaFunction(self.function))

    def grant_tuning(self, training_roles: Sequence[iam.IRole]) -> None:
        """Allow the function to create and follow tuning jobs that run as one of the roles."""
        stack = cdk.Stack.of(self)
        for statement in (*tuning_statements(stack, training_roles), _events_statement(stack)):
            self.function.add_to_role_policy(statement)
        role = self.function.role
        assert role is not None  # noqa: S101  set in __init__
        for finding, reason in {
            "Resource::arn:<AWS::Partition>:sagemaker:<AWS::Region>:<AWS::AccountId>:"
            "hyper-parameter-tuning-job/*": "The names of tuning jobs derive from requests.",
            "Resource::*": (
                "Listing jobs and quotas and sending X-Ray segments do not support resources."
            ),
        }.items():
            acknowledge(role, f"IAM5[{finding}]", reason)

    def grant_answers(self, workflows: WorkflowSettings) -> None:
        """Allow the function to answer the workflows that the settings name, and no others."""
        for statement, reason in _answer_statements(cdk.Stack.of(self), workflows):
            self.function.add_to_role_policy(statement)
            assert self.function.role is not None  # noqa: S101  set in __init__
            for resource in statement.resources:
                if "*" in resource or "?" in resource:
                    acknowledge_resource(self.function.role, resource, reason)


def _answer_statements(
    stack: cdk.Stack, workflows: WorkflowSettings
) -> Iterator[tuple[iam.PolicyStatement, str]]:
    """Yield what the function may do to answer workflows, each with the reason of its wildcard.

    Step Functions checks SendTask* against the ARN of the state machine, although the Service
    Authorization Reference lists no resource for them: aws/aws-cdk pull request 8486.
    """
    if workflows.state_machines:
        arns = [
            stack.format_arn(
                service="states",
                resource="stateMachine",
                resource_name=name,
                arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
            )
            for name in workflows.state_machines
        ]
        actions = ["SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat"]
        tasks = iam.PolicyStatement(
            sid="AnswerStateMachines",
            actions=[f"states:{action}" for action in actions],
            resources=arns,
        )
        yield tasks, "The settings of the deployment name the state machines."
    if workflows.pipelines:
        # ARNs have the names of pipelines in lower case.
        names_ = dict.fromkeys(
            each for name in workflows.pipelines for each in (name, name.lower())
        )
        executions = [
            stack.format_arn(
                service="sagemaker", resource="pipeline", resource_name=f"{name}/execution/*"
            )
            for name in names_
        ]
        steps = iam.PolicyStatement(
            sid="AnswerPipelines",
            actions=[
                "sagemaker:SendPipelineExecutionStepSuccess",
                "sagemaker:SendPipelineExecutionStepFailure",
            ],
            resources=executions,
        )
        yield steps, "SageMaker names the executions of a pipeline."
    if workflows.any:
        yield model_statement(stack)


def model_statement(stack: cdk.Stack) -> tuple[iam.PolicyStatement, str]:
    """Return what finds the model of a completed request, with the reason of its wildcard."""
    models = iam.PolicyStatement(
        sid="FindModels",
        actions=["sagemaker:DescribeTrainingJob"],
        resources=[
            stack.format_arn(service="sagemaker", resource="training-job", resource_name="*")
        ],
    )
    return models, "SageMaker names the training jobs of a tuning job."


def _retention(days: int) -> logs.RetentionDays:
    """Return CDK's name for a number of days that CloudWatch offers."""
    names = (
        "ONE_DAY", "THREE_DAYS", "FIVE_DAYS", "ONE_WEEK", "TWO_WEEKS", "ONE_MONTH", "TWO_MONTHS",
        "THREE_MONTHS", "FOUR_MONTHS", "FIVE_MONTHS", "SIX_MONTHS", "ONE_YEAR", "THIRTEEN_MONTHS",
        "EIGHTEEN_MONTHS", "TWO_YEARS", "THREE_YEARS", "FIVE_YEARS", "SIX_YEARS", "SEVEN_YEARS",
        "EIGHT_YEARS", "NINE_YEARS", "TEN_YEARS",
    )  # fmt: skip
    by_days = dict(zip(aws_limits.LOG_RETENTION_DAYS, names, strict=True))
    return logs.RetentionDays[by_days[days]]


def tuning_job_ended() -> events.EventPattern:
    """Return the pattern of the events that say that a tuning job has ended."""
    return events.EventPattern(
        source=[aws_limits.SAGEMAKER_EVENT_SOURCE],
        detail_type=[aws_limits.TUNING_JOB_EVENT],
        detail={"HyperParameterTuningJobStatus": ["Completed", "Failed", "Stopped"]},
    )


def _triggers(deployment: str) -> dict[str, dict[str, Any]]:
    """Return the schedule and the events that may give the function work, by rule."""
    return {
        "Heartbeat": {"schedule": events.Schedule.rate(HEARTBEAT)},
        "TuningJobEnded": {"event_pattern": tuning_job_ended()},
        "RequestsSubmitted": {
            "event_pattern": events.EventPattern(
                source=[names.EVENT_SOURCE],
                detail_type=[names.SUBMITTED_EVENT],
                # Alternatives. Events of earlier clients name no deployment, and still
                # invoke the dispatcher.
                detail={"deployment": [{"exists": False}, deployment]},
            )
        },
    }


def _events_statement(stack: cdk.Stack) -> iam.PolicyStatement:
    """Return what lets the function publish the state changes of requests."""
    bus = stack.format_arn(service="events", resource="event-bus", resource_name="default")
    return iam.PolicyStatement(actions=["events:PutEvents"], resources=[bus])


def tuning_statements(
    stack: cdk.Stack, training_roles: Sequence[iam.IRole]
) -> list[iam.PolicyStatement]:
    """Return what the dispatcher may do with tuning jobs, and what it needs for that."""
    tuning_jobs = stack.format_arn(
        service="sagemaker", resource="hyper-parameter-tuning-job", resource_name="*"
    )
    own = [
        "sagemaker:CreateHyperParameterTuningJob",
        "sagemaker:DescribeHyperParameterTuningJob",
        "sagemaker:StopHyperParameterTuningJob",
        "sagemaker:AddTags",
        "sagemaker:ListTags",
    ]
    return [
        iam.PolicyStatement(actions=own, resources=[tuning_jobs]),
        iam.PolicyStatement(
            actions=[
                "sagemaker:ListHyperParameterTuningJobs",
                "sagemaker:Search",
                "servicequotas:ListServiceQuotas",
            ],
            resources=["*"],
        ),
        iam.PolicyStatement(
            actions=["iam:PassRole"],
            resources=[role.role_arn for role in training_roles],
            conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
    ]
