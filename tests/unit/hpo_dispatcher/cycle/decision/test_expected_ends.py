"""When running jobs are expected to end: as requests say, or like recent ones of their kind."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hpo_dispatcher.contract.entry import HOUR, Entry, RunningEntry, Status
from hpo_dispatcher.contract.ledger.entry_item import entry_from, entry_item
from hpo_dispatcher.contract.ledger.index_rows import running_from, running_item
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.cycle.decision.running_jobs import running_jobs
from hpo_dispatcher.cycle.outcome import Observation
from hpo_dispatcher.scheduling.history.run_times import RunTimes, Work
from hpo_dispatcher.scheduling.snapshot import RunningJob
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload
from tests.support.dispatcher_account import ample_time

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
STARTED = Entry(
    team="a", request_id="r", status=Status.IN_PROGRESS, accepted_at=NOON, started_at=NOON,
    instances={"ml.m5.large": 2}, max_training_jobs=4, max_parallel=2, template="t",
    expected_seconds=HOUR, most_instance_seconds=20 * HOUR,
)  # fmt: skip


def expected_end(entry: Entry, run_times: RunTimes, now: datetime) -> datetime | None:
    (job,) = expected([entry], run_times, now)
    return job.expected_end


def expected(entries: list[Entry], run_times: RunTimes, now: datetime) -> list[RunningJob]:
    account = Simulation(Workload(name="none", arrivals=[], teams={"a": {}}))
    active = [RunningEntry.of(entry) for entry in entries]
    seen = Observation(listed={}, active=active, ended=[], missing=[])
    return running_jobs(seen, account.documents, {HOME: account.sagemaker}, run_times, now)


def times(*seconds: float) -> RunTimes:
    run_times = RunTimes()
    for each in seconds:
        run_times.record(Work(team="a", template="t", rounds=2), each)
    return run_times


def test_a_job_ends_when_its_request_says() -> None:
    assert expected_end(STARTED, times(60, 60, 60), NOON) == NOON + timedelta(hours=1)


def test_no_job_is_expected_to_run_longer_than_it_may() -> None:
    short = replace(STARTED, expected_seconds=99 * HOUR)
    assert expected_end(short, RunTimes(), NOON) == NOON + timedelta(hours=10)


@pytest.mark.parametrize(("elapsed", "expected"), [(0, 500), (499, 700), (900, 1000), (2000, 3000)])
def test_without_a_statement_it_ends_like_recent_ones_that_ran_as_long(
    elapsed: float, expected: float
) -> None:
    unstated = replace(STARTED, expected_seconds=0)
    run_times = times(*(100.0 * n for n in range(1, 11)))
    end = expected_end(unstated, run_times, NOON + timedelta(seconds=elapsed))
    assert end == NOON + timedelta(seconds=expected)


def test_of_several_running_jobs_each_is_expected_to_be_one_of_the_longer_ones() -> None:
    """The last of five has ended with a probability of one half when each has with 0.87."""
    unstated = replace(STARTED, expected_seconds=0)
    five = [replace(unstated, request_id=f"r{n}", tuning_job_name=f"j{n}") for n in range(5)]
    run_times = times(*(100.0 * n for n in range(1, 11)))
    found = {job.expected_end for job in expected(five, run_times, NOON)}
    assert found == {NOON + timedelta(seconds=800)}


def test_without_enough_recent_ones_a_job_is_expected_to_run_as_long_as_it_may() -> None:
    unstated = replace(STARTED, expected_seconds=0)
    assert expected_end(unstated, times(100, 100), NOON) == NOON + timedelta(hours=10)
    of_old_version = replace(unstated, most_instance_seconds=0)
    assert expected_end(of_old_version, times(100, 100), NOON) is None


def test_the_ledger_keeps_what_a_request_expects() -> None:
    assert entry_from(entry_item(STARTED, NOON)).expected_seconds == HOUR
    job = RunningEntry.of(STARTED)
    assert running_from(running_item(job)).expected_seconds == HOUR
    before = running_item(job)
    del before["expected_seconds"]  # as the version before wrote it
    assert running_from(before).expected_seconds == 0


def test_a_request_with_expected_minutes_passes_a_reservation_that_it_does_not_delay() -> None:
    """A wide request waits for an hour's job; of two small ones, the short one starts."""
    arrivals = [
        Arrival(at=0, team="b", request_id="first", seconds=3300, parallel=15,
                expected_minutes=55),
        Arrival(at=1, team="a", request_id="wide", seconds=60, parallel=20),
        Arrival(at=2, team="c", request_id="passes", seconds=600, expected_minutes=10),
        Arrival(at=2100, team="c", request_id="long", seconds=60, expected_minutes=21),
        Arrival(at=2101, team="c", request_id="short", seconds=60, expected_minutes=19),
    ]  # fmt: skip
    account = Simulation(
        Workload(
            name="lent", arrivals=arrivals, teams={"a": {}, "b": {}, "c": {}},
            instances={"ml.m5.large": 20},
        )
    )  # fmt: skip
    start = account.clock.now
    for arrival in arrivals:
        account.clock.now = start + timedelta(seconds=arrival.at)
        account.sagemaker.end_due()
        account.send(arrival)
        account.dispatcher.run(ample_time())
    assert sorted(job.key[1] for job in account.sagemaker.running.values() if job.key) == [
        "first",
        "short",
    ]
