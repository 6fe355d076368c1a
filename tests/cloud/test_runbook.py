"""The commands of each section of the runbook show, during the outage, what the section says."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from hpo_dispatcher.contract import names
from hpo_dispatcher.contract.ledger.dynamodb_json import to_wire
from hpo_dispatcher.contract.ledger.owed_rows import owed_item, owed_key
from hpo_dispatcher.contract.ledger.rows import LEASE_KEY
from hpo_dispatcher.contract.workflows.answers import OwedAnswer
from hpo_dispatcher.contract.workflows.callbacks import Callback, CallbackKind
from hpoq.client import Client
from hpoq.local.lifecycle.processes import wait_until
from tests.support.aws_command import path_with_aws
from tests.support.deployed_stack import ROOT, Deployed
from tests.support.iam_users import policy_without
from tests.support.sleeping_jobs import sleeping

PAGE = (ROOT / "docs" / "runbook.md").read_text()
RANGES = {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}}


def commands(section: str) -> list[str]:
    """Return the commands of a section; of the first part of the page for an empty name."""
    part = PAGE.split(f"\n## {section}\n")[1] if section else PAGE
    part = part.split("\n## ")[0]
    fences = re.findall(r"^ *```sh\n(.*?)^ *```", part, re.DOTALL | re.MULTILINE)
    return [line.strip() for fence in fences for line in fence.splitlines() if line.strip()]


def said(deployed: Deployed, section: str, folder: Path, only: str = "") -> str:
    """Run the commands of a section with a text, and return everything that they print."""
    environment = deployed.cloud.environ()
    environment["PATH"] = path_with_aws(environment["PATH"])
    output = ""
    chosen = [command for command in commands(section) if only in command]
    assert chosen, f"no command of {section!r} contains {only!r}"
    for command in chosen:
        # The aws command from pip ignores AWS_ENDPOINT_URL for SQS.
        here = command.replace("aws sqs ", 'aws sqs --endpoint-url "$AWS_ENDPOINT_URL" ')
        ended = subprocess.run(
            ["bash", "-c", here.replace("/tmp/", f"{folder}/")],
            env=environment, capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
        output += ended.stdout + ended.stderr
    return output


@pytest.fixture(scope="module")
def sound(deployed: Deployed) -> Deployed:
    """A deployment that has completed a cycle."""
    cycle(deployed)
    return deployed


def cycle(deployed: Deployed) -> None:
    """Run a cycle, or let the dispatcher that is running one run another, and wait for its end."""
    function, table = (
        deployed.outputs[each] for each in ("DispatcherFunctionName", "LedgerTableName")
    )
    answer = deployed.client("lambda").invoke(FunctionName=function, Payload=b"{}")
    summary = json.loads(answer["Payload"].read())
    if "FunctionError" in answer or not summary["skipped"]:
        return
    dynamodb, key = deployed.client("dynamodb"), to_wire(LEASE_KEY)

    def is_over() -> bool:
        return "holder" not in dynamodb.get_item(TableName=table, Key=key)["Item"]

    assert wait_until(is_over, 120), "another cycle does not end"


def send(deployed: Deployed, body: dict[str, Any]) -> None:
    deployed.client("sqs").send_message(
        QueueUrl=deployed.queue("fraud"), MessageBody=json.dumps(body)
    )


@contextmanager
def no_heartbeat(deployed: Deployed) -> Iterator[None]:
    """Disable the heartbeat rule, and let no invocation start."""
    events, function = deployed.client("events"), deployed.outputs["DispatcherFunctionName"]
    lambda_ = deployed.client("lambda")
    arn = lambda_.get_function_configuration(FunctionName=function)["FunctionArn"]
    (rule,) = [  # the cloud may have other deployments
        each["Name"]
        for each in events.list_rules()["Rules"]
        if "DispatcherHeartbeat" in each["Name"]
        and any(
            arn in to["Arn"] for to in events.list_targets_by_rule(Rule=each["Name"])["Targets"]
        )
    ]
    events.disable_rule(Name=rule)
    lambda_.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    try:
        yield
    finally:
        lambda_.delete_function_concurrency(FunctionName=function)
        events.enable_rule(Name=rule)


@contextmanager
def no_reading_of_the_queue(deployed: Deployed) -> Iterator[None]:
    """Take the permission to receive requests from the dispatcher, which then fails."""
    function = deployed.outputs["DispatcherFunctionName"]
    found = deployed.client("lambda").get_function_configuration(FunctionName=function)
    role = found["Role"].rpartition("/")[2]
    with policy_without(deployed.session, role, "sqs:ReceiveMessage"):
        cycle(deployed)
        yield


@contextmanager
def a_rejected_message(deployed: Deployed) -> Iterator[None]:
    send(deployed, {"request_id": "outage", "hyperparameter_ranges": RANGES, "template": "gone"})
    cycle(deployed)
    client = Client("hpoq", deployed.session)
    assert wait_until(lambda: client.count_dead_letters("fraud") > 0, 60), "no dead letter"
    try:
        yield
    finally:
        deployed.client("sqs").purge_queue(QueueUrl=deployed.dead_letters("fraud"))


@contextmanager
def no_trust(deployed: Deployed) -> Iterator[None]:
    """Let SageMaker not assume the team's training role, for which a request then waits."""
    iam, name = deployed.client("iam"), deployed.outputs["TrainingRoleArnFraud"].rpartition("/")[2]
    before = json.dumps(iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"])
    id_ = f"fault-{time.time_ns()}"
    client = Client("hpoq", deployed.session)
    iam.update_assume_role_policy(
        RoleName=name, PolicyDocument=before.replace("sagemaker.", "ec2.")
    )
    try:
        send(deployed, {"request_id": id_, "hyperparameter_ranges": RANGES})

        def is_refused() -> bool:
            cycle(deployed)
            return refused(client, id_)

        assert wait_until(is_refused, 60), "not refused"
        yield
    finally:
        client.act("fraud", "cancel", request_id=id_)
        cycle(deployed)
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=before)


def refused(client: Client, id_: str) -> bool:
    """Return whether SageMaker has refused a request of the team."""
    entry = client.get_all("fraud", [id_]).get(id_)
    return entry is not None and bool(entry.reason)


@contextmanager
def throttled_calls(deployed: Deployed) -> Iterator[None]:
    """Write the log line of a cycle whose calls AWS throttled."""
    logs, group = deployed.client("logs"), "/aws/lambda/hpoq-dispatcher"
    stream = f"throttled-{time.time_ns()}"
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    lines = [{"service": "SageMaker", "ApiThrottles": [count]} for count in (0, 140)]
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": json.dumps(line)} for line in lines]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    yield


@contextmanager
def a_flood(deployed: Deployed) -> Iterator[None]:
    """Leave messages in the queue of a dispatcher that does not run."""
    with no_heartbeat(deployed):
        for number in range(3):
            send(deployed, {"request_id": f"flood-{number}", "hyperparameter_ranges": RANGES})
        try:
            yield
        finally:
            deployed.client("sqs").purge_queue(QueueUrl=deployed.queue("fraud"))


@contextmanager
def a_workflow_that_the_settings_do_not_name(deployed: Deployed) -> Iterator[None]:
    """Leave an answer that is owed from before the setting ``workflows`` was removed."""
    callback = Callback(kind=CallbackKind.STEP_FUNCTIONS, token="AQC" + "y" * 100)
    owed = OwedAnswer(callback=callback, team="fraud", request_id="outage")
    dynamodb, table = deployed.client("dynamodb"), names.ledger_table("hpoq")
    dynamodb.put_item(TableName=table, Item=to_wire(owed_item(owed)))
    try:
        cycle(deployed)
        yield
    finally:
        dynamodb.delete_item(TableName=table, Key=to_wire(owed_key(callback)))


@contextmanager
def a_full_account(deployed: Deployed) -> Iterator[None]:
    """Let jobs from outside the queue use all ten slots of the deployment's limit."""
    stamp = time.time_ns()
    with sleeping(deployed, [f"outside-{number}-{stamp % 10**9}" for number in range(10)]):
        cycle(deployed)
        yield


@contextmanager
def no_table(deployed: Deployed) -> Iterator[None]:
    """Delete the ledger's table; create it again, with its rows, if the test has not done so."""
    dynamodb, name = deployed.client("dynamodb"), deployed.outputs["LedgerTableName"]
    rows = [row for page in dynamodb.get_paginator("scan").paginate(TableName=name)
            for row in page["Items"]]  # fmt: skip
    before = dynamodb.describe_table(TableName=name)["Table"]
    dynamodb.delete_table(TableName=name)
    try:
        yield
    finally:
        if name not in dynamodb.list_tables()["TableNames"]:
            create_like(deployed, before)
        for row in rows:
            if row["team"]["S"] != LEASE_KEY["team"]:  # nobody would release it
                dynamodb.put_item(TableName=name, Item=row)


def create_like(deployed: Deployed, table: dict[str, Any]) -> None:
    """Create the ledger's table as the template defines it."""
    wanted = ("IndexName", "KeySchema", "Projection")
    deployed.client("dynamodb").create_table(
        TableName=table["TableName"], KeySchema=table["KeySchema"],
        AttributeDefinitions=table["AttributeDefinitions"], BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[
            {key: index[key] for key in wanted} for index in table["GlobalSecondaryIndexes"]
        ],
    )  # fmt: skip


Outage = Callable[[Deployed], AbstractContextManager[None]]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("outage", "section", "shown"),
    [
        (no_heartbeat, "no-cycle", [r'"DISABLED"', r'"ReservedConcurrentExecutions": 0']),
        (no_reading_of_the_queue, "errors", ["CycleIncomplete|AccessDenied", "ReceiveMessage"]),
        (no_reading_of_the_queue, "oldest-message", ["problems", "fraud"]),
        (no_reading_of_the_queue, "failed-events", ["DispatcherFailures"]),
        (a_rejected_message, "dead-letters", ["gone", "template"]),
        (a_flood, "long-cycle", [r'"ApproximateNumberOfMessages": "3"']),
        (no_reading_of_the_queue, "A resource of the stack was changed", ["sqs:ReceiveMessage"]),
        (no_trust, "account-fault", ["fault-[0-9]+", "AccountFault", "sagemaker.amazonaws.com"]),
        (no_trust, "oldest-request", ["fault-[0-9]+"]),
        (throttled_calls, "api-throttles", [r"140"]),
        (no_heartbeat, "throttles", ["ConcurrentExecutions", "tuning jobs"]),
        (
            a_workflow_that_the_settings_do_not_name,
            "unanswered-workflow",
            ["workflow not answered", "the setting workflows does not name", "outage"],
        ),
        (a_full_account, "at-limit", [r"tuning jobs +10 +10 +\(others\) 10", "outside-9"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_section_shows_its_outage(
    sound: Deployed, tmp_path: Path, outage: Outage, section: str, shown: list[str]
) -> None:
    with outage(sound):
        output = said(sound, section, tmp_path)
    assert [each for each in shown if not re.search(each, output)] == [], output


@pytest.mark.timeout(600)
def test_a_lost_ledger_is_repaired_as_its_section_says(sound: Deployed, tmp_path: Path) -> None:
    section, id_ = "The ledger was lost or restored", f"lost-{time.time_ns()}"
    name = names.tuning_job_name("fraud", id_)
    tags = {names.TAG_REQUEST_ID: id_, names.TAG_TEAM: "fraud", names.TAG_DEPLOYMENT: "hpoq"}
    table = sound.client("dynamodb").describe_table(TableName=sound.outputs["LedgerTableName"])
    with sleeping(sound, [name], tags), no_table(sound):
        cycle(sound)
        log = said(sound, "", tmp_path, only="?ERROR ?cycle")
        assert "the ledger's table hpoq-ledger does not exist" in log
        create_like(sound, table["Table"])
        cycle(sound)
        shown = said(sound, section, tmp_path)
        assert id_ in shown
        assert "nothing was written. Use --apply to write them" in shown
        assert Client("hpoq", sound.session).get_all("fraud", [id_]) == {}


def test_the_alarm_of_another_queue_stays_quiet(sound: Deployed) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html:
    each combination of dimensions is a metric of its own."""
    cloudwatch = sound.client("cloudwatch")
    names = [f"queue-{number}-{time.time_ns()}" for number in range(2)]
    for name in names:
        cloudwatch.put_metric_alarm(
            AlarmName=name, Namespace="test", MetricName="Messages", Statistic="Maximum",
            Dimensions=[{"Name": "QueueName", "Value": name}], Period=60, EvaluationPeriods=1,
            Threshold=0, ComparisonOperator="GreaterThanThreshold",
        )  # fmt: skip
    cloudwatch.put_metric_data(
        Namespace="test",
        MetricData=[
            {
                "MetricName": "Messages",
                "Value": 1,
                "Dimensions": [{"Name": "QueueName", "Value": names[0]}],
            }
        ],
    )
    alarms = cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]
    states = {each["AlarmName"]: each["StateValue"] for each in alarms}
    assert states == {names[0]: "ALARM", names[1]: "INSUFFICIENT_DATA"}


def test_a_search_of_logs_reads_the_streams_of_its_prefix(sound: Deployed) -> None:
    logs, group = sound.client("logs"), f"prefix-{time.time_ns()}"
    logs.create_log_group(logGroupName=group)
    now = int(time.time() * 1000)
    for stream in ("fraud-a/algo-1", "vision-a/algo-1"):
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        event = {"timestamp": now, "message": f'{{"team": "{stream}", "count": 1}}'}
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])

    def found(**options: Any) -> list[str]:
        events = logs.filter_log_events(logGroupName=group, **options)["events"]
        return [each["logStreamName"] for each in events]

    assert found(logStreamNamePrefix="fraud-") == ["fraud-a/algo-1"]
    assert found(logStreamNamePrefix="speech-") == []
    assert found(filterPattern="{ $.count > 1 }") == []
    with pytest.raises(logs.exceptions.InvalidParameterException):
        found(logStreamNamePrefix="fraud-", logStreamNames=["fraud-a/algo-1"])
    with pytest.raises(logs.exceptions.InvalidParameterException):
        found(filterPattern="[ip, user]")
