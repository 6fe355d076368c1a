"""A pilot measures what a trial takes, and start-ups are counted as SageMaker has them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.fabricated import REQUEST
from hpoq.campaign.campaign_plan import CampaignPlan, PlannedJob
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import NAME_MAX_LENGTH
from hpoq.campaign.planning.compare import campaign_of
from hpoq.campaign.planning.pilot import measure, measure_startups, measured, pilot_of
from hpoq.campaign.planning.startup import startup_minutes

WANTED: dict[str, Any] = {"name": "credit", "request": {**REQUEST, "strategy": "Bayesian"}}


def test_a_pilot_is_one_random_search_of_a_few_trials_named_after_its_campaign() -> None:
    plan = pilot_of(WANTED, trials=4, guess=2.0)
    assert plan.campaign.name == "credit-pilot"
    assert [job.trials for job in plan.jobs] == [4]
    assert plan.campaign.request["strategy"] == "Random"
    assert plan.campaign.minutes_per_trial == 2.0
    assert WANTED["request"]["strategy"] == "Bayesian", "the campaign itself keeps its strategy"


@pytest.mark.parametrize("name", ["c" * NAME_MAX_LENGTH, "c" * (NAME_MAX_LENGTH - 7) + "-credit"])
def test_the_name_of_a_pilot_is_cut_to_fit(name: str) -> None:
    made = pilot_of({**WANTED, "name": name}, trials=2, guess=1.0).campaign.name
    assert len(made) <= NAME_MAX_LENGTH
    assert made.endswith("c-pilot")


@pytest.mark.parametrize(
    ("minutes", "trials", "parallel", "expected"),
    [
        (0.0, 100, 10, 0.0),
        (3.0, 10, 10, 30.0),  # each of the first starts an instance
        (3.0, 30, 10, 33.0),  # the others reuse one, which takes a twentieth
    ],
)
def test_trials_that_reuse_an_instance_start_in_a_twentieth_of_the_time(
    minutes: float, trials: int, parallel: int, expected: float
) -> None:
    campaign = campaign_of(
        **WANTED, trials=trials, minutes_per_trial=1.0, startup_minutes=minutes
    )  # fmt: skip
    jobs = [PlannedJob(number=1, trials=trials, parallel=parallel)]
    assert startup_minutes(campaign, jobs) == pytest.approx(expected)


def test_the_first_training_job_of_each_slot_starts_an_instance_and_the_others_reuse_one() -> None:
    seconds = [200, 160, 9, 9, 9, 9]
    created = pd.Series(pd.date_range("2026-01-01", periods=6, freq="min", tz="UTC"))
    table = pd.DataFrame(
        {"created_at": created, "started_at": created + pd.to_timedelta(seconds, unit="s")}
    )
    assert measure_startups(table, slots=2) == pytest.approx((3.0, 0.15))
    first, later = measure_startups(table.head(2), slots=2)
    assert first == pytest.approx(3.0)
    assert later is None
    unknown = table.assign(started_at=pd.Series(pd.NaT, index=table.index))
    assert measure_startups(unknown, slots=2) == (None, None)


def test_a_measured_start_up_of_later_trials_replaces_the_twentieth() -> None:
    """The embedded cloud starts a process for each trial, for example."""
    campaign = campaign_of(
        **WANTED, trials=30, minutes_per_trial=1.0, startup_minutes=3.0,
        reused_startup_minutes=2.0,
    )  # fmt: skip
    jobs = [PlannedJob(number=1, trials=30, parallel=10)]
    assert startup_minutes(campaign, jobs) == pytest.approx(10 * 3.0 + 20 * 2.0)


def table(minutes: list[float], status: list[str], reason: list[str] | None = None) -> pd.DataFrame:
    created = pd.Series(pd.date_range("2026-01-01", periods=len(minutes), freq="min", tz="UTC"))
    return pd.DataFrame(
        {
            "minutes": minutes, "status": status, "reason": reason or [""] * len(minutes),
            "created_at": created, "started_at": created + pd.Timedelta(seconds=30),
        }
    )  # fmt: skip


def test_the_pilot_measures_the_trials_that_completed() -> None:
    done = ["Completed"] * 3
    found = measure(table([0.5, 2.0, 0.0, 9.0], [*done, "Failed"]))
    # The standard deviation of the logarithms of two numbers is that of their ratio over root two.
    assert found == pytest.approx((1.25, math.log(4) / math.sqrt(2)))
    assert measure(table([3.0], ["Completed"])) == (3.0, 0.0)
    skewed = measure(table([1.0, 1.0, math.e**3], done))[1]
    assert skewed == pytest.approx(math.sqrt(3))


@pytest.mark.parametrize(
    ("reasons", "said"),
    [(["no data", "", "bad role", "no data"], "bad role, no data"), ([""], "no reason given")],
)
def test_a_pilot_without_completed_trials_gives_each_reason_once(
    reasons: list[str], said: str
) -> None:
    failed = table([1.0] * len(reasons), ["Failed"] * len(reasons), reasons)
    with pytest.raises(InvalidPlan) as raised:
        measure(failed)
    assert str(raised.value) == f"no trial of the pilot completed: {said}"


def test_a_pilot_runs_the_trials_that_were_asked_for_and_returns_what_a_plan_needs() -> None:
    ran: list[CampaignPlan] = []

    def run(file: Path) -> pd.DataFrame:
        ran.append(CampaignPlan.load(file))
        return table([2.0, 2.0], ["Completed"] * 2)

    limits = {"parallel_training_jobs": 1}
    found = measured({**WANTED, "limits": limits}, 2, run, guess=7.0)
    assert [(plan.campaign.trials, plan.campaign.minutes_per_trial) for plan in ran] == [(2, 7.0)]
    assert found == {
        "minutes_per_trial": 2.0, "spread": 0.0,
        "startup_minutes": 0.5, "reused_startup_minutes": 0.5,
    }  # fmt: skip
    assert campaign_of(**WANTED, trials=2, **found).startup_minutes == 0.5
    both = measured(WANTED, 2, run)
    assert "reused_startup_minutes" not in both, "both ran at once"
    assert ran[-1].campaign.minutes_per_trial == 1.0


def test_a_training_job_counts_whatever_else_is_unknown_of_it() -> None:
    known = table([1.0, 1.0], ["Completed", "Failed"]).assign(auc=[0.5, math.nan])
    assert measure_startups(known, slots=1) == (0.5, 0.5)
