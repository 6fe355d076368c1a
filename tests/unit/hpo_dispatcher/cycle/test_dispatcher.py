from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.ports import Unavailable
from hpoq.simulation.in_memory_ports import MemoryEvents
from tests.support.dispatcher_account import Account, ample_time


def test_a_request_becomes_a_tuning_job(account: Account) -> None:
    account.request("fraud", "a", resource_limits={"max_training_jobs": 3})

    summary = account.cycle()

    assert (summary.accepted, summary.started) == (1, 1)
    (name,) = account.tuning_jobs()
    job = account.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    limits = job["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits == {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 3}
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
