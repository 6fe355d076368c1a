"""What each team has used of the account lately, with a half-life. Pure.

The unit is the hour of the whole account: a team that uses half of its dominant resource for two
hours uses one. Old use counts less and less, as with Slurm's ``PriorityDecayHalfLife`` and AWS
Batch's ``shareDecaySeconds``: docs/decisions/0031.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import NamedTuple

from hpo_dispatcher.scheduling.snapshot import Amounts

HOUR = timedelta(hours=1)


class Used(NamedTuple):
    """A tuning job of a team, and how long it has run in an interval."""

    team: str
    needs: Amounts
    seconds: float


def within(started_at: datetime, ended_at: datetime, since: datetime, now: datetime) -> float:
    """Return how many seconds of an interval a job has run."""
    return max(0.0, (min(ended_at, now) - max(started_at, since)).total_seconds())


def updated(
    before: Mapping[str, float],
    used: Iterable[Used],
    limits: Amounts,
    interval: timedelta,
    half_life: timedelta,
) -> dict[str, float]:
    """Return the usage of each team at the end of an interval, in hours of the account.

    Args:
        before: the usage at its start.
        used: what jobs have used in it.
        limits: the limit of each resource.
        interval: its length.
        half_life: after so long, use counts half; zero: use is not remembered.
    """
    if half_life <= timedelta(0):
        return {}
    if interval <= timedelta(0):
        return dict(before)
    by_team: dict[str, dict[str, float]] = {}
    for team, needs, seconds in used:
        of_team = by_team.setdefault(team, {})
        for resource, amount in needs.items():
            if limits.get(resource):
                part = amount * seconds / limits[resource]
                of_team[resource] = of_team.get(resource, 0.0) + part
    periods = interval / half_life
    kept = math.pow(0.5, periods)
    # The mean weight of a moment of the interval: what was used early counts less at its end.
    weight = (1 - kept) / (periods * math.log(2))
    usage = {team: hours * kept for team, hours in before.items()}
    for team, of_team in by_team.items():
        hours = max(of_team.values(), default=0) / HOUR.total_seconds()
        usage[team] = usage.get(team, 0.0) + hours * weight
    return {team: round(hours, 6) for team, hours in usage.items() if hours > 1e-6}


def with_idle_teams(
    usage: Mapping[str, float], weights: Mapping[str, float], active: AbstractSet[str]
) -> dict[str, float]:
    """Return the usage with that of idle teams, which is at least that of the others.

    A team collects no credit while it asks for nothing: when it comes back, it shares the account
    with the others, and does not get all of it until it has caught up.

    Args:
        usage: of each team.
        weights: of each team.
        active: teams that use capacity or wait for it.
    """
    present = active & weights.keys()
    if not present:
        return dict(usage)
    least = min(usage.get(team, 0.0) / weights[team] for team in present)
    idle = {
        team: max(usage.get(team, 0.0), round(least * weight, 6))
        for team, weight in weights.items()
        if team not in present
    }
    return {**usage, **{team: hours for team, hours in idle.items() if hours}}
