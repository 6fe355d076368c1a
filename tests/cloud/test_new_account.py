"""The product in an account with the limits of a new AWS account."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from hpo_dispatcher.contract.documents.capacity import WaitKind
from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.names import training_role
from hpo_dispatcher.contract.templates import read_templates
from hpo_dispatcher.cycle.outcome import Summary
from hpo_dispatcher.cycle.pacing import Deadline
from hpo_dispatcher.wiring import build_dispatcher
from hpoq.client import Client
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import Verdict
from hpoq.doctor.run import examine
from hpoq.local import cloud as clouds
from hpoq.local.cloud import Cloud
from hpoq.local.errors import LocalCloudError
from hpoq.local.lifecycle.processes import wait_until
from hpoq.local.limits import Limit, Profile
from infra.source import write_function
from tests.support import credit_data
from tests.support import tiny_jobs as tiny
from tests.support.deployed_stack import ROOT, TEAMS, Deployed
from tests.support.event_listener import EventListener
from tests.support.iam_users import inline_policy, policy_without, user_with
from tests.support.job_spans import most_at_once, tuning_jobs

# From awslabs/fhir-works-on-aws-deployment issue 691.
CANNOT_RESERVE = (
    "Specified ReservedConcurrentExecutions for function decreases account's "
    "UnreservedConcurrentExecution below its minimum value of [10]."
)
INSTANCES = 4  # of all training jobs together
REQUESTS = 150
PATIENCE = 200.0
TINY_SETTINGS: dict[str, Any] = {"teams": {"fraud": {}}, "limits": {"creates_per_second": 50}}
BARE = {"hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}}}


@pytest.fixture(scope="module")
def new_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    home = tmp_path_factory.mktemp("new-account") / ".hpoq"
    quick = {Limit.STOP_GRACE: 1}  # rather than two minutes
    with clouds.start(home, profile=Profile.NEW_ACCOUNT, quotas=quick) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def refusal(new_account: Cloud) -> str:
    """Deploy with reserved concurrency for the first time, and return why that failed."""
    with pytest.raises(LocalCloudError) as caught:
        new_account.deploy({"teams": TEAMS, "reserved_concurrency": "1"}, app=ROOT)
    return str(caught.value)


@pytest.fixture(scope="module")
def deployed(new_account: Cloud, refusal: str) -> Deployed:
    """Repeat the first deployment with the default settings."""
    assert refusal
    return Deployed(new_account, new_account.deploy({"teams": TEAMS}, app=ROOT))


@pytest.fixture(scope="module")
def tiny_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def flooded(new_account: Cloud, tiny_project: Path) -> Deployed:
    return tiny.deploy(new_account, "flood", tiny_project, **TINY_SETTINGS)


def await_completion(find: Callable[[], list[Entry]], count: int, seconds: float) -> list[Entry]:
    """Wait until all requests have completed, and return them."""

    def statuses() -> Counter[Status]:
        return Counter(entry.status for entry in find())

    done = wait_until(lambda: statuses()[Status.COMPLETED] == count, seconds, step=1)
    assert done, [(entry.request_id, entry.status, entry.reason) for entry in find()][:10]
    return find()


def starts_of(events: list[dict[str, Any]], requests: set[str]) -> Counter[str]:
    """Return how often each request was announced as InProgress."""
    return Counter(
        event["request_id"]
        for event in events
        if event["status"] == "InProgress" and event["request_id"] in requests
    )


@pytest.mark.timeout(300)
def test_reserved_concurrency_is_refused_and_the_first_deployment_can_be_repeated(
    refusal: str, deployed: Deployed
) -> None:
    assert CANNOT_RESERVE in " ".join(refusal.split())
    stacks = deployed.client("cloudformation").describe_stacks(StackName="hpoq")["Stacks"]
    assert [stack["StackStatus"] for stack in stacks] in (["CREATE_COMPLETE"], ["UPDATE_COMPLETE"])
    function = deployed.outputs["DispatcherFunctionName"]
    with pytest.raises(ClientError) as caught:
        deployed.client("lambda").put_function_concurrency(
            FunctionName=function, ReservedConcurrentExecutions=1
        )
    assert caught.value.response["Error"]["Message"] == CANNOT_RESERVE


@pytest.mark.timeout(PATIENCE + 60)
def test_three_requests_of_two_teams_train_within_the_quotas_of_a_new_account(
    deployed: Deployed, tmp_path: Path
) -> None:
    credit_data.upload(deployed, tmp_path)
    client = Client("hpoq", session=deployed.session)
    listener = EventListener(deployed, "main-job", "hpoq")
    asked = {"fraud": ("fraud-a", "fraud-b"), "vision": ("vision-a",)}
    for team, names in asked.items():
        client.submit(
            team, [credit_data.search(name, "Random", trials=2, epochs=1) for name in names]
        )

    def entries() -> list[Entry]:
        return [entry for team in asked for entry in client.entries(team)]

    ended = await_completion(entries, 3, PATIENCE)
    names = {entry.tuning_job_name for entry in ended}
    assert most_at_once(tuning_jobs(deployed, names)) * 2 <= INSTANCES
    requests = {entry.request_id for entry in ended}
    assert starts_of(listener.received(), requests) == dict.fromkeys(requests, 1)


@pytest.mark.timeout(PATIENCE + 60)
def test_the_demo_ends_completed_and_the_doctor_finds_no_fault(deployed: Deployed) -> None:
    cloud = deployed.cloud
    demo = [sys.executable, str(ROOT / "examples" / "demo" / "run.py"), "--profile", "new-account"]
    ran = subprocess.run(
        demo, env=os.environ | {"HPOQ_HOME": str(cloud.home.path)}, cwd=ROOT, check=False,
        capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "3 of 3 requests Completed, 15 models trained" in " ".join(ran.stderr.split())
    found = list(examine(Examined(deployment="hpoq", session=deployed.session)))
    assert [str(each) for each in found if each.verdict in (Verdict.FAULT, Verdict.UNKNOWN)] == []


@pytest.mark.ci
@pytest.mark.timeout(PATIENCE + 60)
def test_150_bare_messages_complete_and_no_request_flaps(flooded: Deployed) -> None:
    listener = EventListener(flooded, "flood", "flood")
    client = Client("flood", session=flooded.session)
    ids = set(client.submit("fraud", [BARE] * REQUESTS))

    def entries() -> list[Entry]:
        return [entry for entry in client.entries("fraud") if entry.request_id in ids]

    ended = await_completion(entries, REQUESTS, PATIENCE)
    jobs = tuning_jobs(flooded, {entry.tuning_job_name for entry in ended})
    assert len(jobs) == REQUESTS
    assert most_at_once(jobs) <= INSTANCES
    starts = starts_of(listener.received(), ids)
    assert {request: count for request, count in starts.items() if count != 1} == {}
    assert len(starts) == REQUESTS


def disable_rules(deployed: Deployed) -> None:
    """Disable what starts dispatch cycles."""
    function = deployed.client("lambda").get_function_configuration(
        FunctionName=deployed.outputs["DispatcherFunctionName"]
    )
    events = deployed.client("events")
    for name in events.list_rule_names_by_target(TargetArn=function["FunctionArn"])["RuleNames"]:
        events.disable_rule(Name=name)


class Hours:
    """A dispatcher of a deployment whose clock the test moves; nothing else runs cycles."""

    def __init__(
        self,
        deployed: Deployed,
        project: Path,
        folder: Path,
        session: boto3.Session | None = None,
    ) -> None:
        disable_rules(deployed)
        name = deployed.outputs["DispatcherFunctionName"]
        function = deployed.client("lambda").get_function_configuration(FunctionName=name)
        write_function(folder, TINY_SETTINGS | {"default_template": "tiny"})
        self._passed = timedelta()
        templates = read_templates(project / "lambdas/hpo_dispatcher/templates")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hpo_dispatcher.wiring.read_templates", lambda: templates)
            variables = function["Environment"]["Variables"] | deployed.cloud.env
            dispatcher = build_dispatcher(variables, folder, session or deployed.session)
        self._dispatcher = replace(dispatcher, clock=self._now)

    def _now(self) -> datetime:
        return datetime.now(UTC) + self._passed

    def pass_minutes(self, minutes: int) -> Summary:
        """Let time pass and run a cycle."""
        self._passed += timedelta(minutes=minutes)
        end = time.monotonic() + 60
        return self._dispatcher.run(Deadline(remaining=lambda: end - time.monotonic(), total=60))


@pytest.mark.timeout(PATIENCE + 100)
def test_a_role_that_is_disabled_for_an_hour_loses_and_rejects_nothing(
    flooded: Deployed, tiny_project: Path, tmp_path: Path
) -> None:
    hours = Hours(flooded, tiny_project / "flood", tmp_path)
    iam = flooded.client("iam")
    name = training_role("flood", "fraud")
    trust = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    nobody = json.loads(json.dumps(trust).replace('"Allow"', '"Deny"'))
    client = Client("flood", session=flooded.session)

    def entries() -> list[Entry]:
        return [entry for entry in client.entries("fraud") if entry.request_id in ids]

    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(nobody))
    try:
        ids = set(client.submit("fraud", [BARE] * 6))
        for _ in range(6):
            hours.pass_minutes(10)
        assert Counter(entry.status for entry in entries()) == {Status.QUEUED: 6}
    finally:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))

    def completed() -> bool:
        hours.pass_minutes(10)
        return Counter(entry.status for entry in entries()) == {Status.COMPLETED: 6}

    assert wait_until(completed, 60, step=0.5), [(e.status, e.reason) for e in entries()]
    assert len({entry.tuning_job_name for entry in entries()}) == 6
    assert rejected(flooded) == 0


def rejected(deployed: Deployed) -> int:
    """Return the number of messages in the dead-letter queue of team fraud."""
    queue = deployed.client("sqs").get_queue_attributes(
        QueueUrl=deployed.dead_letters("fraud"), AttributeNames=["ApproximateNumberOfMessages"]
    )
    return int(queue["Attributes"]["ApproximateNumberOfMessages"])


@pytest.mark.timeout(PATIENCE + 200)
def test_a_dispatcher_that_may_not_pass_the_training_role_lets_requests_wait(
    new_account: Cloud, tmp_path: Path
) -> None:
    """The deployed function meets the fault; a dispatcher with its policies sees the end of it."""
    deployed = tiny.deploy(new_account, "unpassed", tmp_path, **TINY_SETTINGS)
    aws = deployed.session.client("lambda")
    function = deployed.outputs["DispatcherFunctionName"]
    role = aws.get_function_configuration(FunctionName=function)["Role"].rpartition("/")[2]
    listener = EventListener(deployed, "no-pass-role", "unpassed")
    client = Client("unpassed", session=deployed.session)

    def entries() -> list[Entry]:
        return [entry for entry in client.entries("fraud") if entry.request_id in ids]

    disable_rules(deployed)
    with policy_without(deployed.session, role, "iam:PassRole"):
        ids = set(client.submit("fraud", [BARE] * 3))
        answer = aws.invoke(FunctionName=function, Payload=b"{}")
        lacking = inline_policy(deployed.session, role)
    as_role = user_with(deployed.session, deployed.cloud, role, lacking)
    hours = Hours(deployed, tmp_path / "unpassed", tmp_path / "function", as_role)
    summary = json.load(answer["Payload"])
    assert summary["account_faults"] == 3, summary  # the metric of the same name
    assert {hours.pass_minutes(10).account_faults for _ in range(6)} == {3}
    assert Counter(entry.status for entry in entries()) == {Status.QUEUED: 3}
    assert all("iam:PassRole" in entry.reason for entry in entries())
    document = client.capacity()
    assert document
    assert {each.reason_kind for each in document.waiting} == {WaitKind.ACCOUNT_FAULT}
    assert rejected(deployed) == 0
    assert starts_of(listener.received(), ids) == {}

    restored = json.dumps(inline_policy(deployed.session, role))
    deployed.client("iam").put_user_policy(UserName=role, PolicyName="p0", PolicyDocument=restored)

    def completed() -> bool:
        hours.pass_minutes(10)
        return Counter(entry.status for entry in entries()) == {Status.COMPLETED: 3}

    assert wait_until(completed, 60, step=0.5), [(e.status, e.reason) for e in entries()]
    assert hours.pass_minutes(10).account_faults == 0
    assert starts_of(listener.received(), ids) == dict.fromkeys(ids, 1)
