"""A tuning job is preempted for another team's guaranteed share and resumes later."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Entry, Status
from hpoq.client import Client
from hpoq.local.cloud import Cloud
from hpoq.local.lifecycle.processes import wait_until
from tests.support import tiny_jobs as tiny
from tests.support.deployed_stack import Deployed

NAME = "makesroom"
TRIALS, PARALLEL = 9, 2
BEFORE = 3  # training jobs that have ended before the other team sends a request
PATIENCE = 120.0  # seconds


@pytest.fixture(scope="module")
def shared(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """Deploy with one slot, which is guaranteed to vision and lent to fraud."""
    return tiny.deploy(
        cloud,
        NAME,
        tmp_path_factory.mktemp(NAME),
        teams={"fraud": {"preemptible": True}, "vision": {"guaranteed_share": 1}},
        limits={"tuning_jobs": 1},
    )


def request(request_id: str, trials: int, seconds: float) -> dict[str, Any]:
    """Return a request with a fixed seed, which draws the same trials after a restart."""
    return {
        "request_id": request_id,
        "hyperparameters": {"seconds": seconds},
        "hyperparameter_ranges": {
            "lr": {"type": "continuous", "min": 1e-4, "max": 1.0, "scaling": "Logarithmic"}
        },
        "resource_limits": {"max_training_jobs": trials, "max_parallel_training_jobs": PARALLEL},
        "overrides": {"HyperParameterTuningJobConfig": {"RandomSeed": 7}},
    }


def training_jobs(shared: Deployed, tuning_job: str) -> list[dict[str, Any]]:
    pages = shared.client("sagemaker").get_paginator(
        "list_training_jobs_for_hyper_parameter_tuning_job"
    )
    return [
        summary
        for page in pages.paginate(HyperParameterTuningJobName=tuning_job)
        for summary in page["TrainingJobSummaries"]
    ]


@pytest.mark.timeout(2 * PATIENCE + 120)
def test_a_preempted_tuning_job_resumes_and_every_requested_trial_ends_exactly_once(
    shared: Deployed,
) -> None:
    client = Client(NAME, session=shared.session)
    client.submit("fraud", [request("search", TRIALS, 3)])

    def far_enough() -> bool:
        entry = next(client.entries("fraud"), None)
        return bool(entry and client.live(entry).counters.get("Completed", 0) >= BEFORE)

    assert wait_until(far_enough, PATIENCE)
    client.submit("vision", [request("owed", PARALLEL, 0)])

    def all_ended() -> bool:
        entries = [*client.entries("fraud"), *client.entries("vision")]
        return len(entries) == 2 and all(entry.status.ended for entry in entries)

    assert wait_until(all_ended, PATIENCE), [*client.entries("fraud"), *client.entries("vision")]
    search, owed = client.get("fraud", "search"), client.get("vision", "owed")
    assert (search.status, owed.status) == (Status.COMPLETED, Status.COMPLETED)
    assert owed.ended_at
    assert search.ended_at
    assert owed.ended_at < search.ended_at, (
        "the guaranteed request did not wait for the search to end"
    )
    check_trials(shared, search)


def check_trials(shared: Deployed, search: Entry) -> None:
    (earlier,) = search.earlier
    first, second = (
        training_jobs(shared, name) for name in (earlier.tuning_job_name, search.tuning_job_name)
    )
    statuses = Counter(job["TrainingJobStatus"] for job in (*first, *second))
    assert statuses == {"Completed": TRIALS, "Stopped": earlier.interrupted}
    assert BEFORE <= earlier.ended < TRIALS
    assert len(second) == TRIALS - earlier.ended
    completed = [job for job in (*first, *second) if job["TrainingJobStatus"] == "Completed"]
    tried = {job["TunedHyperParameters"]["lr"] for job in completed}
    assert len(tried) == TRIALS, "no ended trial ran again"
    assert dict(search.counters).get("Completed") == TRIALS
    values = {
        job["TrainingJobName"]: job["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        for job in completed
    }
    assert search.best
    assert search.best.name == max(values, key=values.__getitem__), (
        "the best trial of both tuning jobs"
    )

    child = shared.client("sagemaker").describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=search.tuning_job_name
    )
    parents = child["WarmStartConfig"]["ParentHyperParameterTuningJobs"]
    assert parents == [{"HyperParameterTuningJobName": earlier.tuning_job_name}]
