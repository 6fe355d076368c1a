from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hpo_dispatcher.errors import HpoqError
from hpoq.campaign.campaign import RunningCampaign
from hpoq.campaign.control import Control
from hpoq.campaign.direct import DirectAccount
from hpoq.campaign.model import Plan
from hpoq.cli import campaign as command
from hpoq.cli.campaign import app
from hpoq.errors import NotReachable

REQUEST = """
strategy: Bayesian
objective: {metric: auc, type: Maximize}
hyperparameter_ranges:
  lr: {type: continuous, min: 0.0001, max: 1.0, scaling: Logarithmic}
"""


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hpoq.campaign.account_limits.account_limits", lambda *_: {})
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("COLUMNS", "200")
    Path("request.yaml").write_text(REQUEST)


def hpoq(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def planned(*more: object, name: str = "credit", trials: int = 40) -> Any:
    limits = ["--limit", "instances=4", "--limit", "parallel_training_jobs=2"]
    given = ["plan", "request.yaml", "--name", name, "--trials", trials, "--minutes", 1]
    return hpoq(*given, *limits, *more)


def test_plan_compares_strategies_and_saves_the_recommended_one() -> None:
    ended = planned()
    assert ended.exit_code == 0, ended.output
    assert "single *" in ended.stdout
    assert "recommended: single" in ended.stderr
    assert Plan.load(Path("credit.plan.json")).campaign.trials == 40


def test_plan_takes_the_strategy_and_the_file_it_is_told() -> None:
    assert planned("--strategy", "narrowing", "--out", "other.json").exit_code == 0
    assert Plan.load(Path("other.json")).strategy == "narrowing"


def test_plan_as_json_is_for_other_programs() -> None:
    ended = planned("--json", "--deadline", "0.1")
    told = json.loads(ended.stdout)
    assert [each["strategy"] for each in told["strategies"]][:2] == ["single", "independent"]
    assert "over the deadline" in told["strategies"][0]["shortfalls"][0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--strategy", "luck"), "luck"),
        (("--limit", "instances=many"), "NAME=NUMBER"),
        (("--limit", "cores=4"), "cores"),
    ],
)
def test_a_wrong_option_is_told_in_one_line(words: tuple[str, ...], said: str) -> None:
    ended = planned(*words)
    assert isinstance(ended.exception, HpoqError)
    assert said in str(ended.exception)
    assert "\n" not in str(ended.exception)


def test_minutes_are_asked_for_or_measured() -> None:
    ended = hpoq("plan", "request.yaml", "--name", "credit", "--trials", 40)
    assert "--pilot" in str(ended.exception)


def test_a_campaign_is_run_extended_and_read_from_the_shell(
    account: DirectAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_queued", lambda plan, *_: RunningCampaign(plan, account))
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
    told = hpoq("results", "credit.plan.json", "-o", "r.csv", "--optuna", storage)
    assert "study credit holds 16 trials" in told.stderr
    assert len(Path("r.csv").read_text().splitlines()) == 17
    report = hpoq("report", "credit.plan.json")
    assert report.stdout.strip() == "credit.html"
    assert Path("credit.html").stat().st_size < 10_000_000


def test_a_direct_campaign_is_read_without_any_deployment(
    account: DirectAccount, sagemaker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpoq.campaign.campaign.sagemaker", lambda _: sagemaker)
    planned(name="alone", trials=4)
    RunningCampaign(Path("alone.plan.json"), account).run(every=0.05)
    assert len(json.loads(hpoq("results", "alone.plan.json", "--direct", "--json").stdout)) == 4
    assert hpoq("report", "alone.plan.json", "--direct").stdout.strip() == "alone.html"


def test_pause_resume_and_cancel_are_words_beside_the_plan() -> None:
    planned()
    control = Control(Path("credit.plan.json"))
    for word, kept in (("pause", "pause"), ("resume", "run"), ("cancel", "cancel")):
        assert hpoq(word, "credit.plan.json").exit_code == 0
        assert control.word == kept


def test_a_direct_run_without_deployment_says_what_it_lacks() -> None:
    planned()
    ended = hpoq("run", "credit.plan.json", "--direct", "--bucket", "b")
    assert "--role-arn" in str(ended.exception)


def test_a_run_without_account_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    planned()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", "/nonexistent")
    ended = hpoq("run", "credit.plan.json", "--team", "fraud")
    assert isinstance(ended.exception, NotReachable)
    assert "credentials" in str(ended.exception)


def test_a_plan_edited_into_nonsense_is_refused() -> None:
    planned()
    file = Path("credit.plan.json")
    file.write_text(file.read_text().replace('"trials": 40', '"trials": 41', 1))
    assert "the jobs hold 40" in str(hpoq("run", file).exception)
