"""Admission: which queued requests start now, and why each other head waits. Pure.

Resources are the account's tuning-job slots and, per instance type, the instances its quota
allows. The rules, each a function here or in ``books`` and a paragraph in docs/admission.md:

1. the team with the smallest dominant share for its weight goes first (``_turn``);
2. a team below its guaranteed share goes before one above; none goes beyond its ceiling, or
   farther beyond its guarantee than it may borrow (``Books.within_ceiling``);
3. an idle guarantee is borrowed by others as far as its team lends it (``Books.lacking``) and
   given back first: what a head within its team's guarantee lacks is kept for it at once
   (``_owed``);
4. within a team higher priority goes first, then older; what does not fit lets others pass, for
   a bounded time: then what it needs is kept for it (``_overdue``);
5. for an owed head, or for one of a higher priority, what may be preempted is stopped
   (``preemption``), and what that frees is kept for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.allocation import Books
from hpo_dispatcher.scheduling.preemption import Stop, preempt
from hpo_dispatcher.scheduling.snapshot import (
    SLOTS,
    Amounts,
    Capacity,
    Front,
    Head,
    Holder,
    Key,
    Shape,
    Snapshot,
    needs,
)

__all__ = [
    "RESERVE_AFTER", "RESERVE_AT_LAST", "SLOTS", "Amounts", "Capacity", "Front", "Head", "Holder",
    "Plan", "Snapshot", "Stop", "Wait", "needs", "plan",
]  # fmt: skip

# How long others may pass the first of a line out of turn because it does not fit.
RESERVE_AFTER = timedelta(minutes=30)
# How long it may wait there in any case, though other teams have a better claim all the time.
RESERVE_AT_LAST = timedelta(hours=24)

Turn = tuple[bool, float, datetime, str]


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Why a head does not start."""

    head: Head
    reason: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Starts in admission order, and one reason per waiting head."""

    starts: tuple[Head, ...]
    waits: tuple[Wait, ...]
    # For the next snapshot, less what has really started.
    fronts: Mapping[Key, Front] = field(default_factory=dict)
    # Tuning jobs that make room for heads that wait; what they free is kept for these.
    stops: tuple[Stop, ...] = ()


def plan(snapshot: Snapshot, capacity: Capacity, teams: Mapping[str, TeamSettings]) -> Plan:
    """Decide which queued requests start now, and why each other head waits.

    Args:
        snapshot: tuning jobs holding capacity and each team's heads, in line order.
        capacity: of the account.
        teams: weights, guaranteed shares, what they lend and borrow, and ceilings.

    Returns:
        Starts in admission order, one reason per waiting head, and what is stopped for them.
    """
    books = Books(capacity.limits, teams, snapshot.holders)
    fronts = _fronts(snapshot)
    for head in _overdue(snapshot, fronts, books):
        books.keep(head)
    owed = [*_owed(snapshot, books)]
    for head in [*_promised(snapshot), *owed]:
        books.keep(head)
    admission = _Admission(snapshot, books)
    starts = admission.run()
    started = {head.key for head in starts}
    waiting = [h for line in snapshot.lines.values() for h in line if h.key not in started]
    reasons = _Reasons(books)
    waits = [Wait(head=head, reason=reasons.of(head)) for head in waiting]
    preemption = preempt(snapshot, books, _in_turn(owed, waiting), [head.key for head in owed])
    return Plan(
        starts=tuple(starts),
        waits=tuple(_with_notes(waits, preemption.notes)),
        fronts=_left(snapshot, fronts, started, admission.passed),
        stops=preemption.stops,
    )


def _with_notes(waits: list[Wait], notes: Mapping[Key, str]) -> list[Wait]:
    if not notes:
        return waits
    return [
        replace(wait, reason=f"{wait.reason}; {notes[wait.head.key]}")
        if notes.get(wait.head.key)
        else wait
        for wait in waits
    ]


class _Admission:
    """One head after the other, whoever's turn it is, until nothing more fits."""

    def __init__(self, snapshot: Snapshot, books: Books) -> None:
        self._lines = snapshot.lines
        self._books = books
        self._started: set[Key] = set()
        self._nominees: dict[str, Head] = {}
        self._turns: dict[str, Turn] = {}  # of the nominees
        for team in self._lines:
            self._nominate(team)
        # First in their lines, and others may pass them: they did not fit to begin with.
        self._stuck = {
            team: line[0]
            for team, line in self._lines.items()
            if line and self._nominees.get(team) is not line[0] and not books.impossible(line[0])
        }
        self.passed: set[Key] = set()

    def run(self) -> list[Head]:
        """Enter the starts into the books, in order."""
        starts: list[Head] = []
        while self._turns:
            chosen = self._nominees[min(self._turns, key=self._turns.__getitem__)]
            self._note_passed(chosen)
            self._books.take(chosen)
            starts.append(chosen)
            self._started.add(chosen.key)
            for team, head in list(self._nominees.items()):
                # What is left only shrinks: a nominee that still fits stays its team's first.
                if head is chosen or self._books.lacking(head):
                    self._nominate(team)
        return starts

    def _nominate(self, team: str) -> None:
        head = self._nominee(team)
        if head:
            self._nominees[team], self._turns[team] = head, _turn(head, self._books)
        else:
            self._nominees.pop(team, None)
            self._turns.pop(team, None)

    def _nominee(self, team: str) -> Head | None:
        """The first head of a team that fits; one that does not lets the next one pass."""
        books = self._books
        if books.full():
            return None
        misfits: set[Shape] = set()
        for head in self._lines[team]:
            wanted = head.shape
            if head.key in self._started or (wanted in misfits and not books.keeps_for(head)):
                continue
            if books.within_ceiling(head) and not books.lacking(head):
                return head
            misfits.add(wanted)
        return None

    def _note_passed(self, chosen: Head) -> None:
        """A start out of turn, on what the first of some line lacks, has passed that one."""
        if not self._stuck:
            return
        turn, wanted = _turn(chosen, self._books), chosen.needs.keys()
        for team, front in list(self._stuck.items()):
            own = team == chosen.team
            if not self._books.within_ceiling(front):
                passed = own  # what other teams start is not what it waits for
            else:
                before = own or _turn(front, self._books) < turn
                passed = before and not wanted.isdisjoint(self._books.lacking(front))
            if passed:
                self.passed.add(front.key)
                del self._stuck[team]


def _turn(head: Head, books: Books) -> Turn:
    """Below its guarantee first, then the smallest share for its weight, then the oldest."""
    settings = books.settings(head.team)
    share = books.share(head.team)
    satisfied = share >= settings.guaranteed_share
    return satisfied, share / settings.weight, head.accepted_at, head.team


def _fronts(snapshot: Snapshot) -> dict[Key, Front]:
    """Those that have been first in their lines, and are still in line."""
    firsts = {line[0].key for line in snapshot.lines.values() if line}
    known = snapshot.fronts
    if not known:
        return {key: Front(since=snapshot.now) for key in firsts}
    there = {head.key for line in snapshot.lines.values() for head in line}
    kept = {key: front for key, front in known.items() if key in there}
    return {key: Front(since=snapshot.now) for key in firsts} | kept


def _overdue(snapshot: Snapshot, fronts: Mapping[Key, Front], books: Books) -> list[Head]:
    """The first of a line that has waited longest beyond its bound; none, or one.

    One at a time keeps little capacity idle. It is the first of its line, so no team, however
    long its line, can delay another's by more than one request. At its team's ceiling it is due
    all the same: else the requests behind it could keep the team there for ever.
    """
    due = [
        (at, line[0])
        for line in snapshot.lines.values()
        if line
        and (at := _due(fronts[line[0].key])) <= snapshot.now
        and not books.impossible(line[0])
    ]
    return [min(due, key=lambda each: (each[0], each[1].key))[1]] if due else []


def _due(front: Front) -> datetime:
    at_last = front.since + RESERVE_AT_LAST
    return min(at_last, front.passed_at + RESERVE_AFTER) if front.passed_at else at_last


def _owed(snapshot: Snapshot, books: Books) -> Iterator[Head]:
    """Heads that their teams' guarantees cover; those that fit start, they go first anyway."""
    lines = [line for team, line in snapshot.lines.items() if books.settings(team).guaranteed_share]
    for line in sorted(filter(None, lines), key=lambda line: _turn(line[0], books)):
        besides: Counter[str] = Counter()
        for head in line:
            if books.owed(head, besides):
                besides.update(head.needs)
                yield head


def _promised(snapshot: Snapshot) -> list[Head]:
    """Heads for whom something was stopped: what it held is theirs, whoever's turn it is."""
    lines = snapshot.lines.values() if snapshot.promised else ()
    return [head for line in lines for head in line if head.key in snapshot.promised]


def _in_turn(owed: Sequence[Head], waiting: Sequence[Head]) -> Iterator[Head]:
    """Those that wait: owed ones in their order, then the others line by line."""
    left = {head.key: head for head in waiting}
    yield from [left.pop(head.key) for head in owed if head.key in left]
    yield from left.values()


def _left(
    snapshot: Snapshot,
    fronts: Mapping[Key, Front],
    started: Collection[Key],
    passed: Collection[Key],
) -> dict[Key, Front]:
    """The fronts as the next snapshot has to know them."""
    left = dict(fronts)
    for line in snapshot.lines.values():
        first = next((head for head in line if head.key not in started), None)
        if first:
            left.setdefault(first.key, Front(since=snapshot.now))
    return {
        key: Front(since=front.since, passed_at=front.passed_at or snapshot.now)
        if key in passed
        else front
        for key, front in left.items()
    }


class _Reasons:
    """Why heads wait; those of one team that ask for the same wait for the same."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._known: dict[tuple[str, Shape], str] = {}

    def of(self, head: Head) -> str:
        """In the words of docs/admission.md."""
        if self._books.keeps_for(head):  # its place among the reservations is its own
            return self._reason(head)
        key = head.team, head.shape
        if key not in self._known:
            self._known[key] = self._reason(head)
        return self._known[key]

    def _reason(self, head: Head) -> str:
        books = self._books
        impossible = books.impossible(head)
        if impossible:
            return f"{_never(head, impossible[0], books)}: never fits"
        lacking = books.lacking(head)
        if lacking:
            return "; ".join(_told(head, resource, books) for resource in lacking)
        if not books.within_ceiling(head):
            return _ceiling(head.team, books.settings(head.team))
        return "next in line"


def _never(head: Head, resource: str, books: Books) -> str:
    wanted, limit = head.needs[resource], books.limits[resource]
    if wanted > limit:
        return f"needs {wanted} {resource}, the limit is {limit}"
    most = books.at_most(head.team, resource)
    return f"needs {wanted} {resource}, team {head.team} may hold {most} of {limit}"


def _ceiling(team: str, settings: TeamSettings) -> str:
    if settings.most < settings.ceiling:
        return (
            f"team {team} is at its ceiling of {settings.most:.0%}: "
            f"{settings.guaranteed_share:.0%} guaranteed, {settings.borrow:.0%} borrowed"
        )
    return f"team {team} is at its ceiling of {settings.ceiling:.0%}"


def _told(head: Head, resource: str, books: Books) -> str:
    amount, limit = head.needs[resource], books.limits[resource]
    holders = {team: held[resource] for team, held in books.held.items() if held[resource]}
    by = [f"{team or 'others'} {count}" for team, count in sorted(holders.items(), key=_most_first)]
    text = f"{resource} {books.in_use[resource]}/{limit} in use, {amount} needed"
    text += f"; held by: {', '.join(by)}" if by else ""
    text += "".join(f"; kept for {'/'.join(key)}" for key in books.kept_from(head, resource))
    unlent = books.unlent_by_others(head, resource)
    return text + "".join(f"; team {team} does not lend what it leaves idle" for team in unlent)


def _most_first(item: tuple[str | None, int]) -> tuple[int, bool, str]:
    team, count = item
    return -count, team is None, team or ""
