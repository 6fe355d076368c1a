"""What teams use, what is free, and what is reserved for which request. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from hpo_dispatcher.contract.entry import Key
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.snapshot import SLOTS, Amounts, Head, RunningJob, Shape

_DEFAULTS = TeamSettings()
ROUNDING = 1e-9  # shares are sums of fractions
_NOTHING: Counter[str] = Counter()


class Allocation:
    """The use of each resource while a plan is made.

    Starts and reservations are entered as they are decided. Reservations are ordered: capacity
    reserved earlier is not available to later reservations either, so two requests can never
    each reserve what the other one lacks.
    """

    def __init__(
        self, limits: Amounts, teams: Mapping[str, TeamSettings], running_jobs: Iterable[RunningJob]
    ) -> None:
        self.limits = limits
        self.by_team: dict[str | None, Counter[str]] = {}
        self.in_use: Counter[str] = Counter()
        self._teams = teams
        self._reservations: dict[Key, Amounts] = {}
        self._reserved_before: dict[Key, Counter[str]] = {}  # by earlier reservations
        self._reserved: Counter[str] = Counter()
        self._reserved_by_team: dict[str, Counter[str]] = {}
        self._shares: dict[str | None, float] = {}
        self._lacking: dict[tuple[Shape, Key | None, str | None], list[str]] = {}
        self.unlendable = {team: self._never_lent(each) for team, each in teams.items()}
        self._unlent: dict[str, Counter[str]] = {}
        self._unlent_total: Counter[str] = Counter()
        for job in running_jobs:
            self._enter(job.team, job.needs)
        for team in teams:
            self._update_unlent(team)

    def admit(self, head: Head) -> None:
        """Enter the start of a head, which ends its reservation."""
        if head.key in self._reservations:
            self._end_reservation(head.key)
        self._enter(head.team, head.needs)
        self._update_unlent(head.team)

    def release(self, job: RunningJob) -> None:
        """Count the capacity of a running job as free."""
        self._change(job, -1)

    def restore(self, job: RunningJob) -> None:
        """Count the capacity of a released job as used again."""
        self._change(job, 1)

    def reserve(self, head: Head) -> None:
        """Reserve what a head needs; only earlier reservations come before it."""
        if head.key not in self._reservations:
            self._reservations[head.key] = head.needs
            self._reserved_before[head.key] = self._reserved.copy()
            self._reserved.update(head.needs)
            self._reserved_by_team.setdefault(head.team, Counter()).update(head.needs)
            self._update_unlent(head.team)
            self._lacking.clear()

    def has_reservation(self, head: Head) -> bool:
        """Return whether capacity is reserved for this head."""
        return head.key in self._reservations

    def reserved_for(self, head: Head, resource: str) -> list[Key]:
        """Return the requests whose reservations of a resource come before this head."""
        others = []
        for key, amounts in self._reservations.items():
            if key == head.key:
                break
            others += [key] if resource in amounts else []
        return others

    def unlent_by_others(self, head: Head, resource: str) -> list[str]:
        """Return the teams that do not lend an idle part of their guarantee of a resource."""
        return [t for t, idle in self._unlent.items() if idle[resource] and t != head.team]

    def lacking(self, head: Head) -> list[str]:
        """Return the resources of which too little is free; reserved capacity is not free."""
        reservation = head.key if head.key in self._reservations else None
        alike = head.shape, reservation, head.team if head.team in self._unlent else None
        if alike not in self._lacking:
            self._lacking[alike] = self._find_lacking(head)
        return self._lacking[alike]

    def _find_lacking(self, head: Head) -> list[str]:
        reserved = self._reserved_before.get(head.key, self._reserved)
        unlent, own = self._unlent_total, self._unlent.get(head.team, _NOTHING)
        return [
            resource
            for resource, amount in head.needs.items()
            if resource in self.limits
            and self.in_use[resource]
            + reserved[resource]
            + unlent[resource]
            - own[resource]
            + amount
            > self.limits[resource]
        ]

    def full(self) -> bool:
        """Return whether no tuning-job slot is left for any team."""
        return self.in_use[SLOTS] >= self.limits[SLOTS]

    def share(self, team: str | None) -> float:
        """Return a team's dominant share: the largest part it uses of any resource."""
        if team not in self._shares:
            self._shares[team] = self._dominant(self.by_team.get(team, _NOTHING))
        return self._shares[team]

    def within_ceiling(self, head: Head) -> bool:
        """Return whether a head fits below its team's ceiling, beside the team's reservations.

        Only the resources that the head needs count: a team at its ceiling of one instance type
        starts requests for another one.
        """
        most = self.settings(head.team).most
        in_use = self.by_team.get(head.team, _NOTHING)
        reserved = self._reserved_for_team(head)
        return all(
            in_use[r] + reserved[r] + amount <= most * self.limits[r] + ROUNDING
            for r, amount in head.needs.items()
            if r in self.limits
        )

    def _reserved_for_team(self, head: Head) -> Counter[str]:
        """Return what the team of a head has reserved before it."""
        if head.key not in self._reservations:
            return self._reserved_by_team.get(head.team, _NOTHING)
        before = Counter[str]()
        for key, amounts in self._reservations.items():
            if key == head.key:
                break
            if key[0] == head.team:
                before.update(amounts)
        return before

    def within_guarantee(self, head: Head, besides: Amounts) -> bool:
        """Return whether a team's guarantee covers a head besides other heads of the team."""
        guaranteed = self.settings(head.team).guaranteed_share
        in_use = self.by_team.get(head.team, _NOTHING)
        return all(
            in_use[r] + besides.get(r, 0) + amount <= guaranteed * self.limits[r] + ROUNDING
            for r, amount in head.needs.items()
            if r in self.limits
        )

    def at_most(self, team: str, resource: str) -> int:
        """Return how much of a limited resource a team may ever use."""
        limit = self.limits[resource]
        of_others = sum(u[resource] for t, u in self.unlendable.items() if t != team)
        return min(limit - of_others, int(self.settings(team).most * limit + ROUNDING))

    def impossible(self, head: Head) -> list[str]:
        """Return the resources of which a head needs more than its team may ever use."""
        return [
            r for r, n in head.needs.items() if r in self.limits and n > self.at_most(head.team, r)
        ]

    def settings(self, team: str) -> TeamSettings:
        """Return a team's settings, or the defaults for an unknown team."""
        return self._teams.get(team) or _DEFAULTS

    def _dominant(self, in_use: Amounts) -> float:
        shares = (in_use.get(r, 0) / limit for r, limit in self.limits.items() if limit)
        return max(shares, default=0.0)

    def _enter(self, team: str | None, amounts: Amounts) -> None:
        self.by_team.setdefault(team, Counter()).update(amounts)
        self.in_use.update(amounts)
        self._shares.pop(team, None)
        self._lacking.clear()

    def _change(self, job: RunningJob, sign: int) -> None:
        self._enter(job.team, {r: sign * n for r, n in job.needs.items()})
        if job.team:
            self._update_unlent(job.team)

    def _end_reservation(self, key: Key) -> None:
        later = False
        for other, before in self._reserved_before.items():
            if later:
                before.subtract(self._reservations[key])
            later = later or other == key
        amounts = self._reservations.pop(key)
        self._reserved.subtract(amounts)
        self._reserved_by_team[key[0]].subtract(amounts)
        del self._reserved_before[key]

    def _never_lent(self, of: TeamSettings) -> Counter[str]:
        share = of.guaranteed_share - of.lends
        if share <= 0:
            return Counter()
        return Counter({r: int(share * limit + ROUNDING) for r, limit in self.limits.items()})

    def _update_unlent(self, team: str) -> None:
        """Keep free what a team neither uses nor has reserved of the part it does not lend."""
        unlendable = self.unlendable.get(team)
        if not unlendable:
            return
        used = self.by_team.get(team, Counter()).copy()
        for (of_team, _), amounts in self._reservations.items():
            if of_team == team:
                used.update(amounts)
        idle = Counter({r: n - used[r] for r, n in unlendable.items() if n > used[r]})
        self._unlent_total.subtract(self._unlent.get(team, _NOTHING))
        self._unlent_total.update(idle)
        self._unlent[team] = idle
        self._lacking.clear()
