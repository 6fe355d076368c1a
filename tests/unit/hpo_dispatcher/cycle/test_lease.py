"""An event that arrives while another dispatcher runs is always seen by a cycle."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from hpo_dispatcher.cycle.lease import LeasedRun
from hpo_dispatcher.cycle.outcome import Summary
from hpo_dispatcher.cycle.pacing import Deadline
from hpo_dispatcher.ports import Lease
from hpoq.simulation.in_memory_ledger import MemoryLeases

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that moves by a second at each look."""

    def __init__(self) -> None:
        self._now = NOON

    def __call__(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


class Interrupted:
    """Leases that run something before a call."""

    def __init__(self, leases: MemoryLeases, call: str, nth: int, work: Callable[[], None]) -> None:
        self._leases, self._call, self._left, self._work = leases, call, nth, work

    def acquire(self, owner: str, now: datetime, until: datetime) -> Lease | None:
        self._reached("acquire")
        return self._leases.acquire(owner, now, until)

    def release(self, owner: str, last_cycle: datetime | None) -> bool:
        return self._leases.release(owner, last_cycle)

    def ask_for_cycle(self, now: datetime) -> bool:
        self._reached("ask_for_cycle")
        return self._leases.ask_for_cycle(now)

    def _reached(self, call: str) -> None:
        self._left -= call == self._call
        if self._left == 0:
            self._left = -1
            self._work()


@pytest.mark.parametrize(("call", "nth"), [("acquire", 1), ("ask_for_cycle", 1)])
def test_a_cycle_follows_an_event_whenever_the_running_cycle_ends(call: str, nth: int) -> None:
    leases, clock = MemoryLeases(), Clock()
    began = clock()
    assert leases.acquire("running", began, NOON + timedelta(hours=1))
    cycles: list[datetime] = []

    def other_ends() -> None:
        if leases.release("running", began):
            cycles.append(clock())  # it runs another cycle, as it was asked to

    def run_cycle(_: Deadline) -> Summary:
        cycles.append(clock())
        return Summary()

    event = clock()
    run = LeasedRun(
        leases=Interrupted(leases, call, nth, other_ends),
        owner="new",
        clock=clock,
        run_cycle=run_cycle,
    )
    run.run(Deadline(remaining=lambda: 60.0, total=60.0), event)

    assert [cycle for cycle in cycles if cycle > event]


def test_a_dispatcher_that_does_not_get_the_lease_runs_no_cycle() -> None:
    leases, clock = MemoryLeases(), Clock()
    began = clock()
    assert leases.acquire("running", began, NOON + timedelta(hours=1))

    def run_cycle(_: Deadline) -> Summary:
        raise AssertionError("two cycles at once")

    run = LeasedRun(leases=leases, owner="new", clock=clock, run_cycle=run_cycle)
    summary = run.run(Deadline(remaining=lambda: 60.0, total=60.0), clock())

    assert summary.skipped
    assert leases.release("running", began), "the running dispatcher is asked for another cycle"


class Asked(MemoryLeases):
    """Leases whose owner releases them as soon as it is asked for a cycle."""

    def __init__(self, began: datetime) -> None:
        super().__init__()
        self.began, self.asked_again = began, False

    def ask_for_cycle(self, now: datetime) -> bool:
        is_held = super().ask_for_cycle(now)
        self.asked_again = self.release("running", self.began)
        return is_held


def test_a_dispatcher_that_was_asked_runs_the_cycle_and_no_other_does() -> None:
    clock = Clock()
    leases = Asked(clock())
    assert leases.acquire("running", clock(), NOON + timedelta(hours=1))
    cycles: list[Deadline] = []

    def run_cycle(deadline: Deadline) -> Summary:
        cycles.append(deadline)
        return Summary()

    run = LeasedRun(leases=leases, owner="new", clock=clock, run_cycle=run_cycle)
    assert run.run(Deadline(remaining=lambda: 60.0, total=60.0), clock()).skipped
    assert (leases.asked_again, cycles) == (True, [])
