"""Training jobs reach the prefixes that the guardrails allow, and nothing beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.policies import Call, TemplateAccount, as_role, wrong_answers
from tests.support.synthesized_stack import synthesize

# With and without the final slash; the guardrails treat both as the folder.
PREFIXES = [
    (["s3://lake/credit/"], ["s3://models/fraud/"]),
    (["s3://lake/credit"], ["s3://models/fraud"]),
]


def account_with(inputs: list[str], outputs: list[str]) -> TemplateAccount:
    rules = {"input_prefixes": inputs, "output_prefixes": outputs}
    return TemplateAccount(synthesize(guardrails=rules).to_json())


def training_calls(account: TemplateAccount) -> Iterator[Call]:
    lake, models = "arn:aws:s3:::lake", "arn:aws:s3:::models"
    # SageMaker lists a channel by its prefix before it reads the objects, and restores
    # checkpoints, which are below an output prefix.
    calls: dict[str, tuple[bool, str, str, dict[str, str]]] = {
        "reads data": (True, "s3:GetObject", f"{lake}/credit/train.csv", {}),
        "lists data": (True, "s3:ListBucket", lake, {"s3:prefix": "credit/2026/"}),
        "lists the folder": (True, "s3:ListBucket", lake, {"s3:prefix": "credit/"}),
        "lists it by its name": (True, "s3:ListBucket", lake, {"s3:prefix": "credit"}),
        "writes models": (True, "s3:PutObject", f"{models}/fraud/job/model.tar.gz", {}),
        "aborts an upload": (
            True, "s3:AbortMultipartUpload", f"{models}/fraud/job/model.tar.gz", {},
        ),
        "restores a checkpoint": (True, "s3:GetObject", f"{models}/fraud/checkpoints/1", {}),
        "finds checkpoints": (True, "s3:ListBucket", models, {"s3:prefix": "fraud/checkpoints/"}),
        "does not write data": (False, "s3:PutObject", f"{lake}/credit/train.csv", {}),
        "does not read beside it": (False, "s3:GetObject", f"{lake}/credit-salaries/a.csv", {}),
        "does not list beside it": (
            False, "s3:ListBucket", lake, {"s3:prefix": "credit-salaries/"},
        ),
        "does not list the bucket": (False, "s3:ListBucket", lake, {"s3:prefix": ""}),
        "does not list without a prefix": (False, "s3:ListBucket", lake, {}),
        "does not write beside it": (False, "s3:PutObject", f"{models}/vision/model.tar.gz", {}),
    }  # fmt: skip
    for name, (allowed, action, resource, context) in calls.items():
        yield Call(
            name=f"a training job {name}",
            allowed=allowed,
            **as_role(account, "TrainingFraudRole", action, resource, **context),
        )


@pytest.mark.parametrize(("inputs", "outputs"), PREFIXES)
def test_training_jobs_reach_the_prefixes_of_the_guardrails_only(
    inputs: list[str], outputs: list[str]
) -> None:
    assert wrong_answers([*training_calls(account_with(inputs, outputs))]) == []


def test_a_whole_bucket_may_be_a_prefix() -> None:
    account = account_with(["s3://lake/"], ["s3://models"])
    asked: dict[str, tuple[str, str]] = {
        "reads": ("s3:GetObject", "arn:aws:s3:::lake/any.csv"),
        "lists": ("s3:ListBucket", "arn:aws:s3:::lake"),
        "writes": ("s3:PutObject", "arn:aws:s3:::models/any"),
    }
    calls = [
        Call(name=name, allowed=True, **as_role(account, "TrainingFraudRole", action, resource))
        for name, (action, resource) in asked.items()
    ]
    assert wrong_answers(calls) == []


def test_buckets_queues_and_topics_refuse_plain_http() -> None:
    account = TemplateAccount(synthesize(teams={"fraud": {"notify": True}}).to_json())
    bucket = account.starting_with("TrainingArtifacts", "AWS::S3::Bucket")
    requests = account.find("AWS::SQS::Queue", QueueName="hpoq-fraud-requests")
    dead = account.find("AWS::SQS::Queue", QueueName="hpoq-fraud-dead-letter")
    asked: list[tuple[str, str, str, str]] = [
        (bucket, "TrainingFraudRole", "s3:GetObject", "/shared/a.csv"),
        (requests, "DispatcherRole", "sqs:ReceiveMessage", ""),
        (dead, "DispatcherRole", "sqs:SendMessage", ""),
    ]

    def calls() -> Iterator[Call]:
        for name, role, action, path in asked:
            policy: dict[str, Any] = {"resource_policy": account.resource_policy(name)}
            for secure in (True, False):
                context = {"aws:SecureTransport": str(secure).lower()}
                yield Call(
                    name=f"{action} with TLS: {secure}",
                    allowed=secure,
                    **as_role(account, role, action, account.arn(name) + path, **context) | policy,
                )
        for topic, service in (
            ("hpoq-alarms", "cloudwatch.amazonaws.com"),
            ("hpoq-fraud-changes", "events.amazonaws.com"),
        ):
            found = account.find("AWS::SNS::Topic", TopicName=topic)
            yield Call(
                name=f"{topic} without TLS",
                allowed=False,
                principal=service,
                action="sns:Publish",
                resource=account.arn(found),
                resource_policy=account.resource_policy(found),
                context={"aws:SecureTransport": "false", "aws:SourceAccount": "111122223333"},
            )

    assert wrong_answers([*calls()]) == []
