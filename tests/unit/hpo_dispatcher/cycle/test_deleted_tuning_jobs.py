"""A tuning job that was deleted in SageMaker has ended, and is not created again.

"Deletes a hyperparameter tuning job ... removes only the tuning job entry": the API reference of
DeleteHyperParameterTuningJob. Describe does not find it afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpo_dispatcher.contract.entry import RunningEntry, Status
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.cycle.observe import DELETED, UNSURE_WITHIN, VISIBLE_WITHIN, observe
from hpo_dispatcher.ports import TuningJob, TuningJobDetail, Unavailable
from hpo_dispatcher.scheduling.history.memory import MEMORY
from tests.support.dispatcher_account import Account, ample_time
from tests.support.killed_dispatcher import Killed

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


class Ledger:
    """A ledger with one running request."""

    def running(self) -> list[RunningEntry]:
        return [
            RunningEntry(
                tuning_job_name="fraud-a-1", team="fraud", request_id="a",
                status=Status.IN_PROGRESS, instances={}, started_at=NOON,
            )
        ]  # fmt: skip


class WithoutTuningJobs:
    """SageMaker without any tuning job."""

    def in_progress(self) -> list[TuningJob]:
        return []

    def __init__(self, trained: Mapping[str, datetime] | None = None) -> None:
        self._trained = trained

    def describe(self, name: str) -> TuningJobDetail | None:
        return None

    def trained(self, names: Sequence[str]) -> Mapping[str, datetime]:
        if self._trained is None:
            raise Unavailable("sagemaker:Search: throttled")
        return {name: at for name, at in self._trained.items() if name in names}


def services(trained: Mapping[str, datetime] | None) -> Any:
    return {HOME: WithoutTuningJobs(trained)}


@pytest.mark.parametrize(
    ("created", "after", "found"),
    [
        (set(), timedelta(0), "missing"),
        (set(), timedelta(days=1), "missing"),
        ({"fraud-a-1"}, VISIBLE_WITHIN - timedelta(seconds=1), "listed"),
        ({"fraud-a-1"}, VISIBLE_WITHIN, "ended"),
    ],
)
def test_a_tuning_job_that_describe_does_not_find(
    created: set[str], after: timedelta, found: str
) -> None:
    seen = observe(Ledger(), services({}), created, NOON + after)  # type: ignore[arg-type]
    of = {"missing": seen.missing, "listed": seen.listed, "ended": seen.ended}
    assert {name for name, jobs in of.items() if jobs} == {found}


# "It does not delete training jobs": DeleteHyperParameterTuningJob in the API reference.
@pytest.mark.parametrize(
    ("trained", "found"),
    [
        ({"fraud-a-1": NOON + timedelta(minutes=2)}, "ended"),
        ({"fraud-a-1": NOON - timedelta(seconds=30)}, "ended"),  # SageMaker's clock is behind
        # Of an earlier tuning job of this name, which another ledger knew.
        ({"fraud-a-1": NOON - timedelta(days=30)}, "missing"),
        ({}, "missing"),
    ],
)
def test_training_jobs_tell_that_a_tuning_job_has_existed(
    trained: Mapping[str, datetime], found: str
) -> None:
    now = NOON + timedelta(hours=1)
    seen = observe(Ledger(), services(trained), set(), now)  # type: ignore[arg-type]
    of = {"missing": seen.missing, "listed": seen.listed, "ended": seen.ended}
    assert {name for name, jobs in of.items() if jobs} == {found}


@pytest.mark.parametrize(
    ("after", "created_now"), [(timedelta(minutes=10), False), (UNSURE_WITHIN, True)]
)
def test_without_an_answer_a_tuning_job_is_created_an_hour_later(
    after: timedelta, *, created_now: bool
) -> None:
    seen = observe(Ledger(), services(None), set(), NOON + after)  # type: ignore[arg-type]
    assert [job.key for job in seen.missing] == [("fraud", "a")]
    assert seen.unsure == (set() if created_now else {("fraud", "a")})


def an_hour_later(account: Account) -> Dispatcher:
    now = datetime.now(UTC) + timedelta(hours=1)
    return replace(account.dispatcher(), clock=lambda: now)


@pytest.mark.parametrize("cycles_before", [1, 2])
def test_the_request_of_a_deleted_tuning_job_ends_and_is_not_run_again(
    account: Account, cycles_before: int
) -> None:
    account.request("fraud", "a")
    assert account.cycle().started == 1
    (name,) = account.tuning_jobs()
    account.sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)

    for _ in range(cycles_before):
        assert an_hour_later(account).run(ample_time()).started == 0

    assert account.tuning_jobs() == []
    entry = account.dispatcher().requests.get("fraud", "a")
    assert entry is not None
    assert (entry.status, entry.reason) == (Status.STOPPED, DELETED)


def test_a_dispatcher_killed_after_a_creation_does_not_create_the_deleted_tuning_job_again(
    account: Account,
) -> None:
    account.request("fraud", "a")
    assert account.cycle().started == 1
    account.dispatcher().documents.put(MEMORY, "{}")  # it was killed before it wrote this
    (name,) = account.tuning_jobs()
    described = account.sagemaker.describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name
    )
    left = {
        "TrainingJobName": f"{name}-001-1a2b3c4d",
        "TuningJobArn": described["HyperParameterTuningJobArn"],
        "CreationTime": datetime.now(UTC) + timedelta(minutes=1),
    }
    account.sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)

    def search(params: Any, **_: Any) -> tuple[SimpleNamespace, dict[str, Any]]:
        found = [{"TrainingJob": left}] if '"TrainingJob"' in params["body"].decode() else []
        return SimpleNamespace(status_code=200), {"Results": found}

    with answering(account, search):
        assert an_hour_later(account).run(ample_time()).started == 0

    assert account.tuning_jobs() == []
    entry = account.dispatcher().requests.get("fraud", "a")
    assert entry is not None
    assert (entry.status, entry.reason) == (Status.STOPPED, DELETED)


def test_an_interrupted_start_waits_while_search_does_not_answer(account: Account) -> None:
    dispatcher = account.dispatcher()
    account.request("fraud", "a")
    with killed_before_creation(account):
        account.cycle()

    def refuse(**_: Any) -> None:
        error: Any = {"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}
        raise ClientError(error, "Search")

    with answering(account, refuse):
        account.cycle()
    assert account.tuning_jobs() == []
    with answering(account, no_training_jobs):
        account.cycle()

    assert len(account.tuning_jobs()) == 1
    entry = dispatcher.requests.get("fraud", "a")
    assert entry is not None
    assert entry.status is Status.IN_PROGRESS


def no_training_jobs(**_: Any) -> tuple[SimpleNamespace, dict[str, Any]]:
    return SimpleNamespace(status_code=200), {"Results": []}


@contextmanager
def answering(account: Account, search: Callable[..., Any]) -> Iterator[None]:
    """Let a function answer Search."""
    account.session.events.register("before-call.sagemaker.Search", search)
    try:
        yield
    finally:
        account.session.events.unregister("before-call.sagemaker.Search", search)


@contextmanager
def killed_before_creation(account: Account) -> Iterator[None]:
    """Let the dispatcher be killed when it creates a tuning job."""
    event = "before-call.sagemaker.CreateHyperParameterTuningJob"

    def kill(**_: Any) -> None:
        raise Killed

    account.session.events.register(event, kill)
    try:
        with suppress(Killed):
            yield
    finally:
        account.session.events.unregister(event, kill)
