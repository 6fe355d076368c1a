"""The tuning jobs of a campaign, read from SageMaker."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hpo_dispatcher.contract.entry import Status
from hpoq.campaign.backends.tuning_jobs import CampaignTuningJobs
from tests.support.small_campaigns import small_plan

CREATED = datetime(2026, 11, 29, 6, tzinfo=UTC)


class ShortJobs:
    """A SageMaker whose tuning jobs have ended by the time that it is asked again."""

    def get_paginator(self, _: str) -> ShortJobs:
        return self

    def paginate(self, **_: Any) -> list[Any]:
        return []

    def list_hyper_parameter_tuning_jobs(self, **_: Any) -> dict[str, Any]:
        return {"HyperParameterTuningJobSummaries": []}

    def describe_hyper_parameter_tuning_job(self, **asked: str) -> dict[str, Any]:
        return asked | {
            "HyperParameterTuningJobConfig": {},
            "HyperParameterTuningJobStatus": "Completed",
            "CreationTime": CREATED,
        }


def test_a_job_that_ran_between_two_polls_says_when_the_campaign_began() -> None:
    sagemaker: Any = ShortJobs()
    jobs = CampaignTuningJobs(sagemaker, "fraud")
    plan = small_plan("single")
    jobs.follow(plan)
    assert jobs.poll() == {}
    assert jobs.began is None
    (job,) = plan.jobs
    jobs.created(job.number)
    assert jobs.poll()[job.number].status is Status.COMPLETED
    assert jobs.began == CREATED
