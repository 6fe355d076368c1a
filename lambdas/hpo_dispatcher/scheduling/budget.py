"""The cost guard: a team's instance-hours of a month, and what would exceed them. Pure.

A tuning job sets aside what it can use at most while it runs; once it has ended, its instances
times the time it ran count as spent, in the month in which it started. What does not fit into
the rest waits, with its reason, and lets smaller requests pass: docs/decisions/0015.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hpo_dispatcher.contract.entry import ActiveJob, Entry, Spent, month_of
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.plan import Head, Plan, Wait
from hpo_dispatcher.tuning_job.usage import HOUR

HELD = "budget of"  # in every reason of this module, for who sorts reasons by kind

Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """One team's, in instance-seconds."""

    month: str  # 2026-01
    allowed: int
    spent: int
    set_aside: int  # for what runs

    @property
    def left(self) -> int:
        """What may still be set aside; negative where the allowance was lowered."""
        return self.allowed - self.spent - self.set_aside

    def with_more_set_aside(self, instance_seconds: int) -> Budget:
        """After more has been started."""
        return replace(self, set_aside=self.set_aside + instance_seconds)

    def as_document(self) -> dict[str, str | float]:
        """As JSON values, in instance-hours."""
        return {
            "month": self.month,
            "instance_hours": self.allowed / HOUR,
            "spent": round(self.spent / HOUR, 3),
            "set_aside": round(self.set_aside / HOUR, 3),
        }


def budgets(
    teams: Mapping[str, TeamSettings],
    spent: Mapping[str, int],
    active: Iterable[ActiveJob],
    ended: Iterable[Spent],
    now: datetime,
) -> dict[str, Budget]:
    """The budgets of the teams that have one.

    Args:
        teams: all of them.
        spent: instance-seconds of the month by team, as the ledger has them.
        active: what holds capacity and has not ended.
        ended: by tuning jobs whose end the ledger does not know yet.
        now: decides which month it is; UTC.
    """
    month = month_of(now)
    used, set_aside = Counter(spent), Counter[str]()
    for job in active:
        if month_of(job.started_at) == month:
            set_aside[job.team] += job.most_instance_seconds
    for each in ended:
        if each.month == month:
            used[each.team] += each.instance_seconds
    return {
        team: Budget(
            month=month,
            allowed=round(settings.monthly_instance_hours * HOUR),
            spent=used[team],
            set_aside=set_aside[team],
        )
        for team, settings in teams.items()
        if settings.monthly_instance_hours is not None
    }


def spent_by(job: ActiveJob, ended_at: datetime) -> Spent:
    """What an ended tuning job counts for, in the month in which it started."""
    month = month_of(job.started_at)
    return Spent(team=job.team, month=month, instance_seconds=used_until(job, ended_at))


def used_until(work: ActiveJob | Entry, at: datetime) -> int:
    """Its instances times the seconds since its start, but no more than it can use.

    SageMaker tells the time of the tuning job, not the sum of its training jobs', so this is
    somewhat too much where they did not fill its parallelism.
    """
    if work.started_at is None:
        return 0
    seconds = max(0.0, (at - work.started_at).total_seconds())
    used = round(sum(work.instances.values()) * seconds)
    return min(used, work.most_instance_seconds)


def over_budget(line: Sequence[Entry], budget: Budget) -> dict[Key, str]:
    """Which of a team's requests its budget holds, and why.

    In line order, each takes what it can use at most from the rest; one for which it does not
    suffice takes nothing, and those behind it may pass.
    """
    left, before = budget.left, 0
    reasons: dict[Key, str] = {}
    for entry in line:
        wanted = entry.most_instance_seconds
        if wanted <= left - before:
            before += wanted
        else:
            reasons[entry.key] = _reason(entry, budget, before)
    return reasons


def _reason(entry: Entry, budget: Budget, before: int) -> str:
    wanted, allowed = _hours(entry.most_instance_seconds), _hours(budget.allowed)
    of_team = f"the {HELD} team {entry.team}"
    if entry.most_instance_seconds > budget.allowed:
        return f"needs up to {wanted} instance-hours, {of_team} is {allowed} a month: never fits"
    parts = [f"{_hours(budget.spent)} spent", f"{_hours(budget.set_aside)} set aside for what runs"]
    parts += [f"{_hours(before)} for requests before it"] * bool(before)
    parts += [f"up to {wanted} needed"]
    again = _next_month(budget.month)
    return f"{of_team} is {allowed} instance-hours a month: {', '.join(parts)}; anew on {again}"


def with_held(
    planned: Plan, lines: Mapping[str, Sequence[Head]], reasons: Mapping[Key, str]
) -> Plan:
    """The plan and the waits of those whom their budget held, all of them in line order."""
    if not reasons:
        return planned
    heads = [head for line in lines.values() for head in line]
    waits = {wait.head.key: wait for wait in planned.waits}
    waits |= {
        head.key: Wait(head=head, reason=reasons[head.key]) for head in heads if head.key in reasons
    }
    in_order = tuple(waits[head.key] for head in heads if head.key in waits)
    return replace(planned, waits=in_order)


def _hours(seconds: int) -> str:
    return f"{seconds / HOUR:.2f}".rstrip("0").rstrip(".")


def _next_month(month: str) -> str:
    first = datetime.strptime(f"{month}-01", "%Y-%m-%d").replace(tzinfo=UTC)
    return f"{month_of(first + timedelta(days=32))}-01"
