"""The invariants hold whichever call of a dispatcher fails, and the next clean cycles converge.

A row of the matrix is a port's method and an API call that it makes; a column is a fault. The ports
are the real ones and use moto. ``pytest -s`` prints the matrix at the end.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from hpo_dispatcher import ports, wiring
from hpo_dispatcher.aws.workflows.answers import AwsWorkflows
from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.cycle.lease import CycleIncomplete
from hpo_dispatcher.cycle.workflows.heartbeats import SpacedHeartbeats
from hpo_dispatcher.ports import Unavailable
from hpo_dispatcher.tuning_job.builder import Images
from tests.support.account_snapshot import AccountSnapshot
from tests.support.dispatcher_account import Account, ample_time, deployment_in_moto, session
from tests.support.fault_scene import (
    ANSWERED,
    EXPECTED,
    FOREIGN,
    WAITING,
    WRONG,
    WRONG_STEP,
    ScriptedSageMaker,
    prepare,
)
from tests.support.killed_dispatcher import Killed, make_messages_visible, much_later
from tests.support.waiting_workflows import WaitingWorkflows, task_token
from tests.support.watched import START, Watched, method_at_work, watched

__all__ = ["session"]

Row = tuple[str, str]  # method, API call
ROWS: list[Row] = [
    (method, f"{service}:{operation}")
    for method, service, operations in [
        (START, "dynamodb", "GetItem PutItem"),
        ("queues.receive", "sqs", "GetQueueUrl ReceiveMessage"),
        ("queues.delete", "sqs", "DeleteMessageBatch"),
        ("queues.reject", "sqs", "GetQueueUrl SendMessage"),
        ("leases.acquire", "dynamodb", "UpdateItem"),
        ("leases.release", "dynamodb", "UpdateItem"),
        ("leases.ask_for_cycle", "dynamodb", "UpdateItem"),
        ("requests.add", "dynamodb", "TransactWriteItems GetItem"),
        ("requests.get", "dynamodb", "GetItem"),
        ("requests.get_all", "dynamodb", "BatchGetItem"),
        ("requests.heads", "dynamodb", "Query"),
        ("requests.queued_from", "dynamodb", "Query"),
        ("requests.running", "dynamodb", "Query"),
        ("requests.blocked", "dynamodb", "Query"),
        ("requests.blocked_of", "dynamodb", "Query"),
        ("requests.unblock", "dynamodb", "GetItem TransactWriteItems"),
        ("requests.set_priority", "dynamodb", "GetItem TransactWriteItems"),
        ("requests.hold", "dynamodb", "GetItem TransactWriteItems"),
        ("requests.release", "dynamodb", "GetItem TransactWriteItems"),
        ("requests.start", "dynamodb", "TransactWriteItems"),
        ("requests.requeue", "dynamodb", "TransactWriteItems"),
        ("requests.stop", "dynamodb", "TransactWriteItems"),
        ("requests.preempt", "dynamodb", "TransactWriteItems"),
        ("requests.finish", "dynamodb", "TransactWriteItems"),
        ("requests.spent", "dynamodb", "Query"),
        ("documents.get", "dynamodb", "GetItem"),
        ("documents.put", "dynamodb", "PutItem"),
        ("tuning.in_progress", "sagemaker", "ListHyperParameterTuningJobs"),
        ("tuning.describe", "sagemaker", "DescribeHyperParameterTuningJob"),
        ("tuning.search_ended", "sagemaker", "Search"),
        ("tuning.trained", "sagemaker", "Search"),
        ("tuning.instances", "sagemaker", "DescribeHyperParameterTuningJob"),
        (
            "tuning.create",
            "sagemaker",
            "CreateHyperParameterTuningJob DescribeHyperParameterTuningJob ListTags",
        ),
        ("tuning.stop", "sagemaker", "StopHyperParameterTuningJob"),
        ("tuning.model_uri", "sagemaker", "DescribeTrainingJob"),
        ("answers.owe", "dynamodb", "TransactWriteItems"),
        ("answers.owed", "dynamodb", "Query"),
        ("answers.postpone", "dynamodb", "UpdateItem"),
        ("answers.settle", "dynamodb", "TransactWriteItems"),
        ("workflows.succeed", "states", "SendTaskSuccess"),
        ("workflows.succeed", "sagemaker", "SendPipelineExecutionStepSuccess"),
        ("workflows.fail", "states", "SendTaskFailure"),
        ("workflows.fail", "sagemaker", "SendPipelineExecutionStepFailure"),
        ("workflows.heartbeat", "states", "SendTaskHeartbeat"),
        ("quotas.training_instances", "dynamodb", "GetItem PutItem"),
        ("quotas.training_instances", "servicequotas", "ListServiceQuotas"),
        ("images.uri", "dynamodb", "GetItem PutItem"),
        ("events.publish", "events", "PutEvents"),
    ]
    for operation in operations.split()
]
WITHOUT_CALLS = {"requests.unreadable"}
ON_TARGETS = {"replicas.difference"}  # test_replicated_data.py lets these calls fail
PORTS = {
    "RequestQueues": "queues",
    "Leases": "leases",
    "Documents": "documents",
    "Entries": "requests",
    "QueuedRequests": "requests",
    "RunningRequests": "requests",
    "FinishedRequests": "requests",
    "Requests": "requests",
    "TuningService": "tuning",
    "Quotas": "quotas",
    "Images": "images",
    "Events": "events",
    "OwedAnswers": "answers",
    "Workflows": "workflows",
    "Replicas": "replicas",
}
Fault = Callable[[str], BaseException]


def refused(code: str, status: int) -> Fault:
    def error(operation: str) -> BaseException:
        answer: Any = {
            "Error": {"Code": code, "Message": "injected"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }
        return ClientError(answer, operation)

    return error


def timed_out(_: str) -> BaseException:
    return ReadTimeoutError(endpoint_url="https://injected")


# name -> (when, error); "after" means that the call fails after it took effect.
FAULTS: dict[str, tuple[str, Fault]] = {
    "throttled": ("before", refused("ThrottlingException", 400)),
    "5xx": ("before", refused("InternalServerError", 500)),
    "timeout before": ("before", timed_out),
    "timeout after success": ("after", timed_out),
    "killed before": ("before", lambda _: Killed()),
    "killed after": ("after", lambda _: Killed()),
    "access denied": ("before", refused("AccessDeniedException", 400)),
}
MATRIX: dict[Row, dict[str, str]] = {}


def cells() -> list[tuple[Row, str]]:
    """Return the cells to try: all in CI, where they take minutes, else one of each row in turn."""
    if os.environ.get("HPOQ_TEST_ALL"):
        return [(row, fault) for row in ROWS for fault in FAULTS]
    faults = list(FAULTS)
    return [(row, faults[number % len(faults)]) for number, row in enumerate(ROWS)]


@contextmanager
def failing_once(session: boto3.Session, row: Row, fault: str) -> Iterator[list[Row]]:
    """Let the first call of a row fail, and yield the list of failed calls."""
    when, error = FAULTS[fault]
    hits: list[Row] = []

    def strike(model: Any, **_: Any) -> None:
        if not hits and (method_at_work(), called(model)) == row:
            hits.append(row)
            raise error(model.name)

    with hooked(session, when, strike):
        yield hits


@contextmanager
def hooked(session: boto3.Session, when: str, hook: Callable[..., None]) -> Iterator[None]:
    """Call ``hook`` before or after every API call."""
    event = {"before": "before-parameter-build", "after": "after-call"}[when]
    session.events.register(event, hook)
    try:
        yield
    finally:
        session.events.unregister(event, hook)


def called(model: Any) -> str:
    return f"{model.service_model.signing_name}:{model.name}"


class Stage:
    """The scene, which is prepared once and restored for each cell of the matrix."""

    def __init__(self, account: Account) -> None:
        self.account = account
        account.configure(
            teams={"fraud": {"monthly_instance_hours": 10_000}, "vision": {}},
            workflows={"state_machines": ["*"], "pipelines": ["*"]},
        )
        self.workflows = WaitingWorkflows(account.session)
        self.workflows.reset(*ANSWERED, WAITING)
        self.sagemaker = ScriptedSageMaker(account)
        prepare(account, self.sagemaker)
        self._services = AwsWorkflows(
            lambda: account.session.client("stepfunctions"),
            lambda: account.session.client("sagemaker"),
        )
        self.healthy = account.dispatcher()
        # A cycle writes settings, images and quotas only if these documents are missing.
        for document in ("settings", "images", "quotas"):
            key = {"team": {"S": "#deployment"}, "id": {"S": document}}
            account.dynamodb.delete_item(TableName="hpoq-ledger", Key=key)
        self._snapshot = AccountSnapshot.take()

    def set(self) -> None:
        self.sagemaker.crowded = True
        self.workflows.reset(*ANSWERED, WAITING)
        self.workflows.denied = {task_token("denied")}
        # A process that has sent no heartbeat yet.
        workflows = SpacedHeartbeats(self._services, lambda: datetime.now(UTC))
        self.healthy = replace(self.healthy, workflows=workflows)
        self._snapshot.restore()

    def dispatcher(self) -> Dispatcher:
        """Build a dispatcher with telemetry, as the handler does."""
        wired = wiring.wire(os.environ, self.account.root, self.account.session)
        wired.publish_settings()
        requests: Any = Watched("requests", wired.telemetry.requests)
        wired.telemetry.requests = requests
        return watched(wired.dispatcher)

    def settle(self) -> dict[tuple[str, str], Entry]:
        """Run clean cycles until parents and children have ended, and return the entries."""
        make_messages_visible(self.account)
        self.sagemaker.ends(FOREIGN, "Completed")
        entries: dict[tuple[str, str], Entry] = {}
        for hours in range(6):  # what was refused is tried again after a while
            much_later(self.healthy, hours)
            entries = dict(self.healthy.requests.get_all(list(EXPECTED)))
            ended = {key: entry.status for key, entry in entries.items()} == EXPECTED
            if ended and len(self.healthy.answers.owed()) == 1:
                break
        return entries


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, session: boto3.Session) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("stage")
    with deployment_in_moto(folder, session) as account:
        made = Stage(account)
        yield made
        made.sagemaker.close()
        made.workflows.close()


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a cycle read page by page, as it otherwise does with thousands of requests."""
    monkeypatch.setattr("hpo_dispatcher.cycle.reconcile.BLOCKED_READ", 0)
    monkeypatch.setattr("hpo_dispatcher.cycle.decision.queue_heads.MOST_HEADS", 1)


@pytest.mark.parametrize(
    ("row", "fault"),
    cells(),
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_whichever_call_fails_no_request_is_lost_or_doubled_and_the_next_cycles_converge(
    stage: Stage, session: boto3.Session, row: Row, fault: str
) -> None:
    stage.set()
    with failing_once(session, row, fault) as hits, suppress(Killed, Unavailable, CycleIncomplete):
        stage.dispatcher().run(ample_time())
    entries = stage.settle()

    assert {key: entry.status for key, entry in entries.items()} == EXPECTED
    ran = (Status.COMPLETED, Status.STOPPED, Status.FAILED)
    started = sum(status in ran for status in EXPECTED.values())
    jobs = stage.account.tuning_jobs()
    assert len(jobs) == started + 2, "one per request, another user's job, and the preempted job"
    assert len(entries["fraud", "goes-on"].earlier) == 1
    assert entries["fraud", "parked"].on_hold
    assert entries["fraud", "child"].priority == 5
    assert stage.account.waiting("fraud") == stage.account.waiting("vision") == 0
    bodies = {letter["body"] for letter in stage.account.dead_letters("vision")}
    assert bodies == {"not JSON", json.dumps(WRONG), json.dumps(WRONG_STEP)}, "without tokens"
    assert stage.account.dead_letters("fraud") == []
    assert stage.healthy.requests.running() == []
    told = stage.workflows.answers()  # which happens once for each workflow
    assert {token: operation for token, (operation, _) in told.items()} == ANSWERED
    assert [each.callback.token for each in stage.healthy.answers.owed()] == [WAITING]
    assert stage.workflows.heartbeats[WAITING] >= 1
    assert hits == [row], "the scene makes this call"
    MATRIX.setdefault(row, {})[fault] = "held"


def test_every_call_of_a_cycle_has_a_row(stage: Stage, session: boto3.Session) -> None:
    made: set[Row] = set()

    def record(model: Any, **_: Any) -> None:
        made.add((method_at_work(), called(model)))

    stage.set()
    with hooked(session, "before", record):
        stage.dispatcher().run(ample_time())

    assert made == set(ROWS)


def is_protocol(value: object) -> bool:
    """Return whether a value is a protocol class."""
    return Protocol in getattr(value, "__bases__", ())


def test_every_method_of_every_port_has_a_row() -> None:
    found = {
        name: each
        for name, each in vars(ports).items()
        if Protocol in getattr(each, "__bases__", ())
    }
    found["Images"] = Images
    methods = {
        f"{PORTS[name]}.{method}"
        for name, protocol in found.items()
        for method in vars(protocol)
        if not method.startswith("_")
    }
    assert methods - WITHOUT_CALLS - ON_TARGETS == {method for method, _ in ROWS} - {START}


def test_the_matrix_is_complete() -> None:
    for row in ROWS:
        marks = MATRIX.get(row, {})
        line = "  ".join(f"{fault}: {marks.get(fault, '-')}" for fault in FAULTS)
        sys.stdout.write(f"{row[0]:26} {row[1]:46} {line}\n")
    if len(MATRIX) < len(ROWS):
        pytest.skip("only a part of the matrix was selected")
    assert [(row, fault) for row, fault in cells() if fault not in MATRIX[row]] == []
