"""What an operator sees: log lines, metrics in the embedded format, and no secrets."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError
from botocore.retries.bucket import TokenBucket

from hpo_dispatcher import handler as function
from hpo_dispatcher import wiring
from hpo_dispatcher.aws.sagemaker import SageMakerTuning
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.contract.templates import parse_template, read_templates
from hpo_dispatcher.observability.metrics import METRICS, Filled, Freed, fill_times
from hpo_dispatcher.ports import Unavailable
from hpo_dispatcher.scheduling.plan import plan
from hpo_dispatcher.scheduling.reasons import next_in_queue
from hpo_dispatcher.scheduling.snapshot import Capacity, Snapshot, Wait
from tests.support.api_calls import ApiCalls, api_calls
from tests.support.dispatcher_account import Account
from tests.support.lambda_context import Context
from tests.support.scheduling_scene import queued, running
from tests.support.signed_url import V4

SECRET = "hunter2-hunter2-Zx81"
LogLines = list[dict[str, Any]]


@pytest.fixture
def calls(account: Account) -> Iterator[ApiCalls]:
    """The API calls of the function."""
    with api_calls(account.session) as followed:
        yield followed


@pytest.fixture
def cycle(
    account: Account,
    calls: ApiCalls,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[], LogLines]]:
    """One invocation of the function; the lines it wrote, those of metrics included."""
    templates = read_templates()
    marked = templates["smoke"].model_dump() | {"secret_hyperparameters": ("api-key",)}
    templates["smoke"] = parse_template("smoke", marked)
    with (
        patch.object(wiring, "read_templates", lambda: templates),
        patch.dict(os.environ, {"LAMBDA_TASK_ROOT": str(account.root)}),
        patch.object(wiring, "BotocoreClients", lambda _: account.session),
    ):
        function.deployed.cache_clear()

        def invoke() -> LogLines:
            capsys.readouterr()
            (out,) = logging.getLogger(wiring.SERVICE).handlers
            monkeypatch.setattr(out, "stream", sys.stdout)  # opened before pytest took it over
            with suppress(Exception):
                function.handler({}, Context())
            return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

        yield invoke
        function.deployed.cache_clear()


def metrics(log_lines: LogLines) -> dict[tuple[str, str], list[float]]:
    """(name, dimension) -> values; the dimension as ``key=value``, nothing for the deployment's."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for line in log_lines:
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", ()):
            assert directive["Namespace"] == "hpoq"
            (names,) = directive["Dimensions"]
            assert line["service"] == "hpoq-dispatcher"
            own = ",".join(f"{name}={line[name]}" for name in names if name != "service")
            for metric in directive["Metrics"]:
                found[metric["Name"], own] += line[metric["Name"]]
    return found


def logged(log_lines: LogLines) -> LogLines:
    return [line for line in log_lines if "_aws" not in line]


def secretly(**fields: Any) -> dict[str, Any]:
    return {"template": "smoke", "hyperparameters": {"api-key": SECRET}, **fields}


# Faults of the account


def test_a_dispatcher_that_may_not_create_counts_the_fault_and_fails_no_cycle(
    account: Account, cycle: Callable[[], LogLines]
) -> None:
    def denied(model: Any, **_: Any) -> None:
        answer = {"Error": {"Code": "AccessDeniedException", "Message": "may not pass the role"}}
        raise ClientError(answer, model.name)

    event = "before-parameter-build.sagemaker.CreateHyperParameterTuningJob"
    account.session.events.register(event, denied)
    try:
        account.request("fraud", "good-1")
        counted = [metrics(cycle()) for _ in range(2)]
    finally:
        account.session.events.unregister(event, denied)
    for each in counted:
        assert each["AccountFaults", ""] == [1]
        assert each["Rejected", ""] == [0]
        assert each["CycleSeconds", ""], "the cycle has completed"
    entry = account.dispatcher().requests.get("fraud", "good-1")
    assert entry is not None
    assert (entry.status, entry.reason) == ("Queued", "may not pass the role")


# Log lines


def test_every_line_about_a_request_names_request_team_and_tuning_job(
    account: Account, cycle: Callable[[], LogLines]
) -> None:
    account.request("fraud", "good-1")
    account.request("fraud", "good-1", priority=7)  # the id again, with other content
    account.request("vision", "bad-1", strategy="Guess")
    account.request("vision", "gone-1", after=["good-1"])
    lines = logged(cycle())
    account.send("vision", {"action": "cancel", "request_id": "gone-1"})
    lines += logged(cycle())

    about = [line for line in lines if line["message"] != "cycle"]
    assert {line["request_id"] for line in about} == {"good-1", "bad-1", "gone-1"}
    for line in about:
        assert line["team"] in ("fraud", "vision")
        assert line["tuning_job"].startswith(f"{line['team']}-{line['request_id']}-")
        assert line["function_request_id"] == "request-1"
    for line in lines:
        text = json.dumps({k: v for k, v in line.items() if k not in ("request_id", "tuning_job")})
        if any(each in text for each in ("good-1", "bad-1", "gone-1")):
            assert "request_id" in line


def test_a_cycle_is_one_summary_line(account: Account, cycle: Callable[[], LogLines]) -> None:
    account.request("fraud", "a")
    (line,) = [line for line in logged(cycle()) if line["message"] == "cycle"]
    assert (line["received"], line["accepted"], line["started"]) == (1, 1, 1)
    assert line["seconds"] > 0
    assert line["level"] == "INFO"


def test_an_incomplete_cycle_has_its_line_and_says_what_is_wrong(
    account: Account, cycle: Callable[[], LogLines]
) -> None:
    account.sqs.delete_queue(
        QueueUrl=account.sqs.get_queue_url(QueueName="hpoq-vision-requests")["QueueUrl"]
    )
    log_lines = cycle()
    (line,) = [line for line in logged(log_lines) if line["message"] == "cycle"]
    assert "intake of vision" in line["problems"][0]
    assert metrics(log_lines)["FailedCycles", ""] == [1]


# Secrets


def everything_readable(account: Account) -> Iterator[str]:
    """Dead-letter attributes, and the ledger without the requests themselves."""
    for team in ("fraud", "vision"):
        for letter in account.dead_letters(team):
            yield json.dumps({k: v for k, v in letter.items() if k != "body"})
    for item in account.dynamodb.scan(TableName="hpoq-ledger")["Items"]:
        if item["id"] != {"S": "settings"}:
            yield json.dumps({k: v for k, v in item.items() if k != "request"})


def refused(operation: str, message: str, code: str = "ValidationException") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)  # type: ignore[arg-type]


DESCRIBE = "DescribeHyperParameterTuningJob"
CREATE = "CreateHyperParameterTuningJob"
LEAKS = f"Value '{{api-key={SECRET}, lr=1}}' failed; input {V4}"


@pytest.mark.parametrize(
    "code", ["ValidationException", "ResourceLimitExceeded", "InternalFailure"]
)
def test_what_sagemaker_repeats_of_a_secret_is_nowhere_to_be_read(
    account: Account, calls: ApiCalls, cycle: Callable[[], LogLines], code: str
) -> None:
    account.request("fraud", "a", **secretly())
    calls.refusals[CREATE] = refused(CREATE, LEAKS, code)

    log_lines = cycle()

    published = [json.dumps(each) for name, each in calls.requested if name == "PutEvents"]
    assert published
    for text in (json.dumps(log_lines), *published, *everything_readable(account)):
        assert "hunter2" not in text
        assert "deadbeef" not in text


BAD: list[dict[str, Any]] = [
    secretly(strategy=SECRET),
    secretly(hyperparameters={"api-key": {"is": SECRET}}),
    secretly(hyperparameters={"api-key": SECRET}, hyperparameter_ranges={"api-key": SECRET}),
    secretly(overrides={"TrainingJobDefinition": {"StaticHyperParameters": {"api-key": [SECRET]}}}),
    secretly(template="no-such-template", tags={"link": V4, "x": [SECRET]}),
    secretly(overrides={"TrainingJobDefinition": {"RoleArn": V4}}),
]


def test_no_refusal_tells_a_secret(account: Account, cycle: Callable[[], LogLines]) -> None:
    for number, fields in enumerate(BAD):
        account.request("fraud", f"bad-{number}", **fields)
    account.send(
        "fraud", f'{{"hyperparameters": {{"api-key": "{SECRET}", "api-key": "{SECRET}"}}}}'
    )
    account.send("fraud", f'{{"hyperparameters": {{"api-key": "{SECRET}"')
    account.request("fraud", f"id-{SECRET}"[:40] + "?", **secretly())
    log_lines = cycle()

    assert sum(metrics(log_lines)["Rejected", ""]) == len(BAD) + 3
    for text in (json.dumps(log_lines), *everything_readable(account)):
        assert "hunter2" not in text
        assert "deadbeef" not in text


def test_a_failed_training_jobs_command_line_is_not_repeated(
    account: Account, calls: ApiCalls, cycle: Callable[[], LogLines]
) -> None:
    account.request("fraud", "a", **secretly())
    cycle()
    command = f'ExecuteUserScriptError: Command "python train.py --api-key {SECRET} --lr 0.1"'
    calls.changed_answers[DESCRIBE] = {
        "FailureReason": command,
        "HyperParameterTuningJobStatus": "Failed",
    }
    log_lines = cycle()
    entry = account.dispatcher().requests.get("fraud", "a")
    assert entry is not None
    assert "ExecuteUserScriptError" in entry.reason
    assert "--lr 0.1" in entry.reason
    for text in (json.dumps(log_lines), *everything_readable(account)):
        assert "hunter2" not in text


def test_a_bug_keeps_its_traceback_and_the_secret_stays_out_of_it(
    account: Account, cycle: Callable[[], LogLines], capsys: pytest.CaptureFixture[str]
) -> None:
    account.request("fraud", "a", **secretly())
    cycle()
    account.request("fraud", "b", **secretly())
    with (
        patch("hpo_dispatcher.cycle.decision.decide.plan", side_effect=KeyError(SECRET)),
        pytest.raises(function.CycleFailed) as caught,
    ):
        function.handler({}, Context())
    out = capsys.readouterr().out
    assert "hunter2" not in out + str(caught.value)
    (line,) = [each for each in map(json.loads, out.splitlines()) if "exception" in each]
    assert "in decide" in line["exception"]
    assert line["exception_name"] == "KeyError"
    assert caught.value.__suppress_context__  # Lambda prints what is chained


# Metrics


def test_a_cycle_measures_flow_capacity_backlog_and_calls(
    account: Account, cycle: Callable[[], LogLines]
) -> None:
    account.configure(limits={"tuning_jobs": 1, "instances": {"ml.m5.large": 7}})
    for name in ("a", "b", "c"):
        account.request("fraud", name)
    account.request("vision", "bad", strategy="Guess")
    account.request("vision", "child", after=["parent"])
    found = metrics(cycle())

    assert found["Accepted", ""] == [4]
    assert found["Started", ""] == [1]
    assert found["InProgress", ""] == [1]
    assert found["Free", ""] == [0]
    assert found["Waiting", ""] == [2]
    assert found["Waiting", "reason=tuning jobs"] == [2]
    assert found["Rejected", ""] == [1]
    assert found["Rejected", "reason=InvalidRequest"] == [1]
    (in_use,) = found["InProgress", "resource=ml.m5.large"]
    assert found["Free", "resource=ml.m5.large"] == [7 - in_use]
    assert in_use > 0
    assert found["Queued", ""] == found["Queued", "team=fraud"] == [2]
    assert found["Queued", "team=vision"] == [0]
    assert found["Blocked", ""] == [1]
    assert found["CycleSeconds", ""][0] > 0
    by_service = {key[1]: value for key, value in found.items() if key[0] == "ApiCalls"}
    assert {"api=sqs", "api=dynamodb", "api=sagemaker", "api=eventbridge"} <= set(by_service)
    assert by_service.pop("") == [sum(value for (value,) in by_service.values())]
    assert found["ApiThrottles", ""] == [0]


def test_the_oldest_request_in_line_is_told_by_team_and_a_held_team_waits_by_will(
    account: Account, cycle: Callable[[], LogLines]
) -> None:
    account.configure(limits={"tuning_jobs": 1})
    for team in ("fraud", "vision"):
        for name in ("a", "b", "c"):
            account.request(team, name)
    account.send("vision", {"action": "hold"})
    cycle()
    later = datetime.now(UTC) + timedelta(hours=2)
    with patch.object(function.deployed().telemetry, "clock", lambda: later):
        found = metrics(cycle())
    (age,) = found["OldestSeconds", "team=fraud"]
    assert 7200 <= age < 7300
    assert found["OldestSeconds", ""] == [age]
    assert found["OldestSeconds", "team=vision"] == [0]


def test_the_backlog_is_counted_every_five_minutes_at_most(
    account: Account, cycle: Callable[[], LogLines]
) -> None:
    assert ("Queued", "") in metrics(cycle())
    assert ("Queued", "") not in metrics(cycle())


@contextmanager
def throttled_twice(calls: ApiCalls) -> Iterator[None]:
    """Throttle the first two attempts of one call to SageMaker, and let no retry wait."""
    calls.throttled_attempts["ListHyperParameterTuningJobs"] = 2
    with patch("time.sleep"), patch.object(TokenBucket, "acquire"):
        yield


def test_throttled_calls_are_counted_each_time(
    calls: ApiCalls, cycle: Callable[[], LogLines]
) -> None:
    cycle()
    with throttled_twice(calls):
        found = metrics(cycle())
    assert found["ApiThrottles", ""] == found["ApiThrottles", "api=sagemaker"] == [2]
    assert found["ApiCalls", "api=sagemaker"][0] >= 4


def test_a_skipped_cycle_is_counted_as_such(
    account: Account, cycle: Callable[[], LogLines]
) -> None:
    leases = account.dispatcher().leases
    now = datetime.now(UTC)
    assert leases.acquire("other", now, now + timedelta(minutes=5))
    log_lines = cycle()
    found = metrics(log_lines)
    assert found["SkippedCycles", ""] == [1]
    assert "CycleSeconds" not in {name for name, _ in found}
    (line,) = [line for line in logged(log_lines) if line["message"] == "cycle"]
    assert "is running" in line["skipped"]


def test_a_cycle_run_once_more_for_a_late_request_is_measured_by_itself(
    account: Account, cycle: Callable[[], LogLines]
) -> None:
    account.request("fraud", "a")
    real, asked = SageMakerTuning.in_progress, []

    def late(self: Any) -> Any:
        if not asked:
            asked.append(account.request("fraud", "b"))
            account.dispatcher().leases.ask_for_cycle(datetime.now(UTC))
        return real(self)

    with patch.object(SageMakerTuning, "in_progress", late):
        log_lines = cycle()
    assert metrics(log_lines)["Started", ""] == [1, 1]
    assert len([line for line in logged(log_lines) if line["message"] == "cycle"]) == 2


def test_a_metric_that_cannot_be_written_fails_no_cycle(
    account: Account, cycle: Callable[[], LogLines]
) -> None:
    account.request("fraud", "a")
    with patch("hpo_dispatcher.observability.telemetry.of_cycle", side_effect=RuntimeError("no")):
        log_lines = cycle()
    assert len(account.tuning_jobs()) == 1
    assert "metrics were not written" in {line["message"] for line in logged(log_lines)}
    assert "FailedCycles" not in {name for name, _ in metrics(log_lines)}


def test_the_handler_writes_every_metric_of_the_contract_and_no_other(
    account: Account, calls: ApiCalls, cycle: Callable[[], LogLines]
) -> None:
    """Dashboard and alarms read these names (tests/unit/infra/test_hpo_stack.py)."""
    account.configure(limits={"tuning_jobs": 1, "instances": {"ml.m5.large": 7}})
    for name in ("a", "b", "c"):
        account.request("fraud", name)
    account.request("vision", "bad", strategy="Guess")
    written = set(metrics(cycle()))
    with slot_freed(calls, seconds_ago=30), throttled_twice(calls):
        written |= set(metrics(cycle()))
    leases = account.dispatcher().leases
    now = datetime.now(UTC)
    assert leases.acquire("other", now, now + timedelta(minutes=5))
    written |= set(metrics(cycle()))
    leases.release("other", None)
    with patch.object(SageMakerTuning, "in_progress", side_effect=Unavailable("no")):
        written |= set(metrics(cycle()))
    names = {(name, dimension.partition("=")[0]) for name, dimension in written}
    assert names - {("ColdStart", "function_name")} == METRICS


# The time from slot freed to slot filled

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def at(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


def test_a_start_takes_the_slot_that_was_freed_first_while_it_waited() -> None:
    freed = [Freed(at=at(20)), Freed(at=at(10))]
    filled = [Filled(at=at(30), accepted_at=at(0)), Filled(at=at(31), accepted_at=at(15))]
    assert fill_times(freed, filled) == ([20.0, 11.0], [])


def test_a_request_that_came_after_a_slot_was_freed_has_not_waited_for_it() -> None:
    freed = [Freed(at=at(10))]
    assert fill_times(freed, [Filled(at=at(30), accepted_at=at(11))]) == ([], freed)


def test_a_slot_is_filled_once() -> None:
    filled = [Filled(at=at(30 + i), accepted_at=at(0)) for i in range(3)]
    seconds, left = fill_times([Freed(at=at(10))], filled)
    assert (seconds, left) == ([20.0], [])


@contextmanager
def slot_freed(calls: ApiCalls, seconds_ago: float) -> Iterator[None]:
    """moto's tuning jobs have ended at once; let them have ended then, with others in line."""
    requests: Any = function.deployed().dispatcher.requests
    heads = requests.heads
    then = datetime.now(UTC) - timedelta(seconds=seconds_ago)

    def old(team: str, count: int) -> Any:
        before = then - timedelta(seconds=1)
        return [replace(each, accepted_at=before) for each in heads(team, count)]

    calls.changed_answers[DESCRIBE] = {"HyperParameterTuningEndTime": then}
    with patch.object(requests, "heads", old):
        yield
    del calls.changed_answers[DESCRIBE]


def test_a_slot_that_a_finished_job_leaves_is_measured_when_the_next_in_line_takes_it(
    account: Account, calls: ApiCalls, cycle: Callable[[], LogLines]
) -> None:
    account.configure(limits={"tuning_jobs": 1})
    account.request("fraud", "a")
    account.request("fraud", "b")
    assert metrics(cycle())["Started", ""] == [1]
    with slot_freed(calls, seconds_ago=30):
        found = metrics(cycle())
    assert found["Started", ""] == [1]
    (seconds,) = found["SlotFillSeconds", ""]
    assert 30 <= seconds < 40


# Reasons of waiting


@pytest.mark.parametrize(
    ("capacity", "kind"),
    [
        (Capacity(tuning_jobs=1), "tuning jobs"),
        (Capacity(tuning_jobs=9, instances={"ml.m5.xlarge": 5}), "instances"),
        (Capacity(tuning_jobs=9, instances={"ml.m5.xlarge": 1}), "never fits"),
        (Capacity(tuning_jobs=9, instances={"ml.m5.xlarge": 90}), "team ceiling"),
        (Capacity(tuning_jobs=9), "next in queue"),
    ],
)
def test_every_reason_of_the_plan_has_its_kind(capacity: Capacity, kind: str) -> None:
    full = running(team="vision", instances={"ml.m5.xlarge": 4})
    wants = queued("fraud", instances={"ml.m5.xlarge": 2})
    teams = {"fraud": TeamSettings(ceiling=0.12 if kind == "team ceiling" else 1)}
    full += running(team="fraud") if kind == "team ceiling" else []
    made = plan(Snapshot(now=NOON, running_jobs=full, queues={"fraud": [wants]}), capacity, teams)
    if kind == "next in queue":
        made = replace(made, starts=(), waits=(Wait(head=wants, reason=next_in_queue()),))
    assert [wait.reason.kind for wait in made.waits] == [kind]
