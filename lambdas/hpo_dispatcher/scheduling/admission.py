"""The admission of one head after the other, by turn, until nothing more fits. Pure.

While a plan is made, free capacity only shrinks. So a head that does not fit is not looked at
again, nor are the heads of its shape: the work follows the number of shapes and of starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property

from hpo_dispatcher.contract.entry import Key
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.contract.targets.resources import HOME, without_target
from hpo_dispatcher.scheduling.allocation import Allocation
from hpo_dispatcher.scheduling.backfill import Backfill
from hpo_dispatcher.scheduling.snapshot import SLOTS, Capacity, Head, RunningJob, Shape

Turn = tuple[bool, float, datetime, str]


class Admission:
    """The starts of one plan as they are decided.

    Args:
        queues: the heads of each team's queue, without those that can never fit.
        allocation: with the reservations; starts are entered.
        in_order: returns the placements of a head on targets, the best first.
        turn_of: orders heads of different teams.
        backfill: returns what the reservations lend; called once, if that matters.
    """

    def __init__(
        self,
        queues: Mapping[str, Sequence[Head]],
        allocation: Allocation,
        turn_of: Callable[[Head], Turn],
        backfill: Callable[[], Backfill],
        in_order: Callable[[Head], Sequence[Head]],
    ) -> None:
        self._allocation = allocation
        self._turn_of = turn_of
        self._make_backfill = backfill
        self._queues = {
            team: _Scan(queue, allocation, self._lent_for, in_order)
            for team, queue in queues.items()
        }
        self._nominees: dict[str, Head] = {}
        self._turns: dict[str, Turn] = {}  # of the nominees
        for team in self._queues:
            self._nominate(team)
        # First in their queues, but did not fit to begin with: others may pass them.
        nominated = {head.key for head in self._nominees.values()}
        self._stuck = {
            team: queue[0]
            for team, queue in queues.items()
            if queue and queue[0].key not in nominated
        }
        self.passed: set[Key] = set()

    @cached_property
    def backfill(self) -> Backfill:
        """What the reservations lend, as it was before the first start or later."""
        return self._make_backfill()

    def run(self) -> list[Head]:
        """Admit heads and return them in order."""
        if self._allocation.reservations:
            _ = self.backfill  # made before the first start
        starts: list[Head] = []
        while self._turns:
            chosen = self._nominees[min(self._turns, key=self._turns.__getitem__)]
            self._note_passed(chosen)
            self._allocation.admit(chosen)
            if self._allocation.reservations:
                self.backfill.enter(chosen)
            starts.append(chosen)
            self._queues[chosen.team].next()
            for team, head in list(self._nominees.items()):
                # Free capacity only shrinks: a nominee that still fits stays its team's first.
                if head is chosen or not self._allocation.has_free(head):
                    self._nominate(team)
        return starts

    def _nominate(self, team: str) -> None:
        """Nominate the first head of a team that may start."""
        head = None if self._allocation.full() else self._queues[team].first()
        if head:
            self._nominees[team], self._turns[team] = head, self._turn_of(head)
        else:
            self._nominees.pop(team, None)
            self._turns.pop(team, None)

    def _lent_for(self, head: Head) -> float:
        """Return for how many seconds a head may start on reserved capacity; 0: not at all."""
        allocation = self._allocation
        if not allocation.reservations or not allocation.fits_if_lent(head):
            return 0.0
        return self.backfill.lends_for(head)

    def _note_passed(self, chosen: Head) -> None:
        """Note the stuck heads that a start passes: out of turn, on a resource they lack."""
        if not self._stuck:
            return
        allocation, turn = self._allocation, self._turn_of(chosen)
        for team, stuck in list(self._stuck.items()):
            own = team == chosen.team
            below = [each for each in stuck.placements if allocation.within_ceiling(each)]
            if not below:
                passed = own  # it does not wait for what other teams start
            else:
                passed = any(
                    allocation.lacks(each, r)
                    for each in below
                    for r in chosen.needs
                    if r in each.needs
                ) and (own or self._turn_of(stuck) < turn)
            if passed:
                self.passed.add(stuck.key)
                del self._stuck[team]


class _Scan:
    """The first head of a team's queue that may start, found by going through the queue once.

    Args:
        queue: the heads in order.
        allocation: as it is at each call.
        lent_for: returns for how many seconds a head may start on reserved capacity.
        in_order: returns the placements of a head on targets, the best first.
    """

    def __init__(
        self,
        queue: Sequence[Head],
        allocation: Allocation,
        lent_for: Callable[[Head], float],
        in_order: Callable[[Head], Sequence[Head]],
    ) -> None:
        self._queue = queue
        self._at = 0
        self._allocation = allocation
        self._lent_for = lent_for
        self._in_order = in_order
        self._misfits: dict[Shape, float] = {}  # -> for how long reserved capacity is lent to them

    def first(self) -> Head | None:
        """Return the first head that may start, on its target; None if there is none."""
        queue, misfits, reservations = self._queue, self._misfits, self._allocation.reservations
        while self._at < len(queue):
            head = queue[self._at]
            if misfits.get(head.shape) != 0.0 or (reservations and head in reservations):
                placed = self._placed(head)
                if placed:
                    return placed
            self._at += 1
        return None

    def _placed(self, head: Head) -> Head | None:
        """Return a head on the best target on which it may start; None if there is none."""
        if len(head.targets) == 1:
            return head if self._may_start(head) else None
        for placed in self._in_order(head):
            if self._may_start(placed):
                return placed
        if all(self._misfits.get(each.shape) == 0.0 for each in head.placements):
            self._misfits[head.shape] = 0.0
        return None

    def _may_start(self, head: Head) -> bool:
        """Return whether a placed head fits, or may use capacity that is lent for long enough."""
        misfits, reservations = self._misfits, self._allocation.reservations
        if reservations and head in reservations:
            return self._allocation.fits(head) or _ends_within(head, self._lent_for(head))
        lent = misfits.get(head.shape)
        if lent is None:
            if self._allocation.fits(head):
                return True
            lent = misfits[head.shape] = self._lent_for(head)
        if lent and _ends_within(head, lent):
            lent = misfits[head.shape] = self._lent_for(head)
            return _ends_within(head, lent)
        return False

    def next(self) -> None:
        """Go on behind the head that ``first`` has returned."""
        self._at += 1


class Visibility:
    """How far the queues have to be read: whether requests behind the heads could start.

    Args:
        capacity: the limits of the account.
        teams: the settings of the teams.
        running_jobs: all of them.
    """

    def __init__(
        self,
        capacity: Capacity,
        teams: Mapping[str, TeamSettings],
        running_jobs: Iterable[RunningJob],
    ) -> None:
        self._allocation = allocation_of(capacity, teams, running_jobs)

    def never_fits(self, head: Head) -> bool:
        """Return whether a request needs more than its team may ever use, on every target."""
        return all(self._allocation.impossible(each) for each in head.placements)

    def full(self, team: str) -> bool:
        """Return whether no slot is left for a team."""
        return self._allocation.no_slots(team)

    def may_hide(self, team: str, heads: Sequence[Head]) -> bool:
        """Return whether requests behind these heads could start if all of these that fit start.

        That is so as long as slots are left for the team, whatever instances are.
        """
        left = self._allocation.left_for(team)
        slots = [resource for resource in left if without_target(resource) == SLOTS]
        for head in heads:
            if all(left[each] <= 0 for each in slots):
                break
            for placed in head.placements:
                if all(n <= left[r] for r, n in placed.needs.items() if r in left):
                    for r in placed.needs.keys() & left.keys():
                        left[r] -= placed.needs[r]
                    break
        return any(left[each] > 0 for each in slots)


def allocation_of(
    capacity: Capacity, teams: Mapping[str, TeamSettings], running_jobs: Iterable[RunningJob]
) -> Allocation:
    """Return the use of the resources of all targets."""
    reserved_to = {name: each.teams for name, each in capacity.targets.items() if each.teams}
    if capacity.teams:
        reserved_to[HOME] = capacity.teams
    return Allocation(capacity.limits, teams, running_jobs, reserved_to)


def _ends_within(head: Head, seconds: float) -> bool:
    """Return whether a head may start on capacity that is lent for so long."""
    if seconds == float("inf"):
        return True
    return head.expected_seconds is not None and head.expected_seconds <= seconds and seconds > 0
