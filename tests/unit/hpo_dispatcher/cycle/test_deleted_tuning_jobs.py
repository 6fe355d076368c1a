"""A tuning job that was deleted in SageMaker has ended, and is not created again.

"Deletes a hyperparameter tuning job ... removes only the tuning job entry": the API reference of
DeleteHyperParameterTuningJob. Describe does not find it afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hpo_dispatcher.contract.entry import RunningEntry, Status
from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.cycle.observe import DELETED, VISIBLE_WITHIN, observe
from hpo_dispatcher.ports import TuningJob, TuningJobDetail
from tests.support.dispatcher_account import Account, ample_time

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

    def describe(self, name: str) -> TuningJobDetail | None:
        return None


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
    seen = observe(Ledger(), WithoutTuningJobs(), created, NOON + after)  # type: ignore[arg-type]
    of = {"missing": seen.missing, "listed": seen.listed, "ended": seen.ended}
    assert {name for name, jobs in of.items() if jobs} == {found}


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
