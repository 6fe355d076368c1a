"""Preemption: which tuning jobs are stopped to make room, and for whom. Pure.

Two claims justify a stop (docs/admission.md, docs/decisions/0012):

1. a head that its team's guarantee covers takes back what other teams borrowed;
2. a head takes the place of a running request of its own team that has a lower priority.

Only teams that are ``preemptible`` are stopped, and of those only what can go on later without
running again what has ended. A stop is worth its price only if it lets its head start: all that
this takes is stopped, and nothing more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from hpo_dispatcher.scheduling.allocation import ROUNDING, Books
from hpo_dispatcher.scheduling.snapshot import Head, Holder, Key, Snapshot

# What was stopped before runs for so long at least before it is stopped again.
RUNS_FOR = timedelta(hours=1)
NAMED = 3  # of those that cannot be stopped, in a reason


@dataclass(frozen=True, kw_only=True)
class Stop:
    """A tuning job to stop, and the head that gets what it holds."""

    holder: Holder
    head: Head


@dataclass(frozen=True, kw_only=True)
class Preemption:
    """What to stop, and what the heads concerned are told."""

    stops: tuple[Stop, ...] = ()
    notes: Mapping[Key, str] = field(default_factory=dict)


def preempt(
    snapshot: Snapshot, books: Books, waiting: Iterable[Head], owed: Collection[Key]
) -> Preemption:
    """Decide what is stopped for heads that would otherwise wait.

    Args:
        snapshot: of the plan.
        books: as the plan leaves them, starts and reservations entered; changed in place.
        waiting: the heads that do not start, in line order.
        owed: those among them that their teams' guarantees covered.
    """
    if not any(h.team and books.settings(h.team).preemptible for h in snapshot.holders):
        return Preemption()
    return _Preemption(snapshot, books, frozenset(owed)).of([*waiting])


class _Preemption:
    def __init__(self, snapshot: Snapshot, books: Books, owed: frozenset[Key]) -> None:
        self._now = snapshot.now
        self._books = books
        self._owed = owed
        self._besides: dict[str, Counter[str]] = {}  # owed to a team's heads before this one
        self._leaving = [holder for holder in snapshot.holders if holder.stopping]
        stays = [h for h in snapshot.holders if h.team and not h.stopping]
        self._theirs = [h for h in stays if h.team and books.settings(h.team).preemptible]
        covered = covered_by_guarantees(stays, books)
        self._borrowed = [h for h in self._theirs if h.tuning_job_name not in covered]
        self._stops: dict[str, Stop] = {}  # by tuning job name
        self._notes: dict[Key, list[str]] = {}

    def of(self, waiting: list[Head]) -> Preemption:
        for holder in self._leaving:  # it counts as free: nothing is stopped for it again
            self._books.release(holder)
            if holder.stopped_for:
                self._note(holder.stopped_for, f"{_name(holder)} is being stopped for it")
        waiting.sort(key=lambda head: head.key not in self._owed)
        for head in waiting:
            candidates = self._candidates(head)
            if candidates and not self._books.impossible(head):
                self._make_room(head, candidates)
        return Preemption(
            stops=tuple(self._stops.values()),
            notes={key: "; ".join(notes) for key, notes in self._notes.items()},
        )

    def _candidates(self, head: Head) -> list[Holder]:
        """All that the head has a claim on, whether or not it can be stopped."""
        found: list[Holder] = []
        besides = self._besides.setdefault(head.team, Counter())
        if head.key in self._owed and self._books.owed(head, besides):
            besides.update(head.needs)
            found += [each for each in self._borrowed if each.team != head.team]
        found += [
            each
            for each in self._theirs
            if each.team == head.team and each.priority < head.priority
        ]
        return [each for each in found if each.tuning_job_name not in self._stops]

    def _make_room(self, head: Head, candidates: list[Holder]) -> None:
        lacking = {*self._books.lacking(head)} if self._books.within_ceiling(head) else None
        wanted = [h for h in candidates if lacking is None or lacking & h.needs.keys()]
        able = [holder for holder in wanted if not self._refusal(holder)]
        chosen = self._enough(head, able)
        if chosen is None:
            for holder in [each for each in wanted if each not in able][:NAMED]:
                self._note(head.key, f"{_name(holder)} is not stopped: {self._refusal(holder)}")
            return
        self._books.keep(head)  # the next one must not count on it, too
        for holder in chosen:
            self._stops[holder.tuning_job_name] = Stop(holder=holder, head=head)
            self._note(head.key, f"stopping {_name(holder)} for it")

    def _enough(self, head: Head, able: list[Holder]) -> list[Holder] | None:
        """The fewest, taken in order, without which the head does not fit; None: never enough."""
        left, chosen = [*able], list[Holder]()
        while not self._fits(head):
            if not left:
                for holder in chosen:
                    self._books.restore(holder)
                return None
            holder = self._next(left, head)
            left.remove(holder)
            self._books.release(holder)
            chosen.append(holder)
        for holder in chosen[-2::-1]:  # the last one is needed: without it, it did not fit
            self._books.restore(holder)
            if self._fits(head):
                chosen.remove(holder)
            else:
                self._books.release(holder)
        return chosen

    def _fits(self, head: Head) -> bool:
        return not self._books.lacking(head) and self._books.within_ceiling(head)

    def _next(self, left: list[Holder], head: Head) -> Holder:
        """Of others first; of the team with the largest share, lowest priority, then youngest."""
        firsts: dict[str | None, Holder] = {}
        for holder in left:
            first = firsts.get(holder.team)
            if first is None or _order(holder) < _order(first):
                firsts[holder.team] = holder
        return min(
            firsts.values(),
            key=lambda each: (each.team == head.team, -self._claim(each.team), *_order(each)[1:]),
        )

    def _claim(self, team: str | None) -> float:
        return self._books.share(team) / self._books.settings(team or "").weight

    def _refusal(self, holder: Holder) -> str:
        """Why a tuning job cannot be stopped now; empty if it can."""
        if holder.obstacle or holder.started_at is None:
            return holder.obstacle
        until = holder.started_at + RUNS_FOR
        if holder.resumed and self._now < until:
            return f"it was stopped before, and runs until {until:%H:%M} UTC at least"
        return ""

    def _note(self, key: Key, text: str) -> None:
        self._notes.setdefault(key, []).append(text)


def covered_by_guarantees(holders: Iterable[Holder], books: Books) -> set[str]:
    """Tuning jobs within their teams' guarantees: the oldest ones that fit into them together."""
    covered: set[str] = set()
    held: dict[str, Counter[str]] = {}
    for holder in sorted(holders, key=lambda each: (_started(each), each.tuning_job_name)):
        if holder.team is None:
            continue
        guaranteed = books.settings(holder.team).guaranteed_share
        of_team = held.setdefault(holder.team, Counter())
        if all(
            of_team[r] + n <= guaranteed * books.limits[r] + ROUNDING
            for r, n in holder.needs.items()
            if r in books.limits
        ):
            of_team.update(holder.needs)
            covered.add(holder.tuning_job_name)
    return covered


def _order(holder: Holder) -> tuple[int, float, str]:
    return holder.priority, -_started(holder), holder.tuning_job_name


def _started(holder: Holder) -> float:
    return holder.started_at.timestamp() if holder.started_at else 0.0


def _name(holder: Holder) -> str:
    return f"{holder.team}/{holder.request_id}"
