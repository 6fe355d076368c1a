"""Deadline and budget hold while a campaign runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hpoq.campaign.backends.direct import DirectBackend
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.results.trial import Trial
from hpoq.campaign.running.goals import Spending, spending, within_goals
from hpoq.campaign.running.runner import Runner
from tests.support.small_campaigns import small_plan

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def goals(**changes: Any) -> CampaignPlan:
    """Return tuning jobs of 8 trials at most, of a minute and $0.01 a trial."""
    return small_plan(
        "independent", trials=40, limits={"training_jobs": 8}, price_per_hour=0.6, **changes
    )


def used(**changes: Any) -> Spending:
    known = {"hours": 0.0, "instance_hours": 0.0, "unfinished": 0, "minutes": 1.0}
    return Spending(**known | changes)


def test_a_campaign_without_goals_starts_everything() -> None:
    plan = goals()
    assert within_goals(plan, plan.jobs, used()) == (list(plan.jobs), "")


@pytest.mark.parametrize(
    ("budget", "spent", "trials"),
    [(0.40, {}, 40), (0.20, {}, 20), (0.20, {"instance_hours": 10 / 60}, 10),
     (0.20, {"unfinished": 12}, 8), (0.20, {"minutes": 2.0}, 10), (0.001, {}, 0)],
)  # fmt: skip
def test_jobs_start_while_spent_running_and_new_trials_fit_the_budget(
    budget: float, spent: dict[str, Any], trials: int
) -> None:
    plan = goals(budget=budget)
    started, refusal = within_goals(plan, plan.jobs, used(**spent))
    count = sum(job.trials for job in started)
    assert count <= trials
    following = plan.jobs[len(started) : len(started) + 1]
    assert all(count + job.trials > trials for job in following)
    assert bool(refusal) is bool(following)
    if refusal:
        assert f"over the budget of ${budget:,.2f}" in refusal


def test_jobs_start_while_they_would_end_before_the_deadline() -> None:
    plan = goals(deadline_hours=0.1)  # six minutes, and a job of 7 trials takes 3.5
    first = plan.jobs[:1]
    assert first[0].trials / first[0].parallel == 3.5
    assert within_goals(plan, first, used(hours=2.4 / 60)) == (list(first), "")
    started, refusal = within_goals(plan, first, used(hours=2.6 / 60))
    assert started == []
    assert "later than the deadline of 0.1 h" in refusal


def test_the_measured_minutes_count_as_soon_as_there_are_some() -> None:
    plan = goals()
    ended = [
        Trial(
            name="t", job=1, status="Completed", hyperparameters={}, started_at=NOON,
            ended_at=NOON + timedelta(minutes=minutes),
        )
        for minutes in (2, 4)
    ]  # fmt: skip
    found = spending(plan, ended, unfinished=3, hours=1.0)
    assert found == used(hours=1.0, unfinished=3, minutes=3.0, instance_hours=0.1)
    assert spending(plan, [], unfinished=0, hours=0.0).minutes == 1.0, "the planned ones"


def test_a_runner_stops_at_the_budget_and_goes_on_without_it(
    backend: DirectBackend, file: Path
) -> None:
    plan = goals(budget=0.05)  # 5 trials of the planned minute, and the first job holds 7
    plan.save(file)
    *_, last = Runner(plan, backend, file).run(0.05)
    assert (last.ended, last.done) == (False, 0)
    assert "over the budget of $0.05" in last.refusal
    *_, last = Runner(plan, backend, file, keep_goals=False).run(0.05)
    assert last.ended
    assert last.done + last.failed == 40
