"""Admission: which queued requests start now, and why each other head waits. Pure.

Resources are the account's tuning-job slots and, per instance type, the instances its quota
allows. The rules, each a function here or in ``allocation`` and a paragraph in docs/admission.md:

1. The team with the smallest dominant share for its weight goes first (``_turn``).
2. A team below its guaranteed share goes before a team above its own. No team exceeds its
   ceiling, or exceeds its guarantee by more than it may borrow (``Allocation.within_ceiling``).
3. Other teams borrow an idle guarantee as far as its team lends it (``Allocation.lacking``). It is
   returned first: what a head within its team's guarantee lacks is reserved for it at once
   (``_guaranteed``).
4. Within a team, higher priority goes first, then older. A head that does not fit lets others
   pass for a bounded time; then what it needs is reserved for it (``_overdue``).
5. Preemptible jobs are stopped for a head within its team's guarantee, or for a head of higher
   priority (``preemption``), and what they free is reserved for that head.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hpo_dispatcher.contract.entry import Key
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.allocation import Allocation
from hpo_dispatcher.scheduling.preemption import Stop, preempt
from hpo_dispatcher.scheduling.reasons import Reasons, with_notes
from hpo_dispatcher.scheduling.snapshot import (
    Capacity,
    Head,
    ReservationTimer,
    Shape,
    Snapshot,
    Wait,
)

# How long others may pass the first request of a queue out of turn because it does not fit.
RESERVE_AFTER = timedelta(minutes=30)
# How long the first request of a queue waits for a reservation if nothing passes it.
RESERVE_AT_LAST = timedelta(hours=24)

Turn = tuple[bool, float, datetime, str]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Starts in admission order, and one reason per waiting head."""

    starts: tuple[Head, ...]
    waits: tuple[Wait, ...]
    # For the next snapshot, without the requests that have really started.
    reservation_timers: Mapping[Key, ReservationTimer] = field(default_factory=dict)
    # Running jobs to stop for waiting heads, for which the freed capacity is reserved.
    stops: tuple[Stop, ...] = ()


def plan(snapshot: Snapshot, capacity: Capacity, teams: Mapping[str, TeamSettings]) -> Plan:
    """Decide which queued requests start now, and why each other head waits.

    Args:
        snapshot: running jobs and the heads of each team's queue, in queue order.
        capacity: the limits of the account.
        teams: weights, guaranteed shares, ceilings, and what each team lends and borrows.

    Returns:
        Starts in admission order, one reason per waiting head, and the jobs to stop for them.
    """
    allocation = Allocation(capacity.limits, teams, snapshot.running_jobs)
    timers = _reservation_timers(snapshot)
    for head in _overdue(snapshot, timers, allocation):
        allocation.reserve(head)
    guaranteed = [*_guaranteed(snapshot, allocation)]
    for head in [*_promised(snapshot), *guaranteed]:
        allocation.reserve(head)
    admission = _Admission(snapshot, allocation)
    starts = admission.run()
    started = {head.key for head in starts}
    waiting = [head for queue in snapshot.queues.values() for head in queue]
    waiting = [head for head in waiting if head.key not in started]
    reasons = Reasons(allocation)
    waits = [Wait(head=head, reason=reasons.of(head)) for head in waiting]
    preemption = preempt(
        snapshot, allocation, _in_turn(guaranteed, waiting), [head.key for head in guaranteed]
    )
    return Plan(
        starts=tuple(starts),
        waits=with_notes(waits, preemption.notes),
        reservation_timers=_next_timers(snapshot, timers, started, admission.passed),
        stops=preemption.stops,
    )


class _Admission:
    """The admission of one head after the other, by turn, until nothing more fits."""

    def __init__(self, snapshot: Snapshot, allocation: Allocation) -> None:
        self._queues = snapshot.queues
        self._allocation = allocation
        self._started: set[Key] = set()
        self._nominees: dict[str, Head] = {}
        self._turns: dict[str, Turn] = {}  # of the nominees
        for team in self._queues:
            self._nominate(team)
        # First in their queues, but did not fit to begin with: others may pass them.
        self._stuck = {
            team: queue[0]
            for team, queue in self._queues.items()
            if queue
            and self._nominees.get(team) is not queue[0]
            and not allocation.impossible(queue[0])
        }
        self.passed: set[Key] = set()

    def run(self) -> list[Head]:
        """Admit heads and return them in order."""
        starts: list[Head] = []
        while self._turns:
            chosen = self._nominees[min(self._turns, key=self._turns.__getitem__)]
            self._note_passed(chosen)
            self._allocation.admit(chosen)
            starts.append(chosen)
            self._started.add(chosen.key)
            for team, head in list(self._nominees.items()):
                # Free capacity only shrinks: a nominee that still fits stays its team's first.
                if head is chosen or self._allocation.lacking(head):
                    self._nominate(team)
        return starts

    def _nominate(self, team: str) -> None:
        head = self._nominee(team)
        if head:
            self._nominees[team], self._turns[team] = head, _turn(head, self._allocation)
        else:
            self._nominees.pop(team, None)
            self._turns.pop(team, None)

    def _nominee(self, team: str) -> Head | None:
        """Return the first head of a team that fits; a head that does not fit is passed."""
        allocation = self._allocation
        if allocation.full():
            return None
        misfits: set[Shape] = set()
        for head in self._queues[team]:
            if head.key in self._started:
                continue
            if head.shape in misfits and not allocation.has_reservation(head):
                continue
            if allocation.within_ceiling(head) and not allocation.lacking(head):
                return head
            misfits.add(head.shape)
        return None

    def _note_passed(self, chosen: Head) -> None:
        """Note the stuck heads that a start passes: out of turn, on a resource they lack."""
        if not self._stuck:
            return
        turn, needed = _turn(chosen, self._allocation), chosen.needs.keys()
        for team, stuck in list(self._stuck.items()):
            own = team == chosen.team
            if not self._allocation.within_ceiling(stuck):
                passed = own  # it does not wait for what other teams start
            else:
                before = own or _turn(stuck, self._allocation) < turn
                passed = before and not needed.isdisjoint(self._allocation.lacking(stuck))
            if passed:
                self.passed.add(stuck.key)
                del self._stuck[team]


def _turn(head: Head, allocation: Allocation) -> Turn:
    """Order heads: below the guarantee first, then smallest share for its weight, then oldest."""
    settings = allocation.settings(head.team)
    share = allocation.share(head.team)
    satisfied = share >= settings.guaranteed_share
    return satisfied, share / settings.weight, head.accepted_at, head.team


def _reservation_timers(snapshot: Snapshot) -> dict[Key, ReservationTimer]:
    """Return the timers of all queued requests that are, or have been, first in their queues."""
    firsts = {queue[0].key for queue in snapshot.queues.values() if queue}
    known = snapshot.reservation_timers
    if not known:
        return {key: ReservationTimer(since=snapshot.now) for key in firsts}
    queued = {head.key for queue in snapshot.queues.values() for head in queue}
    running = {key: timer for key, timer in known.items() if key in queued}
    return {key: ReservationTimer(since=snapshot.now) for key in firsts} | running


def _overdue(
    snapshot: Snapshot, timers: Mapping[Key, ReservationTimer], allocation: Allocation
) -> list[Head]:
    """Return the first request of a queue whose reservation has been due longest, if any.

    One reservation at a time keeps little capacity idle. Only the first of a queue gets one, so
    no team can delay another team by more than one request, however long its queue. A request
    at its team's ceiling is due as well: otherwise the requests behind it could keep the team
    at its ceiling forever.
    """
    due = [
        (at, queue[0])
        for queue in snapshot.queues.values()
        if queue
        and (at := _due(timers[queue[0].key])) <= snapshot.now
        and not allocation.impossible(queue[0])
    ]
    return [min(due, key=lambda each: (each[0], each[1].key))[1]] if due else []


def _due(timer: ReservationTimer) -> datetime:
    at_last = timer.since + RESERVE_AT_LAST
    return min(at_last, timer.passed_at + RESERVE_AFTER) if timer.passed_at else at_last


def _guaranteed(snapshot: Snapshot, allocation: Allocation) -> Iterator[Head]:
    """Yield the heads that their teams' guarantees cover, teams in turn."""
    queues = [
        queue
        for team, queue in snapshot.queues.items()
        if queue and allocation.settings(team).guaranteed_share
    ]
    for queue in sorted(queues, key=lambda queue: _turn(queue[0], allocation)):
        besides: Counter[str] = Counter()
        for head in queue:
            if allocation.within_guarantee(head, besides):
                besides.update(head.needs)
                yield head


def _promised(snapshot: Snapshot) -> list[Head]:
    """Return the heads for which a job was stopped: its capacity is theirs out of turn."""
    queues = snapshot.queues.values() if snapshot.promised else ()
    return [head for queue in queues for head in queue if head.key in snapshot.promised]


def _in_turn(guaranteed: Sequence[Head], waiting: Sequence[Head]) -> Iterator[Head]:
    """Yield waiting heads: guaranteed ones in their order, then the others queue by queue."""
    left = {head.key: head for head in waiting}
    yield from [left.pop(head.key) for head in guaranteed if head.key in left]
    yield from left.values()


def _next_timers(
    snapshot: Snapshot,
    timers: Mapping[Key, ReservationTimer],
    started: Collection[Key],
    passed: Collection[Key],
) -> dict[Key, ReservationTimer]:
    """Return the timers for the next snapshot."""
    following = dict(timers)
    for queue in snapshot.queues.values():
        first = next((head for head in queue if head.key not in started), None)
        if first:
            following.setdefault(first.key, ReservationTimer(since=snapshot.now))
    return {
        key: ReservationTimer(since=timer.since, passed_at=timer.passed_at or snapshot.now)
        if key in passed
        else timer
        for key, timer in following.items()
    }
