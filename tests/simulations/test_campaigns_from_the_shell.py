"""Whole campaigns, planned, run and read by commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.errors import HpoqError
from hpoq.campaign.backends.direct import DirectBackend
from hpoq.campaign.backends.queued import QueueBackend
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.running.control import Control
from hpoq.campaign.running.progress import CampaignProgress
from hpoq.campaign.running_campaign import RunningCampaign
from tests.support.campaign_commands import (
    hpoq,
    in_folder,
    planned,
    run_directly_on,
    run_on,
)
from tests.support.campaign_engine import TEMPLATE
from tests.support.stepped_queue import SteppedQueue, UnreadableSageMaker

__all__ = ["in_folder"]


def test_a_campaign_is_run_extended_and_read_from_the_shell(
    backend: DirectBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_on(monkeypatch, backend)
    assert planned("--strategy", "independent", trials=12).exit_code == 0
    ran = hpoq("run", "credit.plan.json", "--every", "0.5")
    assert ran.exit_code == 0, ran.output
    assert "12 trials" in ran.stderr
    assert "16 trials" in hpoq("extend", "credit.plan.json", 4).stderr
    assert hpoq("run", "credit.plan.json", "--every", "0.5").exit_code == 0
    best = hpoq("results", "credit.plan.json")
    assert "credit" in best.stdout
    assert len(json.loads(hpoq("results", "credit.plan.json", "--json").stdout)) == 16
    storage = "sqlite:///study.db"
    shown = hpoq("results", "credit.plan.json", "-o", "r.csv", "--optuna", storage)
    assert "study credit holds 16 trials" in shown.stderr
    assert len(Path("r.csv").read_text().splitlines()) == 17
    report = hpoq("report", "credit.plan.json")
    assert report.stdout.strip() == "credit.html"
    assert Path("credit.html").stat().st_size < 10_000_000


def test_a_direct_campaign_runs_without_any_deployment(
    sagemaker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_directly_on(monkeypatch, sagemaker)
    Path("tiny.yaml").write_text(yaml.safe_dump(TEMPLATE))
    planned("--strategy", "single", name="ours", trials=8)
    direct = (
        "run", "ours.plan.json", "--every", "0.5", "--direct",
        "--role-arn", "arn:aws:iam::123456789012:role/training", "--bucket", "bucket",
        "--source", "s3://bucket/source.tar.gz",
    )  # fmt: skip
    ran = hpoq(*direct, "--template-file", "tiny.yaml")
    assert ran.exit_code == 0, ran.output
    assert len(json.loads(hpoq("results", "ours.plan.json", "--direct", "--json").stdout)) == 8
    missing = hpoq(*direct, "--template-file", "none.yaml")
    assert isinstance(missing.exception, HpoqError)
    assert "none.yaml" in str(missing.exception)


def test_a_campaign_without_completed_trials_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = QueueBackend(SteppedQueue(Status.FAILED), "fraud", UnreadableSageMaker())  # type: ignore[arg-type]
    run_on(monkeypatch, backend)
    planned("--strategy", "independent", name="bad")
    ran = hpoq("run", "bad.plan.json", "--every", "0.5")
    assert ran.exit_code == 3
    assert "bad-00001 Failed" in ran.stderr
    assert "no trial has completed" in ran.stderr


class Impatient(RunningCampaign):
    """A campaign that is polled more often than asked for."""

    def run(self, *_: Any, **options: Any) -> CampaignProgress:
        return super().run(0.05, **options)


def test_a_pilot_that_is_rejected_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = QueueBackend(SteppedQueue(Status.REJECTED), "fraud", UnreadableSageMaker())  # type: ignore[arg-type]
    monkeypatch.setattr(RunningCampaign, "queued", lambda file, *_, **__: Impatient(file, backend))
    ended = planned("--pilot", 3, name="bad")
    assert "no trial of the pilot completed" in str(ended.exception)
    assert "bad-pilot-00001 Rejected" in ended.stderr


MODELS = """
models:
  flat: {request: request.yaml, minutes: 1, trials: 8}
  steep:
    request:
      strategy: Random
      objective: {metric: auc, type: Maximize}
      hyperparameter_ranges: {lr: {type: continuous, min: 0.001, max: 1.0}}
    points: [{lr: 0.03}]
"""


def test_several_models_of_one_file_are_planned_run_and_read_together(
    sagemaker: Any, target: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def queued(file: Path, *_: object, **__: object) -> RunningCampaign:
        return RunningCampaign(file, DirectBackend(sagemaker, target))

    monkeypatch.setattr(RunningCampaign, "queued", queued)
    Path("models.yaml").write_text(MODELS)
    limits = ["--limit", "instances=4", "--limit", "parallel_training_jobs=2"]
    options = ["--name", "many", "--trials", 6, "--minutes", 0.5, "--strategy", "independent"]
    ended = hpoq("plan", "models.yaml", *options, *limits)
    assert ended.exit_code == 0, ended.output
    flat = CampaignPlan.load(Path("many-flat.plan.json")).campaign
    steep = CampaignPlan.load(Path("many-steep.plan.json")).campaign
    assert (flat.trials, flat.limits.instances, flat.minutes_per_trial) == (8, 2, 1)
    assert (steep.trials, steep.limits.instances, len(steep.points)) == (6, 2, 1)

    ran = hpoq("run", "many.plan.json", "--every", "0.5")
    assert ran.exit_code == 0, ran.output
    assert "flat: 8/8 trials" in ran.stderr or "flat: 7/8 trials" in ran.stderr
    rows = json.loads(hpoq("results", "many.plan.json", "--json").stdout)
    assert sorted(row["model"] for row in rows) == ["flat"] * 8 + ["steep"] * 6
    assert "model" in hpoq("results", "many.plan.json").stdout
    report = hpoq("report", "many.plan.json", "-o", "many.html")
    assert "many-steep" in Path(report.stdout.strip()).read_text()
    reports = hpoq("report", "many.plan.json").stdout.split()
    assert reports == ["many-flat.html", "many-steep.html"]
    assert "many-flat" in Path("many-steep.html").read_text()

    assert hpoq("pause", "many.plan.json").exit_code == 0
    assert Control(Path("many-flat.plan.json")).command == "pause"
    refused = hpoq("extend", "many.plan.json", 4)
    assert "several models. Extend one of many-flat.plan.json" in str(refused.exception)


def test_points_studies_and_seeds_are_options_of_a_plan(
    backend: DirectBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_on(monkeypatch, backend)
    Path("points.yaml").write_text("- {lr: 0.03}\n- {lr: 0.5}\n")
    given = ["--points", "points.yaml", "--seeds", "seed=1,2", "--seeds-best", 2]
    assert planned(*given, "--strategy", "single", name="given", trials=10).exit_code == 0
    assert hpoq("run", "given.plan.json", "--every", "0.5").exit_code == 0
    assert "std" in hpoq("results", "given.plan.json", "--settings").stdout

    storage = "sqlite:///study.db"
    hpoq("results", "given.plan.json", "--optuna", storage)
    again = planned("--optuna-study", storage, "--study-best", 3, name="again", trials=20)
    assert again.exit_code == 0, again.output
    best = CampaignPlan.load(Path("again.plan.json")).campaign.points
    assert len(best) == 3
    assert "3 settings will be tried first" in again.stderr
    wrong = planned("--seeds", "seed=a")
    assert "write NAME=NUMBER,NUMBER" in str(wrong.exception)
