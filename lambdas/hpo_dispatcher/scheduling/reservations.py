"""Capacity that is kept for waiting requests, in order. Pure.

Reservations are ordered: capacity reserved earlier is not available to later reservations either,
so two requests can never each reserve what the other one lacks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from hpo_dispatcher.contract.entry import Key
from hpo_dispatcher.scheduling.snapshot import Amounts, Head

_NOTHING: Counter[str] = Counter()


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """Capacity kept for one request."""

    head: Head
    amounts: Amounts  # kept from the requests of other teams; empty: from its own team's only
    of_team: Amounts  # kept below the ceiling of its team
    before: Counter[str]  # amounts of earlier reservations
    of_team_before: Counter[str]  # of them, those of its team


class Reservations:
    """The reservations of one plan, in order."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self._by_key: dict[Key, Reservation] = {}
        self._by_team: dict[str, Counter[str]] = {}  # below its ceiling
        self._kept_for: dict[str, Counter[str]] = {}  # by team, from other teams

    def __iter__(self) -> Iterator[Reservation]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)

    def __contains__(self, head: Head) -> bool:
        return head.key in self._by_key

    def add(self, head: Head, amounts: Amounts, of_team: Amounts) -> None:
        """Add a reservation after all others; a request has one at most."""
        if head.key in self._by_key:
            return
        team = self._by_team.setdefault(head.team, Counter())
        self._by_key[head.key] = Reservation(
            head=head,
            amounts=amounts,
            of_team=of_team,
            before=self.total.copy(),
            of_team_before=team.copy(),
        )
        self.total.update(amounts)
        team.update(of_team)
        self._kept_for.setdefault(head.team, Counter()).update(amounts)

    def widen(self, head: Head, amounts: Amounts) -> None:
        """Keep at least these amounts for a head that has a reservation, in its place."""
        own = self._by_key[head.key]
        more = Counter({r: n - own.amounts.get(r, 0) for r, n in amounts.items()})
        more = +more  # without those that are kept already
        self._by_key[head.key] = replace(own, amounts=Counter(own.amounts) + more)
        keys = list(self._by_key)
        for key in keys[keys.index(head.key) + 1 :]:
            self._by_key[key].before.update(more)
        self.total.update(more)
        self._kept_for[head.team].update(more)

    def end(self, key: Key) -> None:
        """End a reservation: its request has started."""
        ended = self._by_key[key]
        later = False
        for other, each in self._by_key.items():
            if later:
                each.before.subtract(ended.amounts)
                if other[0] == key[0]:
                    each.of_team_before.subtract(ended.of_team)
            later = later or other == key
        del self._by_key[key]
        self.total.subtract(ended.amounts)
        self._by_team[key[0]].subtract(ended.of_team)
        self._kept_for[key[0]].subtract(ended.amounts)

    def before(self, head: Head) -> Counter[str]:
        """Return what is reserved before a head: everything if it has no reservation."""
        own = self._by_key.get(head.key)
        return own.before if own else self.total

    def of_team_before(self, head: Head) -> Counter[str]:
        """Return what the team of a head has reserved below its ceiling before the head."""
        own = self._by_key.get(head.key)
        return own.of_team_before if own else self.of_team(head.team)

    def of_team(self, team: str) -> Counter[str]:
        """Return what a team has reserved below its ceiling."""
        return self._by_team.get(team, _NOTHING)

    def kept_for(self, team: str) -> Counter[str]:
        """Return what is kept for a team from other teams."""
        return self._kept_for.get(team, _NOTHING)

    def of_resource(self, resource: str, head: Head) -> list[Key]:
        """Return the requests whose reservations of a resource come before a head."""
        others: list[Key] = []
        for key, each in self._by_key.items():
            if key == head.key:
                break
            others += [key] if resource in each.amounts else []
        return others
