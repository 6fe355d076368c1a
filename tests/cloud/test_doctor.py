"""`hpoq doctor` in the embedded cloud: silent about a sound deployment, one line for each fault."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hpoq.client import Client
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import Finding, Verdict
from hpoq.doctor.run import examine
from hpoq.local.lifecycle.processes import wait_until
from hpoq.local.session import CloudSession
from tests.support.deployed_stack import ROOT, Deployed
from tests.support.iam_users import policy_without, user_with

CHANNELS = ("train", "validation", "test")
PREFIX = "data/credit-default"


def examined(deployed: Deployed) -> Examined:
    return Examined(deployment="hpoq", session=deployed.session)


def faults(deployed: Deployed) -> dict[str, str]:
    found = examine(examined(deployed))
    return {each.check: str(each) for each in found if each.verdict is Verdict.FAULT}


@pytest.fixture(scope="module")
def sound(deployed: Deployed) -> Deployed:
    """A deployment with data for its default template that has completed a cycle."""
    s3, bucket = deployed.client("s3"), deployed.outputs["ArtifactBucketName"]
    for channel in CHANNELS:
        # Not an .npz file: the training scripts of other tests ignore it.
        s3.put_object(Bucket=bucket, Key=f"{PREFIX}/{channel}/note.txt", Body=b"rows")
    function = deployed.outputs["DispatcherFunctionName"]
    deployed.client("lambda").invoke(FunctionName=function, Payload=b"{}")
    client = Client("hpoq", deployed.session)
    assert wait_until(lambda: bool(client.capacity()), 60), "no cycle"
    return deployed


def test_a_sound_deployment_has_no_faults(sound: Deployed) -> None:
    found = list(examine(examined(sound)))
    assert [str(each) for each in found if each.verdict in (Verdict.FAULT, Verdict.UNKNOWN)] == []
    assert len({each.check for each in found if each.verdict is Verdict.OK}) >= 13
    assert not any("hpoq-no-cycle" in each.text for each in found), "cycles complete"


def test_the_documented_policy_lets_the_doctor_look_everywhere(sound: Deployed) -> None:
    policy = json.loads((ROOT / "docs" / "doctor-policy.json").read_text())
    session = user_with(sound.session, sound.cloud, f"operator-{time.time_ns()}", policy)
    found = list(examine(Examined(deployment="hpoq", session=session)))
    checked = {each.check for each in found if each.verdict in (Verdict.OK, Verdict.WARNING)}
    assert checked >= {"role", "rules", "function", "data", "scripts", "quotas", "alarms"}
    assert [str(each) for each in found if each.verdict in (Verdict.FAULT, Verdict.UNKNOWN)] == []


@contextmanager
def disabled_rule(deployed: Deployed) -> Iterator[None]:
    events = deployed.client("events")
    names = [
        physical.rpartition("|")[2].rpartition("/")[2]
        for physical in examined(deployed).physical_ids("AWS::Events::Rule", "DispatcherHeartbeat")
    ]
    events.disable_rule(Name=names[0])
    yield
    events.enable_rule(Name=names[0])


@contextmanager
def throttled_function(deployed: Deployed) -> Iterator[None]:
    function = deployed.outputs["DispatcherFunctionName"]
    deployed.client("lambda").put_function_concurrency(
        FunctionName=function, ReservedConcurrentExecutions=0
    )
    yield
    deployed.client("lambda").delete_function_concurrency(FunctionName=function)


@contextmanager
def no_data(deployed: Deployed) -> Iterator[None]:
    s3, bucket = deployed.client("s3"), deployed.outputs["ArtifactBucketName"]
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"{PREFIX}/validation/")["Contents"]
    bodies = {
        each["Key"]: s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in listed
    }
    for key in bodies:
        s3.delete_object(Bucket=bucket, Key=key)
    yield
    for key, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)


@contextmanager
def no_trust(deployed: Deployed) -> Iterator[None]:
    iam, name = deployed.client("iam"), deployed.outputs["TrainingRoleArnFraud"].rpartition("/")[2]
    before = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    other = json.dumps(before).replace("sagemaker.", "ec2.")
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=other)
    yield
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(before))


@contextmanager
def no_permissions(deployed: Deployed) -> Iterator[None]:
    iam, name = deployed.client("iam"), deployed.outputs["TrainingRoleArnFraud"].rpartition("/")[2]
    (policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
    before = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    iam.delete_role_policy(RoleName=name, PolicyName=policy)
    yield
    iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(before))


def no_listing(deployed: Deployed) -> AbstractContextManager[None]:
    name = deployed.outputs["TrainingRoleArnFraud"].rpartition("/")[2]
    return policy_without(deployed.session, name, "s3:ListBucket")


def no_passing(deployed: Deployed) -> AbstractContextManager[None]:
    function = deployed.outputs["DispatcherFunctionName"]
    found = deployed.client("lambda").get_function_configuration(FunctionName=function)
    return policy_without(deployed.session, found["Role"].rpartition("/")[2], "iam:PassRole")


@contextmanager
def powerless_dispatcher(deployed: Deployed) -> Iterator[None]:
    iam, function = deployed.client("iam"), deployed.outputs["DispatcherFunctionName"]
    found = deployed.client("lambda").get_function_configuration(FunctionName=function)
    name = found["Role"].rpartition("/")[2]
    (policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
    before = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    iam.delete_role_policy(RoleName=name, PolicyName=policy)
    yield
    iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(before))


@contextmanager
def no_scripts(deployed: Deployed) -> Iterator[None]:
    s3, source = deployed.client("s3"), Client("hpoq", deployed.session).settings.environment
    place = source.training_source
    bucket, _, key = place.removeprefix("s3://").partition("/")
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.delete_object(Bucket=bucket, Key=key)
    yield
    s3.put_object(Bucket=bucket, Key=key, Body=body)


@contextmanager
def no_queue(deployed: Deployed) -> Iterator[None]:
    sqs, url = deployed.client("sqs"), deployed.dead_letters("vision")
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    settable = ("MessageRetentionPeriod", "Policy", "SqsManagedSseEnabled", "VisibilityTimeout")
    sqs.delete_queue(QueueUrl=url)
    yield
    sqs.create_queue(
        QueueName=url.rpartition("/")[2],
        Attributes={name: attributes[name] for name in settable if name in attributes},
    )


@contextmanager
def no_index(deployed: Deployed) -> Iterator[None]:
    dynamodb, table = deployed.client("dynamodb"), deployed.outputs["LedgerTableName"]
    before = dynamodb.describe_table(TableName=table)["Table"]
    (index,) = before["GlobalSecondaryIndexes"]
    wanted = {name: index[name] for name in ("IndexName", "KeySchema", "Projection")}
    dynamodb.update_table(
        TableName=table,
        GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": index["IndexName"]}}],
    )
    yield
    dynamodb.update_table(
        TableName=table,
        AttributeDefinitions=before["AttributeDefinitions"],
        GlobalSecondaryIndexUpdates=[{"Create": wanted}],
    )


@contextmanager
def silent_topic(deployed: Deployed) -> Iterator[None]:
    sns = deployed.client("sns")
    (arn,) = [t["TopicArn"] for t in sns.list_topics()["Topics"] if ":hpoq-alarms" in t["TopicArn"]]
    before = sns.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"]
    policy = json.loads(before)
    policy["Statement"] = [s for s in policy["Statement"] if s["Effect"] == "Deny"]
    sns.set_topic_attributes(
        TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps(policy)
    )
    yield
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=before)


@contextmanager
def changed_document(
    deployed: Deployed, name: str, change: Callable[[dict[str, Any]], None]
) -> Iterator[None]:
    dynamodb = deployed.client("dynamodb")
    key = {"team": {"S": "#deployment"}, "id": {"S": name}}
    item = dynamodb.get_item(TableName="hpoq-ledger", Key=key)["Item"]
    document = json.loads(item["document"]["S"])
    change(document)
    changed = item | {"document": {"S": json.dumps(document)}}
    dynamodb.put_item(TableName="hpoq-ledger", Item=changed)
    yield
    dynamodb.put_item(TableName="hpoq-ledger", Item=item)


def silent_dispatcher(deployed: Deployed) -> AbstractContextManager[None]:
    def long_ago(document: dict[str, Any]) -> None:
        document["at"] = (datetime.now(UTC) - timedelta(hours=3)).isoformat()

    return changed_document(deployed, "capacity", long_ago)


def forbidden_template(deployed: Deployed) -> AbstractContextManager[None]:
    def only_gpus(document: dict[str, Any]) -> None:
        document["deployment"]["guardrails"]["instance_types"] = ["ml.g5.*"]

    return changed_document(deployed, "settings", only_gpus)


PLANTED: dict[str, tuple[Callable[[Deployed], AbstractContextManager[None]], str, str]] = {
    "a disabled rule": (disabled_rule, "rules", "is disabled. Run `aws events enable-rule"),
    "a throttled function": (throttled_function, "function", "its concurrency is 0. Run `aws"),
    "a channel without data": (no_data, "data", "is empty. Upload it with `hpoq data push FOLDER`"),
    "a role that SageMaker may not assume": (no_trust, "role", "does not trust sagemaker"),
    "a role without permissions": (
        no_permissions,
        "role",
        "may not call s3:GetObject, s3:PutObject on",
    ),
    "a role that may not list its workspace": (
        no_listing,
        "role",
        "may not call s3:ListBucket on arn:aws:s3:::hpoq-",
    ),
    "a dispatcher that may not pass the training role": (
        no_passing,
        "permissions",
        "role may not call iam:PassRole on arn:aws:iam::",
    ),
    "a dispatcher without permissions": (
        powerless_dispatcher,
        "permissions",
        "role may not call sagemaker:CreateHyperParameter",
    ),
    "training scripts that are gone": (no_scripts, "scripts", "are gone. Deploy again"),
    "a queue that is gone": (
        no_queue,
        "queues",
        "hpoq-vision-dead-letter is gone. Restore it as in",
    ),
    "a ledger without its index": (
        no_index,
        "ledger",
        "the index line of the table hpoq-ledger is gone. Restore it as in",
    ),
    "a topic that CloudWatch may not use": (silent_topic, "alarm topic", "let CloudWatch publish"),
    "a silent dispatcher": (silent_dispatcher, "cycles", "completed 180 minutes ago"),
    "guardrails without the default type": (forbidden_template, "request", "Use ml.g5.*"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_named_in_one_line(sound: Deployed, name: str) -> None:
    plant, check, words = PLANTED[name]
    with plant(sound):
        found = faults(sound)
    assert set(found) == {check}
    assert words in found[check]
    assert "\n" not in found[check]
    assert faults(sound) == {}, "the fault is gone when it has been fixed"


def test_rejected_messages_are_a_warning(sound: Deployed) -> None:
    url = sound.dead_letters("fraud")
    sound.client("sqs").purge_queue(QueueUrl=url)  # what other tests have left
    sound.client("sqs").send_message(QueueUrl=url, MessageBody="{}")
    warnings = [each for each in examine(examined(sound)) if each.verdict is Verdict.WARNING]
    sound.client("sqs").purge_queue(QueueUrl=url)
    assert "1 rejected message of team fraud. Run `hpoq redrive --team fraud` to see why" in map(
        str, warnings
    )


def test_another_name_or_region_is_a_missing_stack(sound: Deployed) -> None:
    found: list[Finding] = list(examine(replace(examined(sound), deployment="nosuch")))
    assert found[-1].verdict is Verdict.FAULT
    assert str(found[-1]).startswith("there is no stack 'nosuch' in ")


def test_a_deployment_in_another_region_is_recognized_by_its_iam_names(sound: Deployed) -> None:
    elsewhere = CloudSession(replace(sound.cloud.running, region="eu-central-1"))
    found = list(examine(Examined(deployment="hpoq", session=elsewhere)))
    assert "in eu-central-1, but there is in another Region. Name that Region" in str(found[-1])


def test_a_check_without_permission_says_so(sound: Deployed) -> None:
    session = user_with(sound.session, sound.cloud, f"stranger-{time.time_ns()}")
    found = list(examine(Examined(deployment="hpoq", session=session)))
    assert {each.verdict for each in found if each.check == "stack"} == {Verdict.UNKNOWN}
