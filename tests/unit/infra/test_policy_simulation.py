"""Every edge between services, roles and teams, decided by a simulator of AWS's IAM.

AWS asks the resource policy alone when a service calls, and both policies when a role does. The
conditions that a service sets are those of AWS's documentation, cited at each edge.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hpo_dispatcher.contract import names
from infra.settings import output_name
from tests.support.policies import (
    ACCOUNT,
    REGION,
    Call,
    Policy,
    TemplateAccount,
    as_role,
    problems,
    wrong_answers,
)
from tests.support.synthesized_stack import synthesize

OTHER_ACCOUNT = "999988887777"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0ec6f6a4-1111-2222-3333-444455556666"
VPC = {"subnets": ["subnet-0123456789abcdef0"], "security_group_ids": ["sg-0123456789abcdef0"]}
EVERYTHING: dict[str, Any] = {
    "teams": {"fraud": {"notify": True}, "fraud-eu": {}, "vision": {"notify": True}},
    "kms_key_arn": KEY,
    "bootstrap_kms_key_arn": KEY.replace("0ec6f6a4", "1fd7a7b5"),
    "guardrails": {
        "vpc": VPC,
        "input_prefixes": ["s3://lake/credit/"],
        "output_prefixes": ["s3://models/fraud/"],
    },
    "workflows": {"state_machines": ["credit", "churn-*"], "pipelines": ["Credit"]},
}
BOOTSTRAP_BUCKET = f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}"


def deployed(**settings: Any) -> TemplateAccount:
    teams = {"fraud": {"notify": True}, "fraud-eu": {}, "vision": {}}
    return TemplateAccount(synthesize(**({"teams": teams} | settings)).to_json())


@pytest.fixture(scope="module")
def account() -> TemplateAccount:
    return deployed()


def from_service(
    account: TemplateAccount,
    target: str,
    service: str,
    action: str,
    *,
    source: str,
    of_account: str = ACCOUNT,
) -> dict[str, Any]:
    """Return the parts of a call that a service makes on behalf of a resource."""
    return {
        "principal": service,
        "action": action,
        "resource": account.arn(target),
        "resource_policy": account.resource_policy(target),
        "context": {"aws:SourceArn": source, "aws:SourceAccount": of_account},
    }


def service_calls(account: TemplateAccount) -> Iterator[Call]:
    topic = account.find("AWS::SNS::Topic", TopicName="hpoq-alarms")
    notices = account.find("AWS::SNS::Topic", TopicName="hpoq-fraud-changes")
    function = account.find("AWS::Lambda::Function", FunctionName="hpoq-dispatcher")
    alarm = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:hpoq-no-cycle"
    # CloudWatch sends both keys: "Notifying users on alarm changes", "Amazon SNS and CloudWatch
    # permissions" in the CloudWatch user guide.
    publish = ("cloudwatch.amazonaws.com", "sns:Publish")
    yield Call(
        name="an alarm notifies the alarm topic",
        allowed=True,
        **from_service(account, topic, *publish, source=alarm),
    )
    yield Call(
        name="an alarm of another account does not",
        allowed=False,
        **from_service(
            account,
            topic,
            *publish,
            source=alarm.replace(ACCOUNT, OTHER_ACCOUNT),
            of_account=OTHER_ACCOUNT,
        ),
    )
    # "Using resource-based policies for Amazon EventBridge": rules set aws:SourceArn.
    for name in ("Heartbeat", "TuningJobEnded", "RequestsSubmitted"):
        rule = account.arn(account.starting_with(f"Dispatcher{name}", "AWS::Events::Rule"))
        yield Call(
            name=f"the rule {name} invokes the dispatcher",
            allowed=True,
            **from_service(
                account, function, "events.amazonaws.com", "lambda:InvokeFunction", source=rule
            ),
        )
    rule = account.arn(account.starting_with("NoticesFraud", "AWS::Events::Rule"))
    notify = ("events.amazonaws.com", "sns:Publish")
    yield Call(
        name="the rule of a team's notices publishes to its topic",
        allowed=True,
        **from_service(account, notices, *notify, source=rule),
    )
    yield Call(
        name="a rule of another account does not",
        allowed=False,
        **from_service(
            account, notices, *notify, source=rule.replace(ACCOUNT, OTHER_ACCOUNT),
            of_account=OTHER_ACCOUNT,
        ),
    )  # fmt: skip


def dispatcher_calls(account: TemplateAccount) -> Iterator[Call]:
    job = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:hyper-parameter-tuning-job/fraud-a-1"
    table = account.arn(account.find("AWS::DynamoDB::Table", TableName="hpoq-ledger"))
    requests = account.arn(account.find("AWS::SQS::Queue", QueueName="hpoq-fraud-requests"))
    dead = account.arn(account.find("AWS::SQS::Queue", QueueName="hpoq-fraud-dead-letter"))
    failures = account.arn(account.starting_with("DispatcherFailures", "AWS::SQS::Queue"))
    training = {
        team: account.arn(account.find("AWS::IAM::Role", RoleName=f"hpoq-{team}-training"))
        for team in ("fraud", "vision")
    }
    earlier = account.arn(account.starting_with("TrainingRole", "AWS::IAM::Role"))
    bus = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
    log = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/hpoq-dispatcher:log-stream:x"
    allowed = {
        **{
            f"sagemaker:{verb}": job
            for verb in (
                "CreateHyperParameterTuningJob",
                "DescribeHyperParameterTuningJob",
                "StopHyperParameterTuningJob",
                "AddTags",
                "ListTags",
            )
        },
        "sagemaker:ListHyperParameterTuningJobs": "*",
        "sagemaker:Search": "*",
        "servicequotas:ListServiceQuotas": "*",
        **{
            f"dynamodb:{verb}": table
            for verb in ("GetItem", "BatchGetItem", "PutItem", "UpdateItem", "DeleteItem")
        },
        "dynamodb:ConditionCheckItem": table,
        "dynamodb:Query": f"{table}/index/line",
        "sqs:ReceiveMessage": requests,
        "sqs:DeleteMessage": requests,
        "events:PutEvents": bus,
        "logs:PutLogEvents": log,
    }
    for action, resource in allowed.items():
        yield Call(
            name=f"the dispatcher calls {action}",
            allowed=True,
            **as_role(account, "DispatcherRole", action, resource),
        )
    for queue in (dead, failures):  # the on-failure destination is sent to as the function's role
        yield Call(
            name=f"the dispatcher sends to {queue.rpartition(':')[2]}",
            allowed=True,
            **as_role(account, "DispatcherRole", "sqs:SendMessage", queue),
        )
    passed = {"iam:PassedToService": "sagemaker.amazonaws.com"}
    for team, role in training.items():
        yield Call(
            name=f"the dispatcher passes the training role of {team} to SageMaker",
            allowed=True,
            **as_role(account, "DispatcherRole", "iam:PassRole", role, **passed),
        )
    ec2 = {"iam:PassedToService": "ec2.amazonaws.com"}
    other_deployment = f"arn:aws:iam::{ACCOUNT}:role/hpoq-eu-fraud-training"
    denied = {
        "another role": ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/Admin", passed),
        "another deployment's role": ("iam:PassRole", other_deployment, passed),
        "the role of all teams of earlier versions": ("iam:PassRole", earlier, passed),
        "a team's role to EC2": ("iam:PassRole", training["fraud"], ec2),
    }
    for name, (action, resource, context) in denied.items():
        yield Call(
            name=f"the dispatcher does not pass {name}",
            allowed=False,
            **as_role(account, "DispatcherRole", action, resource, **context),
        )
    for action in ("dynamodb:Scan", "dynamodb:DeleteTable", "sqs:PurgeQueue"):
        target = table if action.startswith("dynamodb") else requests
        yield Call(
            name=f"the dispatcher does not call {action}",
            allowed=False,
            **as_role(account, "DispatcherRole", action, target),
        )


WORKFLOWS = {"state_machines": ["credit", "churn-*"], "pipelines": ["Credit"]}


def workflow_calls(account: TemplateAccount, *, named: bool) -> Iterator[Call]:
    """Yield the answers of the dispatcher to workflows.

    Step Functions checks SendTask* against the state machine of the token: aws/aws-cdk pull request
    8486, and the error in NOAA-OWP/hydrovis issue 837.
    """
    machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:"
    pipeline = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/"
    for verb in ("Success", "Failure", "Heartbeat"):
        for name, allowed in (("credit", named), ("churn-2", named), ("credit-2", False)):
            yield Call(
                name=f"the dispatcher answers {verb} to the state machine {name}",
                allowed=allowed,
                **as_role(account, "DispatcherRole", f"states:SendTask{verb}", machine + name),
            )
    for verb in ("Success", "Failure"):
        for name, allowed in (("credit", named), ("credit-2", False), ("churn", False)):
            execution = f"{pipeline}{name}/execution/0k3p9r7s1t2u"
            action = f"sagemaker:SendPipelineExecutionStep{verb}"
            yield Call(
                name=f"the dispatcher answers {verb} to the pipeline {name}",
                allowed=allowed,
                **as_role(account, "DispatcherRole", action, execution),
            )
    job = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/fraud-a-1-003"
    yield Call(
        name="the dispatcher finds the model of a training job",
        allowed=named,
        **as_role(account, "DispatcherRole", "sagemaker:DescribeTrainingJob", job),
    )
    others = {
        "states:StartExecution": f"{machine}credit",
        "states:StopExecution": machine.replace("stateMachine:", "execution:credit:a"),
        "sagemaker:StopPipelineExecution": f"{pipeline}credit/execution/0k3p9r7s1t2u",
    }
    for action, resource in others.items():
        yield Call(
            name=f"the dispatcher does not call {action}",
            allowed=False,
            **as_role(account, "DispatcherRole", action, resource),
        )


def training_calls(account: TemplateAccount) -> Iterator[Call]:
    bucket = account.arn(account.starting_with("TrainingArtifacts", "AWS::S3::Bucket"))
    streams = "log-group:/aws/sagemaker/TrainingJobs:log-stream"
    log = f"arn:aws:logs:{REGION}:{ACCOUNT}:{streams}:fraud-a"
    image = f"arn:aws:ecr:{REGION}:763104351884:repository/pytorch-training"
    allowed = {
        "s3:GetObject": f"{bucket}/shared/train/part-0.npz",
        "s3:PutObject": f"{bucket}/teams/fraud/output/job/output/model.tar.gz",
        "s3:AbortMultipartUpload": f"{bucket}/output/fraud/job/output/model.tar.gz",
        "s3:GetBucketLocation": bucket,
        "logs:PutLogEvents": log,
        "ecr:BatchGetImage": image,
        "ecr:GetAuthorizationToken": "*",
    }
    for action, resource in allowed.items():
        yield Call(
            name=f"a training job calls {action}",
            allowed=True,
            **as_role(account, "TrainingFraudRole", action, resource),
        )
    for stream in (log.replace("fraud", "vision"), log.replace("fraud", "fraudulent")):
        yield Call(
            name=f"a training job does not write to {stream}",
            allowed=False,
            **as_role(account, "TrainingFraudRole", "logs:PutLogEvents", stream),
        )
    namespace = {"cloudwatch:namespace": "/aws/sagemaker/TrainingJobs"}
    yield Call(
        name="a training job reports metrics",
        allowed=True,
        **as_role(account, "TrainingFraudRole", "cloudwatch:PutMetricData", "*", **namespace),
    )
    # The code of any deployment before; another stack's files are none of its business.
    assets = f"arn:aws:s3:::{BOOTSTRAP_BUCKET}"
    for day, digest in (("today", "a" * 64), ("yesterday", "b" * 64)):
        yield Call(
            name=f"a training job reads the code of {day}",
            allowed=True,
            **as_role(account, "TrainingFraudRole", "s3:GetObject", f"{assets}/hpoq/{digest}.gz"),
        )
        prefix = {"s3:prefix": f"hpoq/{digest}.gz"}
        yield Call(
            name=f"an isolated training job gets the code of {day} as a channel",
            allowed=True,
            **as_role(account, "TrainingFraudRole", "s3:ListBucket", assets, **prefix),
        )
    for prefix in ({}, {"s3:prefix": ""}, {"s3:prefix": "hpoq-2/"}):
        yield Call(
            name="a training job does not list another stack's files",
            allowed=False,
            **as_role(account, "TrainingFraudRole", "s3:ListBucket", assets, **prefix),
        )
    for other in (f"{'c' * 64}.gz", f"hpoq-2/{'c' * 64}.gz"):
        yield Call(
            name="a training job does not read another stack's files",
            allowed=False,
            **as_role(account, "TrainingFraudRole", "s3:GetObject", f"{assets}/{other}"),
        )
    for action in ("s3:DeleteObject", "s3:DeleteBucket", "s3:PutBucketPolicy"):
        target = f"{bucket}/shared/x" if action == "s3:DeleteObject" else bucket
        yield Call(
            name=f"a training job does not call {action}",
            allowed=False,
            **as_role(account, "TrainingFraudRole", action, target),
        )


def own_and_other_places(bucket: str) -> Iterator[tuple[bool, str, str, dict[str, str]]]:
    """Yield accesses to the artifact bucket by the training jobs of team fraud.

    A listing without a prefix, or with the beginning of another one, would include other teams.
    """
    for folder in ("teams/fraud/", "output/fraud/", "checkpoints/fraud/"):
        for action in ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"):
            yield True, action, f"{bucket}/{folder}a/b.tar.gz", {}
        yield True, "s3:ListBucket", bucket, {"s3:prefix": folder}
        yield True, "s3:ListBucket", bucket, {"s3:prefix": f"{folder}a/"}
    for folder in ("shared/", "data/"):
        yield True, "s3:GetObject", f"{bucket}/{folder}a.csv", {}
        yield True, "s3:ListBucket", bucket, {"s3:prefix": f"{folder}a"}
        yield False, "s3:PutObject", f"{bucket}/{folder}a.csv", {}
    for team in ("vision", "fraud-eu"):
        for folder in (f"teams/{team}/", f"output/{team}/", f"checkpoints/{team}/"):
            for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject",
                           "s3:AbortMultipartUpload", "s3:GetObjectVersion"):  # fmt: skip
                yield False, action, f"{bucket}/{folder}a/b.tar.gz", {}
            yield False, "s3:ListBucket", bucket, {"s3:prefix": folder}
    for prefix in ("", "t", "teams", "teams/", "teams/fraud", "output/", "teams/frau"):
        yield False, "s3:ListBucket", bucket, {"s3:prefix": prefix}
    yield False, "s3:ListBucket", bucket, {}
    yield False, "s3:ListBucketVersions", bucket, {"s3:prefix": "teams/vision/"}
    yield False, "s3:PutObject", f"{bucket}/anywhere", {}


def workspace_calls(account: TemplateAccount) -> Iterator[Call]:
    """Yield the accesses of team fraud's training role, and of the role of earlier versions."""
    bucket = account.arn(account.starting_with("TrainingArtifacts", "AWS::S3::Bucket"))
    for allowed, action, resource, context in own_and_other_places(bucket):
        yield Call(
            name=f"the training role of fraud: {action} {resource} {context}",
            allowed=allowed,
            **as_role(account, "TrainingFraudRole", action, resource, **context),
        )
    # Its training jobs began before the upgrade, and end without the workspaces.
    earlier: list[tuple[bool, str, str, dict[str, str]]] = [
        (True, "s3:GetObject", f"{bucket}/mine/a.csv", {}),
        (True, "s3:PutObject", f"{bucket}/output/vision/model.tar.gz", {}),
        (True, "s3:ListBucket", bucket, {"s3:prefix": "mine/"}),
        (False, "s3:GetObject", f"{bucket}/teams/vision/a.csv", {}),
        (False, "s3:PutObject", f"{bucket}/teams/fraud/a.csv", {}),
        (False, "s3:ListBucket", bucket, {"s3:prefix": "teams/vision/"}),
        (False, "s3:ListBucket", bucket, {"s3:prefix": ""}),
        (False, "s3:ListBucket", bucket, {}),
    ]
    for allowed, action, resource, context in earlier:
        yield Call(
            name=f"the training role of earlier versions: {action} {resource} {context}",
            allowed=allowed,
            **as_role(account, "TrainingRole", action, resource, **context),
        )


TeamCall = tuple[bool, str, str, dict[str, str | list[str]]]


def workspaces(bucket: str) -> Iterator[tuple[str, TeamCall]]:
    """Yield accesses of a user of team fraud to its workspace and to others."""
    actions = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")
    for team in ("fraud", "fraud-eu", "vision"):
        allowed, folder = team == "fraud", f"teams/{team}/"
        for action in actions:
            yield f"{action} {folder}", (allowed, action, f"{bucket}/{folder}a", {})
        listed: TeamCall = (allowed, "s3:ListBucket", bucket, {"s3:prefix": folder})
        yield f"lists {folder}", listed
        for action in ("s3:GetObjectVersion", "s3:DeleteObjectVersion", "s3:PutObjectAcl"):
            yield f"{action} {folder}", (False, action, f"{bucket}/{folder}a", {})
    for prefix in ("", "teams/", "teams/fraud", "output/vision/"):
        yield f"lists {prefix!r}", (False, "s3:ListBucket", bucket, {"s3:prefix": prefix})


def jobs_and_logs() -> Iterator[tuple[str, TeamCall]]:
    """Yield accesses of a user of team fraud to tuning jobs, training jobs and their logs.

    The name of a job of team fraud-eu begins as one of fraud does.
    """
    sagemaker = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"
    streams = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/sagemaker/TrainingJobs:log-stream:"
    for team, name in (("fraud", "fraud-a"), ("fraud-eu", "fraud-eu-a"), ("vision", "vision-a")):
        allowed = team == "fraud"
        tags: dict[str, str | list[str]] = {
            "aws:ResourceTag/hpoq:team": team, "aws:ResourceTag/hpoq:deployment": "hpoq",
        }  # fmt: skip
        for kind, action in (
            ("hyper-parameter-tuning-job", "DescribeHyperParameterTuningJob"),
            ("hyper-parameter-tuning-job", "ListTrainingJobsForHyperParameterTuningJob"),
            ("training-job", "DescribeTrainingJob"),
            ("training-job", "ListTags"),
        ):
            job = f"{sagemaker}:{kind}/{name}-6w6ubs3d"
            yield f"{action} of {team}", (allowed, f"sagemaker:{action}", job, tags)
            yield f"{action} of {team} untagged", (False, f"sagemaker:{action}", job, {})
            other = tags | {"aws:ResourceTag/hpoq:deployment": "other"}
            yield f"{action} of another deployment {team}", (
                False, f"sagemaker:{action}", job, other,
            )  # fmt: skip
        stop = f"{sagemaker}:hyper-parameter-tuning-job/{name}-6w6ubs3d"
        yield f"stops {team}", (False, "sagemaker:StopHyperParameterTuningJob", stop, tags)
        stream = f"{streams}{name}-6w6ubs3d-001-abc/algo-1-1700000000"
        yield f"reads the log of {team}", (allowed, "logs:GetLogEvents", stream, {})
        yield f"writes the log of {team}", (False, "logs:PutLogEvents", stream, {})
    group = streams.removesuffix("log-stream:")
    yield "finds log streams", (True, "logs:DescribeLogStreams", f"{group}log-stream:", {})
    yield "does not search all logs", (False, "logs:FilterLogEvents", f"{group}*", {})
    yield "does not query logs", (False, "logs:StartQuery", f"{group}*", {})


def team_calls(account: TemplateAccount) -> Iterator[Call]:
    policy = account.managed_policy("hpoq-fraud-team")
    table = account.arn(account.find("AWS::DynamoDB::Table", TableName="hpoq-ledger"))
    bus = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"

    bucket = account.arn(account.starting_with("TrainingArtifacts", "AWS::S3::Bucket"))

    def queue(name: str) -> str:
        return account.arn(account.find("AWS::SQS::Queue", QueueName=f"hpoq-{name}"))

    def below(prefix: str) -> dict[str, str | list[str]]:
        return {"s3:prefix": prefix}

    def ours(team: str) -> dict[str, str | list[str]]:
        return {"dynamodb:LeadingKeys": [team]}

    submitted: dict[str, str | list[str]] = {
        "events:source": "hpoq", "events:detail-type": "Requests Submitted",
    }  # fmt: skip
    forged = submitted | {"events:source": "aws.sagemaker"}
    calls: dict[str, TeamCall] = {
        "sends requests": (True, "sqs:SendMessage", queue("fraud-requests"), {}),
        "takes dead letters": (True, "sqs:ReceiveMessage", queue("fraud-dead-letter"), {}),
        "reads its entries": (True, "dynamodb:Query", table, ours("fraud")),
        "counts its queue": (True, "dynamodb:Query", f"{table}/index/line", ours("fraud")),
        "does not count another team's queue": (
            False, "dynamodb:Query", f"{table}/index/line", ours("vision"),
        ),
        "reads its entries by id": (True, "dynamodb:BatchGetItem", table, ours("fraud")),
        "does not read another team's entries by id": (
            False, "dynamodb:BatchGetItem", table, ours("vision"),
        ),
        "reads shared documents": (True, "dynamodb:GetItem", table, ours("#deployment")),
        "asks for a cycle": (True, "events:PutEvents", bus, submitted),
        "looks for the example data": (
            True, "s3:ListBucket", bucket, below("data/credit-default/train/"),
        ),
        "does not list other data": (False, "s3:ListBucket", bucket, below("data/vision/")),
        "does not list the bucket": (False, "s3:ListBucket", bucket, {}),
        "does not read data": (
            False, "s3:GetObject", f"{bucket}/data/credit-default/train/train.npz", {},
        ),
        "does not send as another team": (False, "sqs:SendMessage", queue("vision-requests"), {}),
        "does not take its own requests": (
            False, "sqs:ReceiveMessage", queue("fraud-requests"), {},
        ),
        "does not take another team's dead letters": (
            False, "sqs:ReceiveMessage", queue("vision-dead-letter"), {},
        ),
        "does not read another team's entries": (False, "dynamodb:Query", table, ours("vision")),
        "does not read the tokens of workflows": (False, "dynamodb:Query", table, ours("#owed")),
        "does not read without naming a partition": (False, "dynamodb:Query", table, {}),
        "does not write the ledger": (False, "dynamodb:PutItem", table, ours("fraud")),
        "does not forge SageMaker's events": (False, "events:PutEvents", bus, forged),
        "reads shared data": (True, "s3:GetObject", f"{bucket}/shared/a.csv", {}),
        "lists shared data": (True, "s3:ListBucket", bucket, below("shared/")),
        "does not write shared data": (False, "s3:PutObject", f"{bucket}/shared/a.csv", {}),
        "reads its earlier results": (True, "s3:GetObject", f"{bucket}/output/fraud/a.gz", {}),
        "does not write them": (False, "s3:PutObject", f"{bucket}/output/fraud/a.gz", {}),
    } | dict(workspaces(bucket)) | dict(jobs_and_logs())  # fmt: skip
    for name, (allowed, action, resource, context) in calls.items():
        yield Call(
            name=f"a team {name}",
            allowed=allowed,
            principal=f"arn:aws:iam::{ACCOUNT}:user/ada",
            action=action,
            resource=resource,
            identity_policies=[policy],
            context=context,
        )


def test_every_edge_between_services_roles_and_teams_is_decided_as_it_should_be(
    account: TemplateAccount,
) -> None:
    calls = [
        *service_calls(account),
        *dispatcher_calls(account),
        *training_calls(account),
        *workspace_calls(account),
        *team_calls(account),
    ]
    assert len(calls) >= 150
    assert wrong_answers(calls) == []


def test_policies_match_the_names_that_jobs_of_teams_with_any_hyphens_have() -> None:
    teams = ("a", "a-b", "a-b--c", "x-", "x-y-", "y--y")
    account = deployed(teams={team: {} for team in teams})
    calls = []
    for owner in teams:
        for request_id in ("1", "c", f"{owner}-1", "y"):
            if names.claimed_by(owner, request_id, teams):
                continue
            job = f"{names.tuning_job_name(owner, request_id)}-001-0a1b2c3d"
            streams = "log-group:/aws/sagemaker/TrainingJobs:log-stream"
            log = f"arn:aws:logs:{REGION}:{ACCOUNT}:{streams}:{job}/algo-1-1700000000"
            calls += [
                call for team in teams for call in log_calls(account, team, log, team == owner)
            ]
            described = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{job}"
            calls += [
                Call(
                    name=f"a user of {owner}: describe {described}",
                    allowed=True,
                    principal=f"arn:aws:iam::{ACCOUNT}:user/ada",
                    action="sagemaker:DescribeTrainingJob",
                    resource=described,
                    identity_policies=[account.managed_policy(f"hpoq-{owner}-team")],
                    context={
                        "aws:ResourceTag/hpoq:team": owner,
                        "aws:ResourceTag/hpoq:deployment": "hpoq",
                    },
                )
            ]
    assert len(calls) > 200
    assert wrong_answers(calls) == []


def log_calls(account: TemplateAccount, team: str, log: str, allowed: bool) -> Iterator[Call]:
    """Yield the accesses of a team's training role and of its users to a log stream."""
    yield Call(
        name=f"the training role of {team}: write {log}",
        allowed=allowed,
        **as_role(account, f"Training{output_name(team)}Role", "logs:PutLogEvents", log),
    )
    yield Call(
        name=f"a user of {team}: read {log}",
        allowed=allowed,
        principal=f"arn:aws:iam::{ACCOUNT}:user/ada",
        action="logs:GetLogEvents",
        resource=log,
        identity_policies=[account.managed_policy(f"hpoq-{team}-team")],
    )


@pytest.mark.parametrize("named", [False, True], ids=["off", "on"])
def test_the_dispatcher_answers_the_workflows_that_the_settings_name_and_no_others(
    named: bool,
) -> None:
    of = deployed(workflows=WORKFLOWS) if named else deployed()
    assert wrong_answers([*workflow_calls(of, named=named)]) == []


@pytest.mark.parametrize("settings", [{}, EVERYTHING], ids=["default", "everything"])
def test_every_action_exists_and_supports_the_resources_and_condition_keys_used(
    settings: dict[str, Any],
) -> None:
    assert problems(deployed(**settings).policies()) == []


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ({"Action": "sqs:SendMessages", "Resource": "*"}, "there is no action sqs:SendMessages"),
        (
            {"Action": "sns:Publish", "Resource": f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue"},
            f"sns:Publish does not apply to arn:aws:sqs:{REGION}:{ACCOUNT}:queue",
        ),
        (
            {"Action": "sagemaker:Search", "Resource": f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue"},
            "sagemaker:Search needs the resource *",
        ),
        (
            {
                "Action": "sqs:SendMessage",
                "Resource": "*",
                "Condition": {"StringEquals": {"dynamodb:LeadingKeys": "a"}},
            },
            "sqs:SendMessage does not support the condition key dynamodb:LeadingKeys",
        ),
    ],
)
def test_a_mistaken_policy_is_found(statement: dict[str, Any], problem: str) -> None:
    policy: Policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow"} | statement],
    }
    assert problems([("Planted", policy)]) == [f"Planted: {problem}"]
