from __future__ import annotations

import gc
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest

from hpo_dispatcher import handler as function
from hpo_dispatcher.contract.environment import Environment
from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.settings import parse_deployment, read_deployment
from hpo_dispatcher.contract.templates import parse_template
from hpo_dispatcher.cycle.lease import CycleIncomplete
from tests.support.dispatcher_account import Account, ample_time
from tests.support.lambda_context import Context


@pytest.fixture
def invoke(account: Account) -> Any:
    def call(event: dict[str, Any]) -> dict[str, Any]:
        with patch.object(function, "deployed", account.wired):
            return function.handler(event, Context())

    return call


def test_an_invocation_is_one_cycle_and_answers_with_its_numbers(
    account: Account,
    invoke: Any,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    account.request("fraud", "a")

    answer = invoke({"source": "aws.events", "detail-type": "Scheduled Event"})

    assert (answer["accepted"], answer["started"]) == (1, 1)
    (cycle,) = [record for record in caplog.records if record.message == "cycle"]
    assert cycle.__dict__["started"] == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (metrics,) = [line for line in lines if "_aws" in line and "Started" in line]
    assert metrics["Started"] == [1.0]


def test_an_event_that_an_earlier_cycle_has_seen_is_skipped(account: Account, invoke: Any) -> None:
    invoke({})
    old = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()

    answer = invoke({"source": "hpoq", "time": old})

    assert "already seen" in answer["skipped"]


def test_an_event_of_the_same_second_is_not_skipped(account: Account, invoke: Any) -> None:
    invoke({})
    now = datetime.now(UTC).replace(microsecond=0).isoformat()
    assert invoke({"source": "hpoq", "time": now})["skipped"] == ""


def test_a_second_dispatcher_stands_back_and_the_first_looks_again(account: Account) -> None:
    first, second = account.dispatcher(), account.dispatcher()
    cycles = []

    class Busy:
        """While the first looks at SageMaker, a request comes and a second one is invoked."""

        def __getattr__(self, name: str) -> Any:
            return getattr(first.tuning, name)

        def in_progress(self) -> Any:
            if not cycles:
                account.request("fraud", "late")
                cycles.append(second.run(ample_time()))
            return first.tuning.in_progress()

    summary = replace(first, tuning=Busy()).run(ample_time())  # type: ignore[arg-type]

    assert "another dispatcher is running" in cycles[0].skipped
    assert summary.started == 1


def test_a_lost_lease_starts_nothing_more(account: Account) -> None:
    account.request("fraud", "a")
    slow = account.dispatcher()

    class Overtaken:
        def __getattr__(self, name: str) -> Any:
            return getattr(slow.requests, name)

        def start(self, *arguments: Any) -> Any:
            much_later = datetime.now(UTC) + timedelta(hours=1)
            other = account.dispatcher().leases
            assert other.acquire("other", much_later, much_later + timedelta(minutes=1))
            return slow.requests.start(*arguments)

    with pytest.raises(CycleIncomplete, match="another dispatcher has taken over"):
        replace(slow, requests=Overtaken()).run(ample_time())  # type: ignore[arg-type]
    assert account.tuning_jobs() == []


def test_the_settings_are_published_for_clients(account: Account) -> None:
    document = account.dispatcher().documents.get("settings")
    assert document is not None
    settings = json.loads(document)
    assert settings["artifact_bucket"] == "artifacts"
    assert set(settings["deployment"]["teams"]) == {"fraud", "vision"}
    assert "credit-default-cpu" in settings["templates"]
    parse_deployment(settings["deployment"])
    parse_template("credit-default-cpu", settings["templates"]["credit-default-cpu"])


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(InvalidSettings, match="HPOQ_DEPLOYMENT: not set"):
        Environment.read({})


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"teams": {}}, "teams"),
        ({"teams": {"Fraud": {}}}, "teams"),
        ({"teams": {"fraud": {"wieght": 1}}}, "teams.fraud.wieght"),
        ({"teams": {"fraud": {}}, "limits": {"tuning_jobs": 101}}, "limits.tuning_jobs"),
        ({"teams": {"fraud": {}}, "guardrails": {"spot": True}}, "guardrails.spot"),
    ],
)
def test_a_wrong_setting_is_named_by_its_key(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        parse_deployment(settings)
    assert caught.value.key.startswith(f"settings: {key}")


def test_unreadable_settings_are_one_line(account: Account) -> None:
    (account.root / "deployment.json").write_text("{")
    with pytest.raises(InvalidSettings, match=r"deployment.json: cannot be read"):
        read_deployment(account.root / "deployment.json")


def test_a_template_with_an_unknown_default_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="priority cannot have a default"):
        parse_template("t", {"description": "", "image": "i", "request": {"priority": 1}})


def test_an_empty_account_fills_at_once_and_then_at_the_rate_that_was_set(account: Account) -> None:
    account.configure(limits={"creates_per_second": 7, "creates_at_once": 30})
    bucket = account.dispatcher().bucket
    slept: list[float] = []
    bucket.clock, bucket.sleep = (lambda: bucket._filled_at), slept.append
    for _ in range(30):
        bucket.take()
    assert slept == []
    bucket.take()
    assert slept == [pytest.approx(1 / 7)]


def test_modules_are_exempt_from_garbage_collection_and_others_are_collected_less_often() -> None:
    before = gc.get_threshold()
    try:
        function.tune_garbage_collector()
        assert gc.get_freeze_count() > 1000
        assert gc.get_threshold() == function.GC_THRESHOLDS
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
