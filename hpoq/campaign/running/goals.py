"""Deadline and budget of a campaign while it runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hpoq.campaign.campaign_plan import CampaignPlan, PlannedJob
from hpoq.campaign.results.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What a campaign has used, and what its trials take.

    Attributes:
        hours: since its first tuning job was created.
        instance_hours: of all trials that have ended.
        unfinished: trials of the started tuning jobs that have not ended.
        minutes: per trial, measured; the planned ones before the first has ended.
    """

    hours: float
    instance_hours: float
    unfinished: int
    minutes: float


def spending(
    plan: CampaignPlan, ended: Iterable[Trial], *, unfinished: int, hours: float
) -> Spending:
    """Return what a campaign has used."""
    times = [
        (trial.ended_at - trial.started_at).total_seconds() / 60
        for trial in ended
        if trial.started_at is not None and trial.ended_at is not None
    ]
    return Spending(
        hours=hours,
        instance_hours=sum(times) / 60 * plan.instances_per_trial,
        unfinished=unfinished,
        minutes=sum(times) / len(times) if times else plan.campaign.minutes_per_trial,
    )


def within_goals(
    plan: CampaignPlan, jobs: Sequence[PlannedJob], used: Spending
) -> tuple[list[PlannedJob], str]:
    """Return the jobs that can start within deadline and budget, and why the next one cannot."""
    unfinished, found = used.unfinished, list[PlannedJob]()
    for job in jobs:
        refusal = _over_budget(plan, job, used, unfinished) or _over_deadline(plan, job, used)
        if refusal:
            return found, refusal
        found.append(job)
        unfinished += job.trials
    return found, ""


def _over_budget(plan: CampaignPlan, job: PlannedJob, used: Spending, unfinished: int) -> str:
    campaign = plan.campaign
    if campaign.budget is None or campaign.price_per_hour is None:
        return ""
    each = used.minutes / 60 * plan.instances_per_trial * campaign.price_per_hour
    spent = used.instance_hours * campaign.price_per_hour
    needed = spent + (unfinished + job.trials) * each
    if needed <= campaign.budget:
        return ""
    return (
        f"{plan.request_id(job)} would bring the cost to about ${needed:,.2f}, over the budget of "
        f"${campaign.budget:,.2f}"
    )


def _over_deadline(plan: CampaignPlan, job: PlannedJob, used: Spending) -> str:
    deadline = plan.campaign.deadline_hours
    if deadline is None:
        return ""
    needed = used.hours + job.trials / job.parallel * used.minutes / 60
    if needed <= deadline:
        return ""
    return (
        f"{plan.request_id(job)} would end after about {needed:,.1f} h, later than the deadline of "
        f"{deadline:,.1f} h"
    )
