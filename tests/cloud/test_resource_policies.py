"""Services deliver where a resource policy allows it, and SageMaker checks the roles of jobs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from hpoq.local.cloud import Cloud
from hpoq.local.lifecycle.processes import wait_until
from tests.support.deployed_stack import ROOT
from tests.support.iam_users import user_with
from tests.support.memory_endpoint import tuning_job

ROLE = "arn:aws:iam::123456789012:role/training"  # of the tuning jobs here


def statement(service: str, action: str, resource: str) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": action,
        "Resource": resource,
    }


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


class Queue:
    """A queue that a service may or may not send to."""

    def __init__(self, cloud: Cloud, name: str, *allowed: str) -> None:
        self._sqs = cloud.session().client("sqs")
        self.url = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        asked = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn = asked["Attributes"]["QueueArn"]
        policy = document(*(statement(each, "sqs:SendMessage", self.arn) for each in allowed))
        if allowed:
            self._sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": policy})

    def messages(self) -> list[dict[str, Any]]:
        answer = self._sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10)
        return [json.loads(each["Body"]) for each in answer.get("Messages", ())]


def topic_to(cloud: Cloud, name: str, queue: Queue, policy: Callable[[str], str] | None) -> str:
    """Return the ARN of a topic that a queue has subscribed to."""
    sns = cloud.session().client("sns")
    arn = str(sns.create_topic(Name=name)["TopicArn"])
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn)
    if policy:
        sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy(arn))
    return arn


def only_tls(topic: str) -> str:
    denied = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sns:Publish",
        "Resource": topic,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return document(denied)


def for_alarms(topic: str) -> str:
    return document(statement("cloudwatch.amazonaws.com", "sns:Publish", topic))


def test_an_alarm_publishes_only_to_topics_whose_policy_allows_it(cloud: Cloud) -> None:
    queue = Queue(cloud, "alarms", "sns.amazonaws.com")
    policies = {"refuses": only_tls, "admits": for_alarms, "by-default": None}
    topics = {name: topic_to(cloud, name, queue, policy) for name, policy in policies.items()}
    cloudwatch = cloud.session().client("cloudwatch")
    for name, topic in topics.items():  # those that admit it come last
        cloudwatch.put_metric_alarm(
            AlarmName=name, Namespace="tests", MetricName="none", Period=60, Threshold=1,
            EvaluationPeriods=1, ComparisonOperator="GreaterThanThreshold", Statistic="Sum",
            AlarmActions=[topic],
        )  # fmt: skip
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="test")
    heard: set[str] = set()

    def last_is_heard() -> bool:
        heard.update(json.loads(each["Message"])["AlarmName"] for each in queue.messages())
        return {"admits", "by-default"} <= heard

    assert wait_until(last_is_heard, 30), heard
    assert heard == {"admits", "by-default"}


def test_a_rule_delivers_only_to_targets_whose_policy_allows_it(cloud: Cloud) -> None:
    deaf = Queue(cloud, "deaf")
    listening = Queue(cloud, "listening", "events.amazonaws.com")
    subscribed = Queue(cloud, "subscribed", "sns.amazonaws.com")
    refusing = topic_to(cloud, "for-rules", subscribed, for_alarms)
    events = cloud.session().client("events")
    events.put_rule(Name="deliver", EventPattern=json.dumps({"source": ["tests.policies"]}))
    targets = [deaf.arn, refusing, listening.arn]  # the last one is allowed
    events.put_targets(
        Rule="deliver",
        Targets=[{"Id": str(number), "Arn": arn} for number, arn in enumerate(targets)],
    )
    events.put_events(Entries=[{"Source": "tests.policies", "DetailType": "x", "Detail": "{}"}])

    assert wait_until(lambda: bool(listening.messages()), 30)
    assert deaf.messages() == []
    assert subscribed.messages() == []


TRUSTING = document({
    "Effect": "Allow",
    "Principal": {"Service": "sagemaker.amazonaws.com"},
    "Action": "sts:AssumeRole",
})  # fmt: skip
LAMBDA_ONLY = TRUSTING.replace("sagemaker", "lambda")
LIST = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::inputs"}
OTHER_PREFIX = LIST | {"Condition": {"StringLike": {"s3:prefix": "other/*"}}}
NO_LIST = LIST | {"Effect": "Deny"}


@pytest.mark.parametrize(
    ("name", "trust", "statements", "problem"),
    [
        ("for-functions", LAMBDA_ONLY, [LIST], "Could not assume role"),
        ("powerless", TRUSTING, [], "because no identity-based policy allows the s3:ListBucket"),
        ("elsewhere", TRUSTING, [OTHER_PREFIX], "no identity-based policy allows the s3:List"),
        ("denied", TRUSTING, [LIST, NO_LIST], "Error message from S3: Access Denied"),
        ("able", TRUSTING, [LIST], 'has "s3:ListBucket" permissions on bucket "inputs".'),
    ],
)
def test_a_new_tuning_job_shows_what_its_role_may_not_do(
    cloud: Cloud, name: str, trust: str, statements: list[dict[str, Any]], problem: str
) -> None:
    session = cloud.session()
    session.client("s3").create_bucket(Bucket="inputs")
    iam = session.client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="list", PolicyDocument=document(*statements))
    job = tuning_job(name)
    definition = job["TrainingJobDefinition"]
    definition["RoleArn"] = role
    definition["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] = "s3://inputs/data/"

    with pytest.raises(ClientError) as caught:
        session.client("sagemaker").create_hyper_parameter_tuning_job(**job)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert problem in caught.value.response["Error"]["Message"]


def test_a_role_that_the_caller_may_not_pass_is_named_in_the_words_of_aws(cloud: Cloud) -> None:
    create = statement("", "sagemaker:CreateHyperParameterTuningJob", "*")
    del create["Principal"]
    policy = {"Version": "2012-10-17", "Statement": [create]}
    creator = user_with(cloud.session(), cloud, "creator", policy)
    table = yaml.safe_load((ROOT / "tests" / "fixtures" / "aws_answers.yaml").read_text())
    (answer,) = (each for each in table if "iam:PassRole" in each.get("message", ""))

    with pytest.raises(ClientError) as caught:
        creator.client("sagemaker").create_hyper_parameter_tuning_job(**tuning_job("not-passed"))

    error = caught.value.response["Error"]
    account = cloud.running.account
    words = answer["message"].replace("arn:aws:iam::111122223333:role/x", ROLE)
    theirs = "arn:aws:sts::111122223333:assumed-role/hpoq-dispatcher/hpoq-dispatcher"
    assert error["Code"] == answer["code"]
    assert error["Message"] == words.replace(theirs, f"arn:aws:iam::{account}:user/creator")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"RoleArn": "arn:aws:iam::{account}:role/missing"}, "Could not assume role"),
        ({"RoleArn": "arn:aws:iam::999999999999:role/able"}, "Could not assume role"),
    ],
)
def test_a_role_must_exist_in_the_account(
    cloud: Cloud, change: dict[str, str], problem: str
) -> None:
    job = tuning_job("roleless")
    job["TrainingJobDefinition"] |= {
        name: value.format(account=cloud.running.account) for name, value in change.items()
    }
    with pytest.raises(ClientError, match=problem):
        cloud.session().client("sagemaker").create_hyper_parameter_tuning_job(**job)


@pytest.mark.parametrize(
    ("account", "role_may", "bus_admits", "arrives"),
    [
        ("333333333333", True, True, True),
        ("333333333333", True, False, False),
        ("333333333333", False, True, False),
        (None, True, False, True),  # another Region of the same account
        (None, False, True, False),
    ],
)
def test_an_event_crosses_to_another_bus_if_its_role_and_the_bus_allow_it(
    cloud: Cloud, account: str | None, role_may: bool, bus_admits: bool, arrives: bool
) -> None:
    """Sources: the two pages of the EventBridge user guide that event_buses.py names."""
    name = f"crossing-{account}-{role_may}-{bus_admits}"
    there = cloud.within(account, "eu-west-1")
    bus = f"arn:aws:events:us-east-1:{cloud.running.account}:event-bus/{name}"
    iam, away, here = (
        there.session().client("iam"),
        there.session().client("events"),
        cloud.session().client("events"),
    )
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    if role_may:
        put = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": bus}
        iam.put_role_policy(RoleName=name, PolicyName="put", PolicyDocument=document(put))
    here.create_event_bus(Name=name)
    if bus_admits:
        sender = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{there.running.account}:root"},
            "Action": "events:PutEvents",
            "Resource": bus,
        }
        properties = {"EventBusName": name, "StatementId": "sender", "Statement": sender}
        policy = {"Type": "AWS::Events::EventBusPolicy", "Properties": properties}
        cloud.session().client("cloudformation").create_stack(
            StackName=name, TemplateBody=json.dumps({"Resources": {"Policy": policy}})
        )
    queue = Queue(cloud, name, "events.amazonaws.com")
    pattern = json.dumps({"source": ["crossing"]})
    here.put_rule(Name=name, EventBusName=name, EventPattern=pattern)
    here.put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "queue", "Arn": queue.arn}])
    away.put_rule(Name=name, EventPattern=pattern)
    away.put_targets(Rule=name, Targets=[{"Id": "bus", "Arn": bus, "RoleArn": role}])

    away.put_events(Entries=[{"Source": "crossing", "DetailType": "x", "Detail": "{}"}])
    away.disable_rule(Name=name)

    found = [(each["account"], each["region"]) for each in queue.messages()]
    assert found == ([(there.running.account, "eu-west-1")] if arrives else [])
