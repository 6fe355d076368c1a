"""EASY backfill: reserved capacity is lent to requests that end before it is needed. Pure.

The rule is Lifka's (The ANL/IBM SP Scheduling System, JSSPP 1995): a request may pass a reservation
if it ends before the reservation can be met, or if it uses what the reserved request leaves over
by then. The expected run times of running jobs and of reserved requests say when that is. Capacity
is only lent by a reservation that can be met, and only until the time at which it was first
expected to be met, or at which the jobs will have ended that ran before the reservation was made:
after that, its request waits for running jobs only. So jobs that borrow never extend that time.
"""

from __future__ import annotations

import copy
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from hpo_dispatcher.contract.entry import Key
from hpo_dispatcher.scheduling.allocation import Allocation
from hpo_dispatcher.scheduling.reservations import Reservation
from hpo_dispatcher.scheduling.snapshot import Amounts, Head, ReservationTimer, RunningJob

_FOREVER = float("inf")
Bounded = str | tuple[str, str]  # a resource; or a team and a resource that it may use so much of


@dataclass
class _Window:
    """The time until a reservation can be met, and what is left over then."""

    seconds: float  # from now; reserved capacity is lent for so long
    spare: dict[Bounded, int]  # may be lent for longer


class Backfill:
    """What the reservations of a plan lend.

    Args:
        allocation: with the reservations, before the first start.
        running_jobs: whose expected ends say when reservations can be met.
        now: the time of the plan.
        timers: since when requests have had reservations, and when these were first expected to be
            met.
    """

    def __init__(
        self,
        allocation: Allocation,
        running_jobs: Iterable[RunningJob],
        now: datetime,
        timers: Mapping[Key, ReservationTimer],
    ) -> None:
        self._allocation = allocation
        self._now = now
        self._running_jobs = tuple(running_jobs)
        self._windows: dict[Key, _Window] = {}
        profile = _CapacityOverTime(allocation, self._running_jobs, now)
        for reservation in allocation.reservations:
            timer = timers.get(reservation.head.key)
            window = self._window(reservation, profile, timer)
            if window and timer and timer.promised_at:
                kept = (timer.promised_at - now).total_seconds()
                window.seconds = max(0.0, min(window.seconds, kept))
            if window:
                self._windows[reservation.head.key] = window

    def _window(
        self, reservation: Reservation, profile: _CapacityOverTime, timer: ReservationTimer | None
    ) -> _Window | None:
        head = reservation.head
        met = profile.earliest(head)
        if met is not None:
            borrowers = self._started_since(timer.reserved_at if timer else None)
            lent = profile.without(borrowers).earliest(head) if borrowers else met
            profile.take(head, met)
            return _Window(seconds=met if lent is None else lent, spare=profile.least_free(met))
        # It follows earlier ones of unknown length, or running jobs whose ends are unknown.
        earlier = [
            self._windows[each.head.key].seconds
            for each in self._allocation.reservations
            if each.head.key in self._windows and not each.amounts.keys().isdisjoint(head.needs)
        ]
        return _Window(seconds=max(earlier), spare={}) if earlier else None

    def _started_since(self, reserved_at: datetime | None) -> list[RunningJob]:
        """Return the jobs that have started since a reservation was made."""
        if reserved_at is None:
            return []
        return [
            job for job in self._running_jobs if job.started_at and job.started_at >= reserved_at
        ]

    def expected(self) -> dict[Key, datetime]:
        """Return when each reservation is expected to be met, as far as that is known."""
        return {
            key: self._now + timedelta(seconds=window.seconds)
            for key, window in self._windows.items()
        }

    def lends_for(self, head: Head) -> float:
        """Return for how many seconds a head may use what it takes from reservations."""
        longest = _FOREVER
        within_ceiling = self._allocation.within_ceiling(head)
        for reservation in self._allocation.reservations:
            if reservation.head.key == head.key:
                break
            of_team = not within_ceiling and reservation.head.team == head.team
            if not of_team and reservation.amounts.keys().isdisjoint(head.needs):
                continue
            window = self._windows.get(reservation.head.key)
            if window is None:
                return 0.0
            if not self._left_over(head, reservation, window, of_team):
                longest = min(longest, window.seconds)
        return longest

    def _left_over(
        self, head: Head, reservation: Reservation, window: _Window, of_team: bool
    ) -> bool:
        """Return whether a reservation leaves over what a head takes, however long it runs."""
        taken: list[Bounded] = [r for r in head.needs if r in reservation.amounts]
        if of_team:
            taken += [(head.team, r) for r in head.needs if r in reservation.of_team]
        needs = _counted(head.team, head.needs)
        limits = self._allocation.limits
        return all(
            needs[each] <= window.spare.get(each, 0)
            for each in taken
            if (each if isinstance(each, str) else each[1]) in limits
        )

    def enter(self, head: Head) -> None:
        """Enter the start of a head: what it uses beyond a window is no longer spare then."""
        self._windows.pop(head.key, None)
        seconds = _FOREVER if head.expected_seconds is None else head.expected_seconds
        needs = _counted(head.team, head.needs)
        for window in self._windows.values():
            if seconds > window.seconds:
                for each in window.spare.keys() & needs.keys():
                    window.spare[each] -= needs[each]


class _CapacityOverTime:
    """How much of each limited resource is expected to be free from which time on.

    Also how much of it each team with a reservation may still use below its ceiling.
    """

    def __init__(
        self, allocation: Allocation, running_jobs: Iterable[RunningJob], now: datetime
    ) -> None:
        free: dict[Bounded, int] = {
            r: n - allocation.in_use[r] for r, n in allocation.limits.items()
        }
        for team in {each.head.team for each in allocation.reservations}:
            in_use = allocation.by_team.get(team, Counter[str]())
            for r in allocation.limits:
                free[team, r] = allocation.at_most(team, r) - in_use[r]
        self._now = now
        self._times = [0.0]  # seconds from now, sorted
        self._free = [free]
        for job in running_jobs:
            if job.expected_end:
                end = self._index(self._seconds_left(job.expected_end))
                self._change(_counted(job.team, job.needs), 1, end, len(self._times))

    def without(self, jobs: Iterable[RunningJob]) -> _CapacityOverTime:
        """Return the capacity as if jobs had ended already."""
        changed = copy.copy(self)
        changed._times, changed._free = [*self._times], [dict(free) for free in self._free]
        for job in jobs:
            end = len(changed._times)
            if job.expected_end:
                end = changed._index(self._seconds_left(job.expected_end))
            changed._change(_counted(job.team, job.needs), 1, 0, end)
        return changed

    def _seconds_left(self, end: datetime) -> float:
        return max(0.0, (end - self._now).total_seconds())

    def earliest(self, head: Head) -> float | None:
        """Return from when on a head fits; None if that is not known."""
        needs, found = _counted(head.team, head.needs), None
        for at, free in zip(reversed(self._times), reversed(self._free), strict=True):
            if any(n > free[each] for each, n in needs.items() if each in free):
                break
            found = at
        return found

    def least_free(self, at: float) -> dict[Bounded, int]:
        """Return how much stays free from a time on."""
        later = self._free[bisect_right(self._times, at) - 1 :]
        return {each: min(free[each] for free in later) for each in later[0]}

    def take(self, head: Head, at: float) -> None:
        """Start a head at a time; one of unknown run time does not end."""
        seconds = head.expected_seconds
        first = self._index(at)
        last = len(self._times) if seconds is None else self._index(at + seconds)
        self._change(_counted(head.team, head.needs), -1, first, last)

    def _index(self, at: float) -> int:
        """Return the index of a time, which becomes a step of the profile."""
        index = bisect_right(self._times, at) - 1
        if self._times[index] != at:
            insort(self._times, at)
            index += 1
            self._free.insert(index, dict(self._free[index - 1]))
        return index

    def _change(self, needs: Mapping[Bounded, int], sign: int, first: int, last: int) -> None:
        for free in self._free[first:last]:
            for each, amount in needs.items():
                if each in free:
                    free[each] += sign * amount


def _counted(team: str | None, needs: Amounts) -> dict[Bounded, int]:
    """Return needs, each also as what it takes from what the team may use."""
    counted: dict[Bounded, int] = dict(needs.items())
    if team:
        counted |= {(team, r): n for r, n in needs.items()}
    return counted
