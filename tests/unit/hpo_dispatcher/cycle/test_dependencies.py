"""Requests that wait for others, are held, or change their place in line."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.scheduling.history.memory import MEMORY, timers_from
from tests.support.dispatcher_account import RANGES, Account, ample_time
from tests.support.running_jobs import Running


@pytest.fixture
def sagemaker(account: Account) -> Running:
    return Running(account)


def cycle(account: Account, sagemaker: Running, later: int = 0) -> None:
    dispatcher: Dispatcher = account.dispatcher()
    tuning: Any = sagemaker
    replace(
        dispatcher, tuning=tuning, clock=lambda: datetime.now(UTC) + timedelta(minutes=later)
    ).run(ample_time())


def entry(account: Account, request_id: str) -> Entry:
    found = account.dispatcher().requests.get("fraud", request_id)
    assert found is not None
    return found


def test_a_child_starts_in_the_cycle_that_sees_its_parent_end(
    account: Account, sagemaker: Running
) -> None:
    account.request("fraud", "child", after=["parent"])
    account.request("fraud", "parent")
    cycle(account, sagemaker)
    assert entry(account, "child").status is Status.QUEUED
    assert entry(account, "child").reason == "waits for parent to end"
    assert len(sagemaker.running) == 1

    sagemaker.running.clear()
    cycle(account, sagemaker)

    assert entry(account, "parent").status is Status.COMPLETED
    assert entry(account, "child").status is Status.IN_PROGRESS
    assert entry(account, "child").reason == ""


def test_a_warm_start_names_its_parents_tuning_jobs(account: Account, sagemaker: Running) -> None:
    account.request("fraud", "parent")
    cycle(account, sagemaker)
    account.request("fraud", "child", warm_start_from=["parent"])
    sagemaker.running.clear()
    cycle(account, sagemaker)
    child = account.sagemaker.describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=entry(account, "child").tuning_job_name
    )
    (parent,) = child["WarmStartConfig"]["ParentHyperParameterTuningJobs"]
    assert parent["HyperParameterTuningJobName"] == entry(account, "parent").tuning_job_name


def test_a_child_waits_for_a_parent_that_has_not_come(account: Account, sagemaker: Running) -> None:
    account.request("fraud", "child", after=["parent"])
    cycle(account, sagemaker)
    cycle(account, sagemaker)
    assert entry(account, "child").status is Status.QUEUED
    assert sagemaker.running == []


def test_a_child_of_a_parent_that_never_comes_ends_after_a_fortnight(
    account: Account, sagemaker: Running
) -> None:
    """A message stays 14 days in its queue: SetQueueAttributes in the SQS API reference."""
    day = 24 * 60
    account.request("fraud", "child", after=["misspelled"])
    cycle(account, sagemaker, later=0)
    cycle(account, sagemaker, later=13 * day)
    assert entry(account, "child").status is Status.QUEUED
    cycle(account, sagemaker, later=15 * day)
    assert entry(account, "child").status is Status.CANCELLED
    assert entry(account, "child").reason == ("dependency misspelled did not arrive within 14 days")


def test_a_child_of_a_cancelled_parent_never_starts_and_says_why(
    account: Account, sagemaker: Running
) -> None:
    account.send("fraud", {"action": "cancel", "request_id": "parent"})
    account.request("fraud", "child", after=["parent"])
    cycle(account, sagemaker)
    child = entry(account, "child")
    assert child.status is Status.CANCELLED
    assert child.reason == "dependency parent is Cancelled"
    assert account.dispatcher().requests.blocked() == []


def test_a_cycle_of_dependencies_never_starts_and_is_named(
    account: Account, sagemaker: Running
) -> None:
    for request_id, parent in (("a", "b"), ("b", "c"), ("c", "a")):
        account.request("fraud", request_id, after=[parent])
    cycle(account, sagemaker)
    reasons = {entry(account, each).reason for each in "abc"}
    assert all(entry(account, each).status is Status.CANCELLED for each in "abc")
    assert "its dependencies form a cycle: a -> b -> c -> a" in reasons


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"objective": {"metric": "test:auc", "type": "Maximize"}}, "has another objective"),
        ({"hyperparameter_ranges": {"dropout": {"type": "continuous", "min": 0, "max": 1}}},
         "searched lr"),
        ({"hyperparameter_ranges": {**RANGES, "dropout": RANGES["lr"]}}, "lacks dropout"),
    ],
)  # fmt: skip
def test_a_warm_start_that_sagemaker_would_refuse_is_rejected_at_once(
    account: Account, sagemaker: Running, fields: dict[str, Any], problem: str
) -> None:
    account.request("fraud", "parent")
    cycle(account, sagemaker)
    account.send("fraud", {"request_id": "child", "hyperparameter_ranges": RANGES, "warm_start_from": ["parent"]} | fields)  # fmt: skip # noqa: E501
    cycle(account, sagemaker)
    assert entry(account, "child").status is Status.CANCELLED
    assert problem in entry(account, "child").reason


def test_a_parent_of_another_team_is_not_found(account: Account, sagemaker: Running) -> None:
    account.request("vision", "parent")
    account.request("fraud", "child", warm_start_from=["parent"])
    cycle(account, sagemaker)
    sagemaker.running.clear()
    cycle(account, sagemaker)
    assert entry(account, "child").status is Status.QUEUED


def test_a_held_request_waits_until_it_is_released(account: Account, sagemaker: Running) -> None:
    account.configure(limits={"tuning_jobs": 1})
    account.request("fraud", "a")
    cycle(account, sagemaker)
    account.request("fraud", "b")
    cycle(account, sagemaker)
    account.send("fraud", {"action": "hold", "request_id": "b"})
    cycle(account, sagemaker)
    sagemaker.running.clear()
    cycle(account, sagemaker)
    assert entry(account, "b").on_hold
    assert "on hold by its team" in entry(account, "b").reason
    account.send("fraud", {"action": "release", "request_id": "b"})
    cycle(account, sagemaker)
    assert entry(account, "b").status is Status.IN_PROGRESS


def test_a_held_team_starts_nothing_and_others_go_on(account: Account, sagemaker: Running) -> None:
    account.send("fraud", {"action": "hold"})
    cycle(account, sagemaker)
    account.request("fraud", "a")
    account.request("vision", "a")
    cycle(account, sagemaker)
    assert [name.split("-")[0] for name in sagemaker.running] == ["vision"]
    account.send("fraud", {"action": "release"})
    cycle(account, sagemaker)
    assert len(sagemaker.running) == 2


def test_a_higher_priority_goes_first_also_when_given_later(
    account: Account, sagemaker: Running
) -> None:
    account.configure(limits={"tuning_jobs": 1})
    account.request("fraud", "first")
    cycle(account, sagemaker)
    for request_id in ("a", "b", "c"):
        account.request("fraud", request_id)
    cycle(account, sagemaker)
    account.send("fraud", {"action": "priority", "request_id": "c", "priority": 5})
    cycle(account, sagemaker)
    sagemaker.running.clear()
    cycle(account, sagemaker)
    assert entry(account, "c").status is Status.IN_PROGRESS
    assert entry(account, "a").status is Status.QUEUED
    assert entry(account, "c").priority == 5


def test_who_is_first_in_line_since_when_is_remembered_from_cycle_to_cycle(
    account: Account, sagemaker: Running
) -> None:
    def since_by_id() -> dict[str, datetime]:
        cycle(account, sagemaker)
        timers = timers_from(account.dispatcher().documents.get(MEMORY), None)
        return {request_id: timer.since for (_, request_id), timer in timers.items()}

    account.configure(limits={"tuning_jobs": 1})
    account.request("fraud", "first")
    assert since_by_id() == {}, "it has started"
    account.request("fraud", "second")
    since = since_by_id()["second"]
    assert since_by_id()["second"] == since
    account.request("fraud", "urgent", priority=5)
    assert set(since_by_id()) == {"second", "urgent"}
    account.send("fraud", {"action": "hold", "request_id": "second"})
    assert set(since_by_id()) == {"urgent"}


def test_no_request_gets_a_priority_beyond_its_teams_cap_when_sent_or_later(
    account: Account, sagemaker: Running
) -> None:
    account.configure(limits={"tuning_jobs": 1}, teams={"fraud": {"priority_cap": 3}, "vision": {}})
    account.request("fraud", "first", priority=9)
    cycle(account, sagemaker)
    assert entry(account, "first").priority == 3
    account.request("fraud", "low", priority=-1)
    account.request("fraud", "later")
    cycle(account, sagemaker)
    assert entry(account, "low").priority == -1
    account.send("fraud", {"action": "priority", "request_id": "later", "priority": 1000})
    cycle(account, sagemaker)
    assert entry(account, "later").priority == 3
    account.request("fraud", "first", priority=9)
    cycle(account, sagemaker)
    assert account.dead_letters("fraud") == [], "the same message, so the same request"


def test_a_running_request_is_stopped_by_its_cancel(account: Account, sagemaker: Running) -> None:
    account.request("fraud", "a")
    cycle(account, sagemaker)
    account.send("fraud", {"action": "cancel", "request_id": "a"})
    cycle(account, sagemaker)
    assert sagemaker.running == []
    assert entry(account, "a").status is Status.STOPPING


def test_never_more_than_the_limit_whoever_holds_it(account: Account, sagemaker: Running) -> None:
    account.configure(limits={"tuning_jobs": 3})
    sagemaker.running.append("somebody-elses")
    for number in range(5):
        account.request("fraud", f"a{number}")
    cycle(account, sagemaker)
    assert len(sagemaker.running) == 3
    capacity = json.loads(account.dispatcher().documents.get("capacity") or "{}")
    assert capacity["tuning_jobs"]["by_team"] == {"(others)": 1, "fraud": 2}
    assert capacity["waiting"][0]["reason"] == (
        "tuning jobs 3/3 in use, 1 needed; used by: fraud 2, others 1"
    )


def test_sagemakers_own_limit_means_wait(account: Account, sagemaker: Running) -> None:
    from hpo_dispatcher.ports import AtLimit

    class Full(Running):
        def create(self, api_request: Any) -> Any:
            return AtLimit("the account-level service limit is 100")

    account.request("fraud", "a")
    cycle(account, Full(account))
    waiting = entry(account, "a")
    assert waiting.status is Status.QUEUED
    assert "service limit" in waiting.reason
    cycle(account, sagemaker, later=10)
    assert entry(account, "a").status is Status.IN_PROGRESS


def test_an_unanswered_create_is_resolved_by_the_next_cycle(
    account: Account, sagemaker: Running
) -> None:
    from hpo_dispatcher.cycle.lease import CycleIncomplete
    from hpo_dispatcher.ports import Unavailable

    class TimesOut(Running):
        def create(self, api_request: Any) -> Any:
            raise Unavailable("sagemaker:CreateHyperParameterTuningJob: timed out")

    account.request("fraud", "a")
    with pytest.raises(CycleIncomplete, match="timed out"):
        cycle(account, TimesOut(account))
    assert entry(account, "a").status is Status.IN_PROGRESS
    cycle(account, sagemaker)
    assert len(sagemaker.running) == 1
