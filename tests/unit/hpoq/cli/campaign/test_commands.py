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
from hpoq.campaign.running_campaign import RunningCampaign
from hpoq.errors import NotReachable
from tests.support.campaign_commands import (
    REQUEST,
    hpoq,
    in_folder,
    planned,
    run_directly_on,
    run_on,
)
from tests.support.stepped_queue import SteppedQueue, UnreadableSageMaker

__all__ = ["in_folder"]


def test_plan_compares_strategies_and_saves_the_recommended_one() -> None:
    ended = planned()
    assert ended.exit_code == 0, ended.output
    assert "ray *" in ended.stdout
    for fact in (
        "wall clock",
        "80% interval",
        "instance-hours",
        "cost",
        "learns",
        "bound by",
    ):
        assert fact in ended.stdout
    assert "recommended: ray; Ray runs the trials inside a few training jobs" in ended.stderr
    assert CampaignPlan.load(Path("credit.plan.json")).campaign.trials == 40


def test_a_missed_goal_is_shown_for_each_strategy_with_what_would_meet_it() -> None:
    said = planned("--deadline", "0.1", "--budget", "0.01", "--startup", "0").stderr
    assert "single takes up to" in said
    assert "h over the deadline of 0.1 h" in said
    assert "would meet it" in said
    assert "over the budget of $0.01" in said
    assert "would fit" in said
    assert "; no strategy meets the goals; this one comes closest: takes up to" in said


def test_a_plan_that_misses_a_goal_is_saved_only_if_asked_to() -> None:
    ended = planned("--budget", "0.01")
    assert ended.exit_code == 3
    assert "not saved, because the plan misses the goals" in ended.stderr
    assert not Path("credit.plan.json").exists()
    assert planned("--budget", "0.01", "--anyway").exit_code == 0
    assert CampaignPlan.load(Path("credit.plan.json")).campaign.budget == 0.01


def test_a_raised_quota_of_training_jobs_is_one_of_random_searches() -> None:
    Path("request.yaml").write_text(REQUEST.replace("Bayesian", "Random"))
    raised = planned("--limit", "training_jobs=2000", trials=1_500)
    assert raised.exit_code == 0, raised.output
    assert CampaignPlan.load(Path("credit.plan.json")).campaign.limits.training_jobs_random == 2_000
    Path("request.yaml").write_text(REQUEST)
    refused = planned("--limit", "training_jobs=2000")
    assert "more than 750 training jobs in a tuning job with Random only" in str(refused.exception)


def test_the_command_that_runs_a_plan_names_the_team_unless_the_environment_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HPOQ_TEAM", raising=False)
    command = "Run: hpoq campaign run credit.plan.json"
    assert f"{command} --team fraud\n" in planned("--team", "fraud").stderr
    assert f"{command}\n" in planned().stderr
    monkeypatch.setenv("HPOQ_TEAM", "fraud")
    assert f"{command}\n" in planned().stderr


def test_planning_again_removes_an_earlier_pause() -> None:
    planned()
    hpoq("pause", "credit.plan.json")
    planned()
    assert Control(Path("credit.plan.json")).command == "run"


def test_planning_again_keeps_a_different_earlier_plan() -> None:
    planned()
    before = Path("credit.plan.json").read_bytes()
    assert "kept" not in planned().stderr
    assert not Path("credit.plan.json.bak").exists()

    assert "the earlier plan is kept as credit.plan.json.bak" in planned(trials=50).stderr
    assert Path("credit.plan.json.bak").read_bytes() == before
    assert CampaignPlan.load(Path("credit.plan.json")).campaign.trials == 50


def test_plan_saves_the_given_strategy_to_the_given_file() -> None:
    assert planned("--strategy", "narrowing", "--out", "other.json").exit_code == 0
    assert CampaignPlan.load(Path("other.json")).strategy == "narrowing"


def test_plan_prints_all_strategies_as_json() -> None:
    ended = planned("--json", "--deadline", "0.1")
    shown = json.loads(ended.stdout)
    assert [each["strategy"] for each in shown["strategies"]][:2] == ["single", "independent"]
    assert "over the deadline" in shown["strategies"][0]["shortfalls"][0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--strategy", "luck"), "luck"),
        (("--limit", "instances=many"), "NAME=NUMBER"),
        (("--limit", "cores=4"), "cores"),
        (("--metric", "latency"), "write NAME=Minimize or NAME=Maximize"),
        (("--metric", "latency=Lower"), "write NAME=Minimize or NAME=Maximize"),
        (("--metric", "auc=Minimize"), "auc is the objective"),
    ],
)
def test_a_wrong_option_is_reported_in_one_line(words: tuple[str, ...], said: str) -> None:
    ended = planned(*words)
    assert isinstance(ended.exception, HpoqError)
    assert said in str(ended.exception)
    assert "\n" not in str(ended.exception)


def test_further_metrics_are_part_of_the_plan() -> None:
    metrics = ("--metric", "validation:loss=Minimize", "--metric", "cost=Minimize")
    assert planned(*metrics).exit_code == 0
    saved = CampaignPlan.load(Path("credit.plan.json")).campaign.further_metrics
    assert saved == {"validation:loss": "Minimize", "cost": "Minimize"}


def test_a_metric_that_a_request_in_api_form_does_not_define_is_refused() -> None:
    definitions = [{"Name": "auc", "Regex": "auc=(.*)"}, {"Name": "loss", "Regex": "loss=(.*)"}]
    ranges = [{"Name": "lr", "MinValue": "0.1", "MaxValue": "1"}]
    objective = {"MetricName": "auc", "Type": "Maximize"}
    api_request = {
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian", "HyperParameterTuningJobObjective": objective,
            "ParameterRanges": {"ContinuousParameterRanges": ranges},
        },
        "TrainingJobDefinition": {"AlgorithmSpecification": {"MetricDefinitions": definitions}},
    }  # fmt: skip
    Path("request.yaml").write_text(yaml.safe_dump({"api_request": api_request}))
    refused = planned("--metric", "latency=Minimize")
    said = "--metric latency=Minimize: the template defines no such metric. Use auc, loss, "
    assert str(refused.exception).startswith(said)
    assert planned("--metric", "loss=Minimize", "--metric", "minutes=Minimize").exit_code == 0


def test_minutes_must_be_given_or_measured() -> None:
    ended = hpoq("plan", "request.yaml", "--name", "credit", "--trials", 40)
    assert "--pilot" in str(ended.exception)


def test_a_direct_campaign_is_read_without_any_deployment(
    backend: DirectBackend, sagemaker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_directly_on(monkeypatch, sagemaker)
    planned(name="alone", trials=4)
    RunningCampaign(Path("alone.plan.json"), backend).run(every=0.05)
    assert len(json.loads(hpoq("results", "alone.plan.json", "--direct", "--json").stdout)) == 4
    assert hpoq("report", "alone.plan.json", "--direct").stdout.strip() == "alone.html"


def test_a_canceled_run_says_what_was_not_started(
    backend: DirectBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_on(monkeypatch, backend)
    planned("--strategy", "independent", name="never")
    hpoq("cancel", "never.plan.json")
    ran = hpoq("run", "never.plan.json", "--every", "0.5")
    assert ran.exit_code == 3
    assert "tuning jobs not started. To resume: hpoq campaign resume never.plan.json" in ran.stderr


def test_a_campaign_can_be_left_to_its_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = SteppedQueue()
    backend = QueueBackend(queue, "fraud", UnreadableSageMaker())  # type: ignore[arg-type]
    run_on(monkeypatch, backend)
    planned("--strategy", "independent", name="left")
    jobs = len(CampaignPlan.load(Path("left.plan.json")).jobs)
    assert f"{jobs} tuning jobs sent" in hpoq("run", "left.plan.json", "--detach").stderr
    assert len(queue.ledger) == jobs


def test_a_failed_tuning_job_is_named_with_the_command_that_explains_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = SteppedQueue(end_status=Status.FAILED)
    backend = QueueBackend(queue, "fraud", UnreadableSageMaker())  # type: ignore[arg-type]
    run_on(monkeypatch, backend)
    planned("--strategy", "single", name="bad")
    ran = hpoq("run", "bad.plan.json", "--every", "0.5", "--team", "fraud")
    assert ran.exit_code == 3
    assert "bad-00001 Failed" in ran.stderr
    assert "to see why its training jobs failed: hpoq why bad-00001\n" in ran.stderr


def test_pause_resume_and_cancel_are_stored_beside_the_plan() -> None:
    planned()
    control = Control(Path("credit.plan.json"))
    for word, kept in (("pause", "pause"), ("resume", "run"), ("cancel", "cancel")):
        assert hpoq(word, "credit.plan.json").exit_code == 0
        assert control.command == kept


def test_a_direct_run_without_deployment_names_the_missing_options() -> None:
    planned()
    ended = hpoq("run", "credit.plan.json", "--direct", "--bucket", "b")
    assert "--role-arn" in str(ended.exception)


def test_a_run_without_credentials_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    planned()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", "/nonexistent")
    ended = hpoq("run", "credit.plan.json", "--team", "fraud")
    assert isinstance(ended.exception, NotReachable)
    assert "credentials" in str(ended.exception)


def test_an_inconsistent_plan_is_rejected() -> None:
    planned()
    file = Path("credit.plan.json")
    file.write_text(file.read_text().replace('"trials": 40', '"trials": 41', 1))
    assert "the jobs hold 40" in str(hpoq("run", file).exception)


def test_an_unmeasured_start_up_is_said_to_be_one() -> None:
    said = planned().stderr
    assert "start-up of a training job: 3 minutes, a published figure of another account" in said
    assert "a published figure" not in planned("--startup", "2").stderr
    assert CampaignPlan.load(Path("credit.plan.json")).campaign.startup_minutes == 2
