"""The cost guard: teams' monthly budgets of instance-hours, and the requests beyond them. Pure.

A running tuning job sets aside the most that it can use. Once it has ended, its instances times
its run time count as spent, in the month in which it started. A request that exceeds the rest of
the budget waits and lets smaller requests pass: docs/decisions/0015.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from hpo_dispatcher.contract.aws_limits import totals_of
from hpo_dispatcher.contract.documents.capacity import BudgetUse, WaitKind, WaitReason
from hpo_dispatcher.contract.entry import HOUR, Entry, Key, RunningEntry, Spent, month_of
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling import wording
from hpo_dispatcher.scheduling.plan import Plan
from hpo_dispatcher.scheduling.snapshot import Head, Wait


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A team's budget of one month, in instance-seconds."""

    month: str  # 2026-01
    allowed: int
    spent: int
    set_aside: int  # for running jobs

    @property
    def left(self) -> int:
        """The hours that may still be reserved; negative if the budget was lowered."""
        return self.allowed - self.spent - self.set_aside

    def with_more_set_aside(self, instance_seconds: int) -> Budget:
        """Return the budget after more jobs have started."""
        return replace(self, set_aside=self.set_aside + instance_seconds)

    def in_hours(self) -> BudgetUse:
        """Return the budget as the capacity document shows it."""
        return BudgetUse(
            month=self.month,
            instance_hours=self.allowed / HOUR,
            spent=round(self.spent / HOUR, 3),
            set_aside=round(self.set_aside / HOUR, 3),
        )


def budgets(
    teams: Mapping[str, TeamSettings],
    spent: Mapping[str, int],
    active: Iterable[RunningEntry],
    ended: Iterable[Spent],
    now: datetime,
) -> dict[str, Budget]:
    """Return the budgets of the teams that have one.

    Args:
        teams: the settings of all teams.
        spent: instance-seconds of the month by team, as the ledger has them.
        active: jobs that use capacity and have not ended.
        ended: what jobs have used whose end is not in the ledger yet.
        now: determines the month; UTC.
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


def spent_by(job: RunningEntry, ended_at: datetime) -> Spent:
    """Return what an ended tuning job has used, for the month in which it started."""
    month = month_of(job.started_at)
    return Spent(team=job.team, month=month, instance_seconds=used_until(job, ended_at))


def used_until(work: RunningEntry | Entry, at: datetime) -> int:
    """Return a job's instances times the seconds since its start, at most what it can use.

    SageMaker reports the run time of the tuning job, not the sum over its training jobs, so this
    is somewhat too much where the training jobs did not use the full parallelism.
    """
    if work.started_at is None:
        return 0
    seconds = max(0.0, (at - work.started_at).total_seconds())
    used = round(sum(totals_of(work.instances).values()) * seconds)
    return min(used, work.most_instance_seconds)


def over_budget(queue: Sequence[Entry], budget: Budget) -> dict[Key, WaitReason]:
    """Return the requests of a team that its budget does not cover, and why.

    In queue order, each request takes the most that it can use from the rest. A request that
    exceeds the rest takes nothing, and the requests behind it may pass.
    """
    left, before = budget.left, 0
    reasons: dict[Key, WaitReason] = {}
    for entry in queue:
        wanted = entry.most_instance_seconds
        if wanted <= left - before:
            before += wanted
        else:
            reasons[entry.key] = _reason(entry, budget, before)
    return reasons


def _reason(entry: Entry, budget: Budget, before: int) -> WaitReason:
    wanted, allowed = _hours(entry.most_instance_seconds), _hours(budget.allowed)
    if entry.most_instance_seconds > budget.allowed:
        text = wording.over_monthly_budget(entry.team, wanted, allowed)
        return WaitReason(kind=WaitKind.NEVER_FITS, text=text)
    text = wording.over_budget(
        entry.team,
        allowed=allowed,
        spent=_hours(budget.spent),
        set_aside=_hours(budget.set_aside),
        before=_hours(before) if before else "",
        wanted=wanted,
        renewed=_next_month(budget.month),
    )
    return WaitReason(kind=WaitKind.TEAM_BUDGET, text=text)


def with_other_waits(
    planned: Plan, queues: Mapping[str, Sequence[Head]], reasons: Mapping[Key, WaitReason]
) -> Plan:
    """Return the plan with the waits of requests that were not planned, all in queue order."""
    if not reasons:
        return planned
    heads = [head for queue in queues.values() for head in queue]
    waits = {wait.head.key: wait for wait in planned.waits}
    waits |= {
        head.key: Wait(head=head, reason=reasons[head.key]) for head in heads if head.key in reasons
    }
    in_order = tuple(waits[head.key] for head in heads if head.key in waits)
    return replace(planned, waits=in_order)


def _hours(seconds: int) -> str:
    return f"{seconds / HOUR:.2f}".rstrip("0").rstrip(".")


def _next_month(month: str) -> str:
    """Return the first day of the month after this one."""
    year, number = map(int, month.split("-"))
    return f"{year + number // 12}-{number % 12 + 1:02}-01"
