from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from moto.backends import get_backend

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.cycle.pacing import Deadline
from hpo_dispatcher.ports import Unavailable
from hpo_dispatcher.scheduling.history.memory import MEMORY, predictions_from
from hpoq.simulation.in_memory_ports import MemoryEvents
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload
from tests.support.dispatcher_account import Account, ample_time


def test_a_request_becomes_a_tuning_job(account: Account) -> None:
    account.request("fraud", "a", resource_limits={"max_training_jobs": 3})

    summary = account.cycle()

    assert (summary.accepted, summary.started) == (1, 1)
    (name,) = account.tuning_jobs()
    job = account.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    limits = job["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits == {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 2}
    assert account.waiting("fraud") == 0


def test_an_ended_tuning_job_gives_its_request_the_final_state(account: Account) -> None:
    account.request("fraud", "a")
    account.cycle()

    summary = account.cycle()  # moto completes tuning jobs at once

    assert summary.finished == 1
    entry = account.dispatcher().requests.get("fraud", "a")
    assert entry is not None
    assert entry.status is Status.COMPLETED
    assert account.dispatcher().requests.running() == []


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Deleting", Status.STOPPED),
        ("DeleteFailed", Status.STOPPED),
        ("Hibernating", Status.IN_PROGRESS),
    ],
)
def test_any_status_of_a_tuning_job_neither_stops_a_cycle_nor_runs_a_request_again(
    account: Account, word: str, status: Status
) -> None:
    account.request("fraud", "a")
    account.cycle()
    (name,) = account.tuning_jobs()
    backend = get_backend("sagemaker")["123456789012"]["eu-central-1"]
    job = backend.hyper_parameter_tuning_jobs[name]
    job.hyper_parameter_tuning_job_status, job.hyper_parameter_tuning_end_time = word, None
    account.request("vision", "b")

    summaries = [account.cycle() for _ in range(3)]

    assert [summary.started for summary in summaries] == [1, 0, 0]
    entry = account.dispatcher().requests.get("fraud", "a")
    assert entry is not None
    assert entry.status is status
    assert len(account.tuning_jobs()) == 2


def test_state_changes_are_published_even_if_a_later_step_fails(account: Account) -> None:
    account.request("fraud", "a")
    dispatcher, events = account.dispatcher(), MemoryEvents()

    class NotListed:
        def __getattr__(self, name: str) -> Any:
            return getattr(dispatcher.tuning, name)

        def in_progress(self) -> Any:
            assert events.published == [], "published before the facts"
            raise Unavailable("sagemaker: throttled")

    failing: Any = NotListed()
    with pytest.raises(Unavailable):
        replace(dispatcher, tuning=failing, events=events).run(ample_time())

    assert [(each.request_id, each.status) for each in events.published] == [("a", Status.QUEUED)]


def test_the_request_of_a_head_is_parsed_only_when_it_starts(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.configure(limits={"tuning_jobs": 1})
    for number in range(5):
        account.request("fraud", f"r{number}")
    account.cycle()
    parsed: list[str] = []
    real = TuningRequest.model_validate_json

    def parse(text: str) -> TuningRequest:
        parsed.append(text)
        return real(text)

    monkeypatch.setattr(TuningRequest, "model_validate_json", parse)
    summary = account.cycle()

    assert summary.waiting > 0
    assert len(parsed) == summary.started


@pytest.mark.parametrize(
    ("forecasts", "left", "noted"), [(True, 21, True), (True, 19, False), (False, 21, False)]
)
def test_starts_are_expected_in_the_first_four_fifths_of_a_cycles_time_unless_switched_off(
    forecasts: bool, left: float, noted: bool
) -> None:
    arrivals = [Arrival(at=0, team="a", request_id=f"r{n}", seconds=600) for n in range(2)]
    world = Simulation(Workload(name="w", arrivals=arrivals, teams={"a": {}}, slots=1))
    for each in arrivals:
        world.send(each)
    before_it_ends = Deadline(remaining=lambda: 100.0, total=100.0)
    replace(world.dispatcher, forecasts=False).run(before_it_ends)
    late = Deadline(remaining=lambda: left, total=100.0)
    replace(world.dispatcher, forecasts=forecasts).run(late)
    noted_at = predictions_from(world.documents.get(MEMORY)).noted_at
    assert (noted_at is not None) is noted
