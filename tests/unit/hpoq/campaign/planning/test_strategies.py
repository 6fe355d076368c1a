"""A strategy is one class, listed in the registry; everything else reads the registry."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.fabricated import REQUEST, trials
from hpoq.campaign.campaign_plan import CampaignPlan, PlannedJob
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import Campaign
from hpoq.campaign.planning.compare import campaign_of, extended, planned
from hpoq.campaign.planning.strategies.registry import STRATEGIES
from hpoq.campaign.planning.strategies.strategy import Strategy
from hpoq.campaign.report.page import page
from hpoq.campaign.results.table import frame
from hpoq.cli.campaign import app

DOCS = Path(__file__).parents[5] / "docs" / "campaigns.md"


class OneByOne(Strategy):
    """A toy: a tuning job for each trial."""

    name = "one-by-one"
    learns = "nothing at all"
    preference = 1
    advantage = "a toy strategy goes first"

    def jobs(self, campaign: Campaign) -> list[PlannedJob]:
        return [PlannedJob(number=n, trials=1, parallel=1) for n in range(1, campaign.trials + 1)]

    def more_jobs(
        self, campaign: Campaign, before: Sequence[PlannedJob], trials: int
    ) -> list[PlannedJob]:
        first, wave = before[-1].number + 1, before[-1].wave + 1
        numbers = range(first, first + trials)
        return [PlannedJob(number=n, wave=wave, trials=1, parallel=1) for n in numbers]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> OneByOne:
    """Register the toy strategy."""
    strategy = OneByOne()
    monkeypatch.setitem(STRATEGIES, strategy.name, strategy)
    return strategy


def hpoq(*words: str) -> tuple[str, str]:
    """Run ``hpoq campaign`` and return what it wrote to stdout and stderr."""
    ended = CliRunner().invoke(app, list(words))
    assert ended.exit_code == 0, ended.output
    return ended.stdout, ended.stderr


def test_a_registered_strategy_is_planned_saved_extended_and_reported(
    toy: OneByOne, tmp_path: Path
) -> None:
    campaign = campaign_of(name="toy", trials=30, minutes_per_trial=5, request=REQUEST)
    plan = planned(campaign, toy.name)
    plan.save(tmp_path / "toy.plan.json")
    longer = extended(CampaignPlan.load(tmp_path / "toy.plan.json"), 5)
    assert len(longer.jobs) == 35
    assert toy.name in page(longer, frame(longer, trials(longer)))


def test_a_registered_strategy_is_offered_and_recommended_by_the_command_line(
    toy: OneByOne, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("hpoq.campaign.planning.account_limits.limits_of", lambda *_: {})
    Path("request.json").write_text(json.dumps(REQUEST))
    assert toy.name in hpoq("plan", "--help")[0]
    size = ("--trials", "1", "--minutes", "5")
    table, said = hpoq("plan", "request.json", "--name", "toy", *size)
    assert toy.learns in table
    assert f"recommended: {toy.name}; {toy.advantage}" in said
    assert CampaignPlan.load(Path("toy.plan.json")).strategy == toy.name


def test_an_unknown_strategy_is_rejected_with_those_that_exist() -> None:
    campaign = campaign_of(name="toy", trials=30, minutes_per_trial=5, request=REQUEST)
    with pytest.raises(InvalidPlan, match=r"unknown strategy 'luck'\. Use one of single, "):
        planned(campaign, "luck")


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_is_documented(name: str) -> None:
    assert f"| `{name}` |" in DOCS.read_text()
