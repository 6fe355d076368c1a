"""What teams use, what is free, and what is reserved for which request. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.contract.targets.resources import (
    on_target,
    over_targets,
    target_of,
    without_target,
)
from hpo_dispatcher.scheduling.reservations import Reservations
from hpo_dispatcher.scheduling.snapshot import (
    SLOTS,
    Amounts,
    Head,
    RunningJob,
    Shape,
    with_totals,
)

_DEFAULTS = TeamSettings()
ROUNDING = 1e-9  # shares are sums of fractions
_NOTHING: Counter[str] = Counter()
_NO_TARGETS: Mapping[str, Collection[str]] = {}


class Allocation:
    """The use of each resource while a plan is made; starts and reservations change it.

    Args:
        limits: the limit of each resource, of all targets.
        teams: the settings of the teams.
        running_jobs: all of them.
        reserved_to: the teams that may use a target, by target; absent: all teams.
    """

    def __init__(
        self,
        limits: Amounts,
        teams: Mapping[str, TeamSettings],
        running_jobs: Iterable[RunningJob],
        reserved_to: Mapping[str, Collection[str]] = _NO_TARGETS,
    ) -> None:
        self.limits = limits
        self._reserved_to = reserved_to
        self._slots = [resource for resource in limits if without_target(resource) == SLOTS]
        # Shares count over all targets.
        self._together = over_targets(limits.items()) if len(self._slots) > 1 else limits
        self.by_team: dict[str | None, Counter[str]] = {}
        self.in_use: Counter[str] = Counter()
        self.reservations = Reservations()
        self._teams = teams
        self._shares: dict[str | None, float] = {}
        self._ceilings: dict[str, dict[str, float]] = {}
        self._at_most: dict[tuple[str, str], int] = {}
        self._has_free: dict[tuple[Shape, str | None], bool] = {}  # until something changes
        self.unlendable = {team: self._never_lent(team, each) for team, each in teams.items()}
        self._unlendable_total = sum(self.unlendable.values(), Counter[str]())
        self._unlent: dict[str, Counter[str]] = {}
        self._unlent_total: Counter[str] = Counter()
        for job in running_jobs:
            self._enter(job.team, job.needs)
        self._of_others = self.by_team.get(None, Counter()).copy()  # their ends are unknown
        for team in teams:
            self._update_unlent(team)

    def admit(self, head: Head) -> None:
        """Enter the start of a head, which ends its reservation."""
        if head in self.reservations:
            self.reservations.end(head.key)
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
        self._reserve(head, head.needs)

    def reserve_freed(self, head: Head) -> None:
        """Reserve what jobs are stopped for, also if a reservation of the head keeps less."""
        if head in self.reservations:
            self.reservations.widen(head, head.needs)
            self._has_free.clear()
        else:
            self.reserve(head)

    def reserve_overdue(self, head: Head) -> None:
        """Reserve what a head needs as far as a reservation helps it.

        A head that would exceed its team's ceiling waits for jobs of its own team: what those free
        is not kept from other teams before. Jobs of other users of the account may never end:
        capacity is not kept for a head that needs what such jobs use.
        """
        if self.can_be_met(head):
            own = self._of_own_team(head)
            kept = {r: n - own[r] for r, n in head.needs.items() if n > own[r]}
            self._reserve(head, kept)

    def _of_own_team(self, head: Head) -> Amounts:
        """Return what jobs of a head's own team must free before the head fits below the ceiling.

        What they free of a type, they also free of its total; and the slot of one of them.
        """
        in_use = self.by_team.get(head.team, _NOTHING)
        over = {
            r: max(0, in_use.get(r, 0) + n - self.at_most(head.team, r)) if r in self.limits else 0
            for r, n in head.needs.items()
        }
        types = [on_target(head.target, each) for each in head.instances]
        at_home = with_totals({without_target(r): over[r] for r in types})
        freed = {on_target(head.target, each): n for each, n in at_home.items()}
        freed[on_target(head.target, SLOTS)] = min(1, max(over.values()))
        return {r: max(n, freed.get(r, 0)) for r, n in over.items()}

    def reserve_owed(self, head: Head) -> None:
        """Reserve what a head within its team's guarantee needs, as far as it could use it now.

        While the head lacks instances of a type, no slot is kept for it, nor instances of the
        totals over all types: requests for other types may use those.
        """
        if self.can_be_met(head):
            types = {on_target(head.target, each): n for each, n in head.instances.items()}
            lacking = types.keys() & self.lacking(head)
            kept = types if lacking else head.needs
            self._reserve(head, kept)

    def _reserve(self, head: Head, amounts: Amounts) -> None:
        self.reservations.add(head, amounts, head.needs)
        self._has_free.clear()
        self._update_unlent(head.team)

    def can_be_met(self, head: Head) -> bool:
        """Return whether a head fits once all jobs of this deployment have ended."""
        others = self._of_others
        return all(
            amount <= self.at_most(head.team, r)
            and others[r] + amount <= self._lent_to(head.team, r)
            for r, amount in head.needs.items()
            if r in self.limits
        )

    def unlent_by_others(self, head: Head, resource: str) -> list[str]:
        """Return the teams that do not lend an idle part of their guarantee of a resource."""
        return [t for t, idle in self._unlent.items() if idle[resource] and t != head.team]

    def fits(self, head: Head) -> bool:
        """Return whether a head can start now beside all reservations before it."""
        return self.has_free(head) and self.within_ceiling(head)

    def fits_if_lent(self, head: Head) -> bool:
        """Return whether a head could start now if it may use reserved capacity."""
        return self._enough(head, _NOTHING) and self._below_ceiling(head, _NOTHING)

    def has_free(self, head: Head) -> bool:
        """Return whether enough of each resource is free, beside all reservations before a head."""
        if head in self.reservations:
            return self._enough(head, self.reservations.before(head))
        alike = head.shape, head.team if head.team in self._unlent else None
        found = self._has_free.get(alike)
        if found is None:
            found = self._has_free[alike] = self._enough(head, self.reservations.total)
        return found

    def lacking(self, head: Head) -> list[str]:
        """Return the resources of which too little is free; reserved capacity is not free."""
        return [r for r in head.needs if self.lacks(head, r)]

    def lacks(self, head: Head, resource: str) -> bool:
        """Return whether too little of one resource is free for a head."""
        if resource not in self.limits:
            return False
        free = self._free(head, resource, self.reservations.before(head))
        return head.needs[resource] > free

    def _enough(self, head: Head, reserved: Counter[str]) -> bool:
        return all(
            amount <= self._free(head, r, reserved)
            for r, amount in head.needs.items()
            if r in self.limits
        )

    def _free(self, head: Head, resource: str, reserved: Counter[str]) -> int:
        """Return what is free of a limited resource: neither in use, nor reserved, nor unlent."""
        free = self.limits[resource] - self.in_use.get(resource, 0) - reserved.get(resource, 0)
        if not self._unlent:
            return free
        own = self._unlent.get(head.team, _NOTHING)
        return free - self._unlent_total[resource] + own[resource]

    def full(self) -> bool:
        """Return whether no tuning-job slot is left for any team, on any target."""
        return all(self.in_use[slots] >= self.limits[slots] for slots in self._slots)

    def load(self, head: Head) -> float:
        """Return the largest part in use or reserved of a resource that a placed head needs."""
        limits, reserved = self.limits, self.reservations.total
        parts = (
            (self.in_use[r] + reserved[r]) / limits[r] for r in head.needs if limits.get(r)
        )  # fmt: skip
        return max(parts, default=0.0)

    def no_slots(self, team: str) -> bool:
        """Return whether no tuning-job slot is left for a team, on any target."""
        left = self.left_for(team)
        return all(left[slots] <= 0 for slots in self._slots)

    def share(self, team: str | None) -> float:
        """Return a team's dominant share: the largest part it uses of any resource.

        Each resource counts over all targets, as Kueue adds up the flavors of a resource:
        dominantResourceShare in pkg/cache/scheduler/fair_sharing.go.
        """
        if team not in self._shares:
            self._shares[team] = self._dominant(self.by_team.get(team, _NOTHING))
        return self._shares[team]

    def within_ceiling(self, head: Head) -> bool:
        """Return whether a head fits below its team's ceiling, beside the team's reservations.

        Only the resources that the head needs count: a team at its ceiling of one instance type
        starts requests for another one.
        """
        return self._below_ceiling(head, self.reservations.of_team_before(head))

    def _below_ceiling(self, head: Head, reserved: Counter[str]) -> bool:
        ceilings = self._ceilings_of(head.team)
        in_use = self.by_team.get(head.team, _NOTHING)
        return all(
            in_use.get(r, 0) + reserved.get(r, 0) + amount <= ceilings[r]
            for r, amount in head.needs.items()
            if r in ceilings
        )

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
        key = team, resource
        if key not in self._at_most:
            most = int(self.settings(team).most * self.limits[resource] + ROUNDING)
            self._at_most[key] = min(self._lent_to(team, resource), most)
        return self._at_most[key]

    def _lent_to(self, team: str, resource: str) -> int:
        """Return how much of a resource there is beside what other teams never lend."""
        own = self.unlendable.get(team, _NOTHING)
        return self.limits[resource] - self._unlendable_total[resource] + own[resource]

    def left_for(self, team: str) -> dict[str, int]:
        """Return how much of each limited resource is left for a team's starts."""
        in_use = self.by_team.get(team, _NOTHING)
        return {
            r: min(limit - self.in_use[r], self.at_most(team, r) - in_use[r])
            for r, limit in self.limits.items()
        }

    def impossible(self, head: Head) -> list[str]:
        """Return the resources of which a head needs more than its team may ever use."""
        return [
            r for r, n in head.needs.items() if r in self.limits and n > self.at_most(head.team, r)
        ]

    def settings(self, team: str) -> TeamSettings:
        """Return a team's settings, or the defaults for an unknown team."""
        return self._teams.get(team) or _DEFAULTS

    def _ceilings_of(self, team: str) -> Mapping[str, float]:
        if team not in self._ceilings:
            most = self.settings(team).most
            self._ceilings[team] = {r: most * n + ROUNDING for r, n in self.limits.items()}
        return self._ceilings[team]

    def _dominant(self, in_use: Amounts) -> float:
        limits = self._together
        if limits is not self.limits:
            counted = ((r, n) for r, n in in_use.items() if r in self.limits)
            in_use = over_targets(counted)
        return max((n / limits[r] for r, n in in_use.items() if limits.get(r)), default=0.0)

    def _enter(self, team: str | None, amounts: Amounts) -> None:
        self.by_team.setdefault(team, Counter()).update(amounts)
        self.in_use.update(amounts)
        self._shares.pop(team, None)
        self._has_free.clear()

    def _change(self, job: RunningJob, sign: int) -> None:
        self._enter(job.team, {r: sign * n for r, n in job.needs.items()})
        if job.team:
            self._update_unlent(job.team)

    def _never_lent(self, team: str, of: TeamSettings) -> Counter[str]:
        share = of.guaranteed_share - of.lends
        if share <= 0:
            return Counter()
        return Counter(
            {
                r: int(share * limit + ROUNDING)
                for r, limit in self.limits.items()
                if self._may_use(team, r)
            }
        )

    def _may_use(self, team: str, resource: str) -> bool:
        """Return whether a team may use a resource of a target."""
        return team in (self._reserved_to.get(target_of(resource)) or (team,))

    def _update_unlent(self, team: str) -> None:
        """Keep free what a team neither uses nor has reserved of the part it does not lend."""
        unlendable = self.unlendable.get(team)
        if not unlendable:
            return
        used = self.by_team.get(team, Counter()).copy()
        used.update(self.reservations.kept_for(team))
        idle = Counter({r: n - used[r] for r, n in unlendable.items() if n > used[r]})
        self._unlent_total.subtract(self._unlent.get(team, _NOTHING))
        self._unlent_total.update(idle)
        self._unlent[team] = idle
        self._has_free.clear()
