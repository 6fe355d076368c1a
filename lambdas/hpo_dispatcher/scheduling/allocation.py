"""Who holds what, what is free, and what is kept for whom. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.snapshot import SLOTS, Amounts, Head, Holder, Key, Shape, needs

_DEFAULTS = TeamSettings()
ROUNDING = 1e-9  # shares are sums of fractions
_NOTHING: Counter[str] = Counter()


class Books:
    """The account while a plan is made: starts and reservations are entered as they are decided.

    Reservations have an order. One that came first is kept from those that came later too, so
    two can never each keep what the other lacks.
    """

    def __init__(
        self, limits: Amounts, teams: Mapping[str, TeamSettings], holders: Iterable[Holder]
    ) -> None:
        self.limits = limits
        self.held: dict[str | None, Counter[str]] = {}
        self.in_use: Counter[str] = Counter()
        self._teams = teams
        self._kept: dict[Key, Amounts] = {}
        self._before: dict[Key, Counter[str]] = {}  # kept by earlier reservations
        self._kept_in_all: Counter[str] = Counter()
        self._kept_for_team: dict[str, Counter[str]] = {}
        self._shares: dict[str | None, float] = {}
        self._lacking: dict[tuple[Shape, Key | None, str | None], list[str]] = {}
        self.unlendable = {team: self._never_lent(each) for team, each in teams.items()}
        self._unlent: dict[str, Counter[str]] = {}
        self._unlent_in_all: Counter[str] = Counter()
        for holder in holders:
            self._enter(holder.team, needs(holder.demand))
        for team in teams:
            self._guard(team)

    def take(self, head: Head) -> None:
        """A head starts."""
        if head.key in self._kept:
            self._no_longer_keep(head.key)
        self._enter(head.team, head.needs)
        self._guard(head.team)

    def release(self, holder: Holder) -> None:
        """What a tuning job holds is free again, or soon will be."""
        self._change(holder, -1)

    def restore(self, holder: Holder) -> None:
        """It holds it after all."""
        self._change(holder, 1)

    def keep(self, head: Head) -> None:
        """From now on, what the head needs is free for it and for earlier reservations only."""
        if head.key not in self._kept:
            self._kept[head.key] = head.needs
            self._before[head.key] = self._kept_in_all.copy()
            self._kept_in_all.update(head.needs)
            self._kept_for_team.setdefault(head.team, Counter()).update(head.needs)
            self._guard(head.team)
            self._lacking.clear()

    def keeps_for(self, head: Head) -> bool:
        """Whether capacity is kept for this very head."""
        return head.key in self._kept

    def kept_from(self, head: Head, resource: str) -> list[Key]:
        """Whom a resource is kept for before this head may have it."""
        others = []
        for key, amounts in self._kept.items():
            if key == head.key:
                break
            others += [key] if resource in amounts else []
        return others

    def unlent_by_others(self, head: Head, resource: str) -> list[str]:
        """Teams that keep an idle part of their guarantee of a resource to themselves."""
        return [t for t, idle in self._unlent.items() if idle[resource] and t != head.team]

    def lacking(self, head: Head) -> list[str]:
        """Resources of which too little is free for the head; what is kept is not free."""
        place = head.key if head.key in self._kept else None
        alike = head.shape, place, head.team if head.team in self._unlent else None
        if alike not in self._lacking:
            self._lacking[alike] = self._lacks(head)
        return self._lacking[alike]

    def _lacks(self, head: Head) -> list[str]:
        kept = self._before.get(head.key, self._kept_in_all)
        unlent, own = self._unlent_in_all, self._unlent.get(head.team, _NOTHING)
        return [
            resource
            for resource, amount in head.needs.items()
            if resource in self.limits
            and self.in_use[resource] + kept[resource] + unlent[resource] - own[resource] + amount
            > self.limits[resource]
        ]

    def full(self) -> bool:
        """No slot is left for anybody."""
        return self.in_use[SLOTS] >= self.limits[SLOTS]

    def share(self, team: str | None) -> float:
        """A team's dominant share: the largest part it holds of any resource."""
        if team not in self._shares:
            self._shares[team] = self._dominant(self.held.get(team, _NOTHING))
        return self._shares[team]

    def within_ceiling(self, head: Head) -> bool:
        """Whether its team may hold it, too, beside what is kept for the team's others first."""
        would_hold = self.held.get(head.team, _NOTHING) + Counter(head.needs)
        if head.key not in self._kept:
            would_hold += self._kept_for_team.get(head.team, _NOTHING)
        else:
            for key, amounts in self._kept.items():
                if key == head.key:
                    break
                if key[0] == head.team:
                    would_hold.update(amounts)
        return self._dominant(would_hold) <= self.settings(head.team).most + ROUNDING

    def owed(self, head: Head, besides: Amounts) -> bool:
        """Whether its team's guarantee covers the head, besides other heads of that team."""
        guaranteed = self.settings(head.team).guaranteed_share
        held = self.held.get(head.team, _NOTHING)
        return all(
            held[r] + besides.get(r, 0) + amount <= guaranteed * self.limits[r] + ROUNDING
            for r, amount in head.needs.items()
            if r in self.limits
        )

    def at_most(self, team: str, resource: str) -> int:
        """What a team may ever hold of a resource that has a limit."""
        limit = self.limits[resource]
        of_others = sum(u[resource] for t, u in self.unlendable.items() if t != team)
        return min(limit - of_others, int(self.settings(team).most * limit + ROUNDING))

    def impossible(self, head: Head) -> list[str]:
        """Resources of which the head needs more than its team may ever hold."""
        return [
            r for r, n in head.needs.items() if r in self.limits and n > self.at_most(head.team, r)
        ]

    def settings(self, team: str) -> TeamSettings:
        """How a team shares the account."""
        return self._teams.get(team) or _DEFAULTS

    def _dominant(self, held: Amounts) -> float:
        shares = (held.get(r, 0) / limit for r, limit in self.limits.items() if limit)
        return max(shares, default=0.0)

    def _enter(self, team: str | None, amounts: Amounts) -> None:
        self.held.setdefault(team, Counter()).update(amounts)
        self.in_use.update(amounts)
        self._shares.pop(team, None)
        self._lacking.clear()

    def _change(self, holder: Holder, sign: int) -> None:
        self._enter(holder.team, {r: sign * n for r, n in holder.needs.items()})
        if holder.team:
            self._guard(holder.team)

    def _no_longer_keep(self, key: Key) -> None:
        later = False
        for other, before in self._before.items():
            if later:
                before.subtract(self._kept[key])
            later = later or other == key
        amounts = self._kept.pop(key)
        self._kept_in_all.subtract(amounts)
        self._kept_for_team[key[0]].subtract(amounts)
        del self._before[key]

    def _never_lent(self, of: TeamSettings) -> Counter[str]:
        share = of.guaranteed_share - of.lends
        if share <= 0:
            return Counter()
        return Counter({r: int(share * limit + ROUNDING) for r, limit in self.limits.items()})

    def _guard(self, team: str) -> None:
        """What of a team's unlendable part is neither held nor kept by it stays free for it."""
        unlendable = self.unlendable.get(team)
        if not unlendable:
            return
        used = self.held.get(team, Counter()).copy()
        for (of_team, _), amounts in self._kept.items():
            if of_team == team:
                used.update(amounts)
        idle = Counter({r: n - used[r] for r, n in unlendable.items() if n > used[r]})
        self._unlent_in_all.subtract(self._unlent.get(team, _NOTHING))
        self._unlent_in_all.update(idle)
        self._unlent[team] = idle
        self._lacking.clear()
