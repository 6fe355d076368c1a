"""Admission: which queued requests start now, and why each other head waits. Pure.

Resources are the account's tuning-job slots and, per instance type, the instances its quota
allows. The rules, each a function here or in ``allocation`` and a paragraph in docs/admission.md:

1. The team that uses least for its weight goes first: by its dominant share, and by what it has
   used lately (``_turn``).
2. A head within its team's guarantee goes before any other head. No team exceeds its ceiling, or
   exceeds its guarantee by more than it may borrow (``Allocation.within_ceiling``).
3. Other teams borrow an idle guarantee as far as its team lends it (``Allocation.lacking``). It is
   returned first: what a head within its team's guarantee lacks is reserved for it at once
   (``_guaranteed``).
4. Within a team, higher priority goes first, then older. A head that does not fit lets others
   pass for a bounded time; then what it needs is reserved for it (``_overdue``), unless that
   cannot help (``Allocation.reserve_overdue``). A head that never fits is parked: it has no place
   in the queue and no reservation.
5. Reserved capacity is lent to heads that will have ended before it is needed (``backfill``).
6. A request that may run on several targets takes one on which it fits now (``TargetChoice``).
   Guarantees and ceilings hold on each target; the turn counts what a team uses of all of them.
7. Preemptible jobs are stopped for a head within its team's guarantee, or for a head of higher
   priority (``preemption``), and what they free is reserved for that head.
"""

from __future__ import annotations

import gc
import heapq
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hpo_dispatcher.contract.entry import Key
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.scheduling.admission import Admission, Turn, allocation_of
from hpo_dispatcher.scheduling.allocation import Allocation
from hpo_dispatcher.scheduling.backfill import Backfill
from hpo_dispatcher.scheduling.preemption import Stop, preempt
from hpo_dispatcher.scheduling.reasons import Reasons, with_notes
from hpo_dispatcher.scheduling.snapshot import (
    Capacity,
    Head,
    ReservationTimer,
    Snapshot,
    Wait,
)
from hpo_dispatcher.scheduling.targets.choice import TargetChoice

# How long others may pass the first request of a queue out of turn because it does not fit.
RESERVE_AFTER = timedelta(minutes=30)
# How long the first request of a queue waits for a reservation if nothing passes it.
RESERVE_AT_LAST = timedelta(hours=24)

Queues = Mapping[str, Sequence[Head]]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Starts in admission order, and one reason per waiting head."""

    starts: tuple[Head, ...]
    waits: tuple[Wait, ...]
    # For the next snapshot, without the requests that have really started.
    reservation_timers: Mapping[Key, ReservationTimer] = field(default_factory=dict)
    # Running jobs to stop for waiting heads, for which the freed capacity is reserved.
    stops: tuple[Stop, ...] = ()


def plan(
    snapshot: Snapshot,
    capacity: Capacity,
    teams: Mapping[str, TeamSettings],
    *,
    starts_only: bool = False,
) -> Plan:
    """Decide which queued requests start now, and why each other head waits.

    Args:
        snapshot: running jobs and the heads of each team's queue, in queue order.
        capacity: the limits of the account.
        teams: weights, guaranteed shares, ceilings, and what each team lends and borrows.
        starts_only: leave out reasons and stops, which take about a quarter of the time.

    Returns:
        Starts in admission order, one reason per waiting head, and the jobs to stop for them.
    """
    with _garbage_collector_paused():
        return _planned(snapshot, capacity, teams, starts_only)


@contextmanager
def _garbage_collector_paused() -> Iterator[None]:
    """Pause the garbage collector, which would traverse a hundred thousand heads several times.

    It takes longer than the plan of so many heads, and a plan leaves no reference cycles behind.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _planned(
    snapshot: Snapshot, capacity: Capacity, teams: Mapping[str, TeamSettings], starts_only: bool
) -> Plan:
    allocation = allocation_of(capacity, teams, snapshot.running_jobs)
    choice = TargetChoice.of(allocation, capacity)
    queues = _without_parked(snapshot.queues, allocation)
    timers = _reservation_timers(snapshot, queues)
    for head in _overdue(queues, timers, snapshot.now):
        allocation.reserve_overdue(choice.of_reservation(head, timers[head.key]))
    for head in _promised(snapshot, queues):
        allocation.reserve(head)
    guaranteed = [*_guaranteed(queues, allocation, choice, snapshot.usage)]
    for head in guaranteed:
        allocation.reserve_owed(head)
    reserved = {each.head.key: each.head.target for each in allocation.reservations}
    admission = Admission(
        queues,
        allocation,
        lambda head: _turn(head, allocation, snapshot.usage),
        lambda: Backfill(allocation, snapshot.running_jobs, snapshot.now, timers),
        choice.in_order,
    )
    starts = admission.run()
    started = {head.key for head in starts}
    expected = admission.backfill.expected() if reserved else {}
    following = _next_timers(queues, snapshot.now, timers, started, admission.passed)
    following = _with_promises(following, reserved, expected, snapshot.now)
    if starts_only:
        return Plan(starts=tuple(starts), waits=(), reservation_timers=following)
    waits = Reasons(allocation, choice.in_order).waits(snapshot.queues, started)
    waiting = _in_turn(guaranteed, waits)
    keys = [head.key for head in guaranteed]
    preemption = preempt(snapshot, allocation, waiting, keys, choice.in_order)
    return Plan(
        starts=tuple(starts),
        waits=with_notes(waits, preemption.notes),
        reservation_timers=following,
        stops=preemption.stops,
    )


def _without_parked(queues: Queues, allocation: Allocation) -> Queues:
    """Return the queues without the heads that need more than their teams may ever use."""
    possible: dict[str, Sequence[Head]] = {}
    for team, queue in queues.items():
        # One head of each shape: most of a plan of many heads is hashing their shapes.
        alike = {head.shape: head for head in queue}
        never = {
            shape
            for shape, head in alike.items()
            if all(allocation.impossible(each) for each in head.placements)
        }
        possible[team] = [head for head in queue if head.shape not in never] if never else queue
    return possible


def _turn(head: Head, allocation: Allocation, usage: Mapping[str, float]) -> Turn:
    """Order heads: within the guarantee first, then least use for the weight, then oldest.

    The use of a team is what it has used lately, and its dominant share for one more hour.
    """
    settings = allocation.settings(head.team)
    hours = allocation.share(head.team) + usage.get(head.team, 0.0)
    covered = settings.guaranteed_share > 0 and allocation.within_guarantee(head, {})
    return not covered, hours / settings.weight, head.accepted_at, head.team


def _reservation_timers(snapshot: Snapshot, queues: Queues) -> dict[Key, ReservationTimer]:
    """Return the timers of all queued requests that are, or have been, first in their queues."""
    firsts = {queue[0].key for queue in queues.values() if queue}
    known = snapshot.reservation_timers
    if not known:
        return {key: ReservationTimer(since=snapshot.now) for key in firsts}
    queued = {head.key for queue in queues.values() for head in queue}
    running = {key: timer for key, timer in known.items() if key in queued}
    return {key: ReservationTimer(since=snapshot.now) for key in firsts} | running


def _overdue(queues: Queues, timers: Mapping[Key, ReservationTimer], now: datetime) -> list[Head]:
    """Return the first requests of queues whose reservations are due, the longest due first.

    Only the first of a queue gets one, so no team can delay another team by more than one request,
    however long its queue. A request at its team's ceiling is due as well: otherwise the requests
    behind it could keep the team at its ceiling forever.
    """
    due = [
        (at, queue[0].key, queue[0])
        for queue in queues.values()
        if queue and (at := _due(timers[queue[0].key])) <= now
    ]
    return [head for *_, head in sorted(due, key=lambda each: each[:2])]


def _due(timer: ReservationTimer) -> datetime:
    at_last = timer.since + RESERVE_AT_LAST
    return min(at_last, timer.passed_at + RESERVE_AFTER) if timer.passed_at else at_last


def _guaranteed(
    queues: Queues, allocation: Allocation, choice: TargetChoice, usage: Mapping[str, float]
) -> Iterator[Head]:
    """Yield the heads that their teams' guarantees cover, on the targets where they do.

    The team that has the smallest part of its guarantee comes next, so guarantees that cannot all
    be met now are met in proportion. A head larger than what is left of the guarantee is not
    covered, and heads of lower priority behind it are not either: they would pass it.
    """
    besides = {team: Counter[str]() for team in queues}
    covered = {
        team: _covered(queue, besides[team], allocation, choice)
        for team, queue in queues.items()
        if queue and allocation.settings(team).guaranteed_share
    }
    following: list[tuple[float, Turn, Head]] = []

    def add_next(team: str) -> None:
        met = _met(team, besides[team], allocation)
        head = next(covered[team], None)
        if head:
            heapq.heappush(following, (met, _turn(head, allocation, usage), head))

    for team in covered:
        add_next(team)
    while following:
        head = heapq.heappop(following)[2]
        yield head
        add_next(head.team)


def _covered(
    queue: Sequence[Head], besides: Counter[str], allocation: Allocation, choice: TargetChoice
) -> Iterator[Head]:
    """Yield the heads of one team that its guarantee covers, and add them to ``besides``."""
    least_priority: int | None = None
    for head in queue:
        if least_priority is not None and head.priority < least_priority:
            return
        for placed in choice.in_order(head):
            if allocation.within_guarantee(placed, besides):
                besides.update(placed.needs)
                yield placed
                break
        else:
            least_priority = head.priority if least_priority is None else least_priority


def _met(team: str, besides: Counter[str], allocation: Allocation) -> float:
    """Return which part of its guarantee a team uses, with some of its heads."""
    in_use = allocation.by_team.get(team, Counter[str]()) + besides
    guaranteed = allocation.settings(team).guaranteed_share
    limits = allocation.limits
    parts = (n / (guaranteed * limits[r]) for r, n in in_use.items() if limits.get(r))
    return max(parts, default=0.0)


def _promised(snapshot: Snapshot, queues: Queues) -> list[Head]:
    """Return the heads for which a job was stopped: its capacity is theirs out of turn."""
    if not snapshot.promised:
        return []
    return [
        head.on(snapshot.freed_on.get(head.key, HOME))
        for queue in queues.values()
        for head in queue
        if head.key in snapshot.promised
    ]


def _in_turn(guaranteed: Sequence[Head], waits: Sequence[Wait]) -> Iterator[Head]:
    """Yield waiting heads: guaranteed ones in their order, then the others queue by queue.

    They are not placed: jobs may be stopped for one on any of its targets.
    """
    left = {wait.head.key: wait.head for wait in waits}
    yield from [left.pop(head.key) for head in guaranteed if head.key in left]
    yield from left.values()


def _next_timers(
    queues: Queues,
    now: datetime,
    timers: Mapping[Key, ReservationTimer],
    started: Collection[Key],
    passed: Collection[Key],
) -> dict[Key, ReservationTimer]:
    """Return the timers for the next snapshot."""
    following = dict(timers)
    for queue in queues.values():
        first = next((head for head in queue if head.key not in started), None)
        if first:
            following.setdefault(first.key, ReservationTimer(since=now))
    return {
        key: replace(timer, passed_at=timer.passed_at or now) if key in passed else timer
        for key, timer in following.items()
    }


def _with_promises(
    timers: Mapping[Key, ReservationTimer],
    reserved: Mapping[Key, str],
    expected: Mapping[Key, datetime],
    now: datetime,
) -> dict[Key, ReservationTimer]:
    """Return the timers with the promises of reservations, and without those of ended ones.

    Args:
        timers: of the requests that are or were first in their queues.
        reserved: the requests that have a reservation, and its target.
        expected: when reservations are expected to be met, as far as that is known.
        now: the time of the plan.
    """
    return {
        key: replace(
            timer,
            reserved_at=(timer.reserved_at or now) if key in reserved else None,
            promised_at=(timer.promised_at or expected.get(key)) if key in reserved else None,
            target=reserved.get(key, HOME),
        )
        for key, timer in timers.items()
    }
