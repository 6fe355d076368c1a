"""A whole campaign that narrows its ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hpoq.campaign.backends.direct import DirectBackend
from hpoq.campaign.campaign_plan import PlannedJob
from hpoq.campaign.running_campaign import RunningCampaign
from tests.support.small_campaigns import small_plan

EVERY = 0.05


def test_narrowed_jobs_search_around_the_best_and_exploring_ones_everywhere(
    backend: DirectBackend, sagemaker: Any, file: Path
) -> None:
    plan = small_plan("narrowing", trials=80)
    plan.save(file)
    RunningCampaign(file, backend).run(EVERY)

    def width(job: PlannedJob) -> tuple[float, float]:
        answer = sagemaker.describe_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=backend.jobs.name(job.number)
        )
        ranges = answer["HyperParameterTuningJobConfig"]["ParameterRanges"]
        (lr,) = ranges["ContinuousParameterRanges"]
        return float(lr["MinValue"]), float(lr["MaxValue"])

    for job in plan.wave(plan.waves):
        low, high = width(job)
        if job.explores:
            assert (low, high) == (0.0001, 1.0)
        else:
            assert 0.0001 < low < 10**-1.5 < high < 1.0
