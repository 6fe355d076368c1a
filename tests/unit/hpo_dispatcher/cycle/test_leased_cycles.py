"""How long a lease is held, which events are skipped, and when a cycle is repeated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from hpo_dispatcher.cycle.lease import LEASE_MARGIN, REPEAT_SHARE, CycleIncomplete, LeasedRun
from hpo_dispatcher.cycle.outcome import Summary
from hpo_dispatcher.cycle.pacing import Deadline
from hpo_dispatcher.ports import LedgerMissing, Unavailable
from hpoq.simulation.in_memory_ledger import MemoryLeases
from tests.support.scheduling_scene import NOON

SECOND = timedelta(seconds=1)
TOTAL = 100.0  # seconds of an invocation
Work = Callable[[], Summary]


class World:
    """An invocation whose cycles do what a test says, at a time that moves by a second each."""

    def __init__(self, *cycles: Work) -> None:
        self.leases, self.now, self.ran = MemoryLeases(), NOON, 0
        self.cycles = list(cycles)
        self.seconds_left = TOTAL

    def clock(self) -> datetime:
        self.now += SECOND
        return self.now

    def run(self, asked_at: datetime | None = None) -> Summary:
        run = LeasedRun(leases=self.leases, owner="new", clock=self.clock, run_cycle=self._cycle)
        return run.run(Deadline(remaining=lambda: self.seconds_left, total=TOTAL), asked_at)

    def is_asked(self) -> Summary:
        self.leases.ask_for_cycle(self.clock())
        return Summary()

    def _cycle(self, _: Deadline) -> Summary:
        self.ran += 1
        return self.cycles.pop(0)() if self.cycles else Summary()


def test_the_lease_outlives_the_invocation_by_a_margin() -> None:
    world = World()
    until = NOON + SECOND + timedelta(seconds=TOTAL) + LEASE_MARGIN

    def another_tries() -> Summary:
        assert world.leases.acquire("another", until, until) is None
        assert world.leases.acquire("another", until + SECOND, until + SECOND)
        return Summary()

    world.cycles = [another_tries]
    world.run()
    assert world.ran == 1


@pytest.mark.parametrize(
    ("seconds_after_the_cycle_began", "runs"), [(-1, False), (0, True), (1, True), (None, True)]
)
def test_an_event_is_skipped_if_a_cycle_began_after_it(
    seconds_after_the_cycle_began: int | None, runs: bool
) -> None:
    world = World()
    world.run()
    began = NOON + 2 * SECOND
    event = None
    if seconds_after_the_cycle_began is not None:
        event = began + seconds_after_the_cycle_began * SECOND
    assert bool(world.run(event).skipped) is not runs
    assert (world.ran, world.leases.owner) == (1 + runs, None)
    if not runs:
        assert world.run(event).skipped, "as it is after another look at the lease"


def test_a_cycle_that_was_cut_short_has_seen_no_event() -> None:
    world = World(lambda: Summary(problems=("one", "two")))
    event = NOON
    with pytest.raises(CycleIncomplete, match=r"^one; two$"):
        world.run(event)
    assert world.leases.owner is None
    assert not world.run(event).skipped
    assert world.ran == 2


@pytest.mark.parametrize("error", [Unavailable("down"), KeyboardInterrupt()])
def test_a_cycle_that_fails_gives_the_lease_back_and_has_seen_no_event(
    error: BaseException,
) -> None:
    def fails() -> Summary:
        raise error

    world = World(fails)
    with pytest.raises(type(error)):
        world.run(NOON)
    assert world.leases.owner is None
    assert not world.run(NOON).skipped


def test_without_the_ledger_there_is_no_lease_to_give_back() -> None:
    def fails() -> Summary:
        raise LedgerMissing("the table is gone")

    world = World(fails)
    with pytest.raises(LedgerMissing):
        world.run()
    assert world.leases.owner == "new"


@pytest.mark.parametrize(("seconds_more", "cycles"), [(0, 2), (-1, 1)])
def test_a_cycle_that_was_asked_for_meanwhile_runs_while_there_is_time(
    seconds_more: int, cycles: int
) -> None:
    world = World()

    def is_asked_late() -> Summary:
        world.seconds_left = TOTAL * (1 - REPEAT_SHARE) + seconds_more
        return world.is_asked()

    world.cycles = [is_asked_late]
    world.run()
    assert (world.ran, world.leases.owner) == (cycles, None)


def test_cycles_are_repeated_as_often_as_they_are_asked_for() -> None:
    world = World()
    world.cycles = [world.is_asked, world.is_asked, Summary]
    assert world.run() == Summary()
    assert world.ran == 3


def test_a_cycle_that_another_dispatcher_runs_meanwhile_is_left_to_it() -> None:
    class AcquiredByAnother(MemoryLeases):
        def release(self, owner: str, last_cycle: datetime | None) -> bool:
            asked_again = super().release(owner, last_cycle)
            self.acquire("another", NOON, NOON + timedelta(hours=1))
            return asked_again

    world = World()
    world.leases = AcquiredByAnother()
    world.cycles = [world.is_asked]
    assert not world.run().skipped
    assert (world.ran, world.leases.owner) == (1, "another")
