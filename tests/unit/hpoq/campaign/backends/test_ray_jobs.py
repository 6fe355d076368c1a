"""Campaigns whose trials run inside a few training jobs, on the local SageMaker endpoint."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import pytest

from hpoq.campaign.backends.direct import DirectBackend
from hpoq.campaign.backends.ray_jobs import RayJobs
from hpoq.campaign.backends.ray_trials import RayTrials
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.planning.compare import extended
from hpoq.campaign.running_campaign import RunningCampaign
from tests.support.campaign_engine import Engine
from tests.support.small_campaigns import small_plan

EVERY = 0.05


class MemoryS3:
    """The two operations that read records, on the objects of an engine."""

    def __init__(self, engine: Engine) -> None:
        self.stored = engine.memory.stored
        self.reads = 0

    def get_paginator(self, _: str) -> MemoryS3:
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803
        found = [
            {"Key": key, "ETag": str(hash(content))}
            for (bucket, key), content in sorted(self.stored.items())
            if bucket == Bucket and key.startswith(Prefix)
        ]
        return [{"Contents": found}]

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        self.reads += 1
        return {"Body": io.BytesIO(self.stored[Bucket, Key])}


@pytest.fixture
def ray(engine: Engine, sagemaker: Any, target: Any) -> RayJobs:
    inner = DirectBackend(sagemaker, target)
    s3: Any = MemoryS3(engine)
    return RayJobs(
        inner, RayTrials(sagemaker, s3), inner.in_api_form, lambda: inner.training_source
    )


def run(plan: CampaignPlan, ray: RayJobs, file: Path) -> RunningCampaign:
    plan.save(file)
    running = RunningCampaign(file, ray)
    last = running.run(EVERY)
    assert last.ended
    return running


def test_a_ray_campaign_has_every_trial_once_in_the_same_table(ray: RayJobs, file: Path) -> None:
    plan = small_plan("ray", trials=60)
    assert [(job.instances, job.trials) for job in plan.jobs] == [(4, 60)]
    running = run(plan, ray, file)
    table = running.results()
    assert len(table) == table["trial"].nunique() == 60
    assert set(table["hp.lr"].dtype.name) and table["hp.lr"].between(0.0001, 1).all()
    hot = table["hp.lr"] > 0.9
    assert set(table["status"][hot]) <= {"Failed"}
    assert table["usable"].sum() == 60 - hot.sum()
    assert table["reason"][hot].eq("too hot").all()
    best = table[table["rank"] == 1].iloc[0]
    assert best["objective"] == table["objective"].max() == pytest.approx(ray.best(1))
    assert 0.5 < table["minutes"].median() * 60 < 2


def test_further_metrics_are_those_in_the_record_of_a_ray_job(ray: RayJobs, file: Path) -> None:
    plan = small_plan("ray", trials=8, further_metrics={"latency": "Minimize"})
    table = run(plan, ray, file).results()
    assert table["metric.latency"].tolist() == pytest.approx((100 * table["hp.lr"]).tolist())


def test_a_ray_job_is_one_training_job_of_several_instances(
    ray: RayJobs, sagemaker: Any, file: Path
) -> None:
    plan = small_plan("ray", trials=6, request_extras={"hyperparameters": {"depth": 3}})
    run(plan, ray, file)
    answer = sagemaker.describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=ray.jobs.name(1)
    )
    assert answer["TrainingJobStatusCounters"]["Completed"] == 1
    assert answer["TrainingJobDefinition"]["ResourceConfig"]["InstanceCount"] == 4


def test_another_runner_resumes_and_an_extension_adds_trials(
    engine: Engine, ray: RayJobs, sagemaker: Any, target: Any, file: Path
) -> None:
    plan = small_plan("ray", trials=20)
    plan.save(file)
    first = RunningCampaign(file, ray).updates(EVERY)
    next(first)
    next(first)
    first.close()  # type: ignore[attr-defined]
    running = run(plan, ray, file)
    extended(plan, 10).save(file)
    last = running.run(EVERY)
    assert last.done + last.failed == 30
    assert len(running.results()) == 30
    assert running.results()["wave"].tolist() == [1] * 20 + [2] * 10


def test_a_failed_training_job_keeps_its_trials_and_says_why(ray: RayJobs, file: Path) -> None:
    plan = small_plan("ray", trials=10, request_extras={"hyperparameters": {"crash": 1}})
    plan.save(file)
    running = RunningCampaign(file, ray)
    last = running.run(EVERY)
    table = running.results()
    assert len(table) == 11, "ten trials and the training job that failed"
    (reason,) = table[table["trial"].str.contains("/") == False]["reason"]  # noqa: E712
    assert "out of memory" in reason
    assert last.done + last.failed == 10


def test_records_are_read_again_only_after_they_have_changed(
    engine: Engine, sagemaker: Any, target: Any, file: Path
) -> None:
    inner = DirectBackend(sagemaker, target)
    s3: Any = MemoryS3(engine)
    ray = RayJobs(inner, RayTrials(sagemaker, s3), inner.in_api_form, lambda: inner.training_source)
    run(small_plan("ray", trials=5), ray, file)
    before = s3.reads
    for _ in range(3):
        assert ray.poll()[1].completed + ray.poll()[1].failed == 5
    assert s3.reads == before


def test_ray_starts_from_the_points_and_repeats_the_best_settings_with_each_seed(
    ray: RayJobs, file: Path
) -> None:
    repeats = {"hyperparameter": "seed", "seeds": [1, 2, 3], "settings": 2}
    plan = small_plan("ray", trials=26, points=[{"lr": 0.03}], repeats=repeats)
    table = run(plan, ray, file).results()
    assert len(table) == table["trial"].nunique() == 26
    first = table[table["trial"].str.endswith("/1") & (table["job"] == 1)]
    assert list(first["hp.lr"]) == [0.03]
    best = table[table["job"] == 1].nsmallest(2, "rank")["hp.lr"]
    repeated = table[table["job"] == 2]
    assert sorted(repeated["hp.lr"].unique()) == pytest.approx(sorted(best))
    assert sorted(repeated["hp.seed"]) == [1, 1, 2, 2, 3, 3]


def test_a_killed_runner_of_a_ray_campaign_resumes_with_each_trial_once(
    engine: Engine, sagemaker: Any, target: Any, file: Path
) -> None:
    def backend() -> RayJobs:
        inner = DirectBackend(sagemaker, target)
        s3: Any = MemoryS3(engine)
        records = RayTrials(sagemaker, s3)
        return RayJobs(inner, records, inner.in_api_form, lambda: inner.training_source)

    plan = small_plan("ray", trials=200)
    plan.save(file)
    for looks in (1, 2, 3):  # a new runner each time, which is killed after so many looks
        running = RunningCampaign(file, backend()).updates(EVERY)
        for _ in range(looks):
            next(running, None)
        running.close()  # type: ignore[attr-defined]
    resumed = RunningCampaign(file, backend())
    last = resumed.run(EVERY)
    assert (last.done + last.failed, last.problems) == (200, [])
    table = resumed.results()
    assert len(table) == table["trial"].nunique() == 200
    exact = 1 - (table["hp.lr"].map(math.log10) + 1.5) ** 2 / 10
    assert (table["objective"] - exact)[table["usable"]].abs().max() < 1e-9
