"""A burst of events does not multiply cycles and API calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.cycle.pacing import Deadline
from hpo_dispatcher.handler import asked_at
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload

EVENTS = 200
SECONDS = 10.0
CYCLE = timedelta(seconds=3)  # what one takes; invocations that come meanwhile find the lease taken


@dataclass
class Burst:
    """A burst of job ends, each of which invokes the function while others are still running."""

    account: Simulation
    ends: list[datetime]
    full: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    calls_of_skipped: int = 0
    _invoked: int = 0

    def heads(self, team: str, count: int) -> Sequence[Entry]:
        """Let time pass in the middle of a cycle and invoke the function for each end."""
        self._let_come(self.account.clock.now + CYCLE)
        return self.account.requests.heads(team, count)

    def run(self) -> None:
        while self.ends:
            self._let_come(self.ends[0])

    def _let_come(self, until: datetime) -> None:
        clock, sagemaker = self.account.clock, self.account.sagemaker
        while self.ends and self.ends[0] <= until:
            clock.now = max(clock.now, self.ends.pop(0))
            sagemaker.end(min(sagemaker.running), Status.COMPLETED)
            self._invoke(clock.now)
        clock.now = max(clock.now, until)

    def _invoke(self, at: datetime) -> None:
        self._invoked += 1
        event = {"source": "aws.sagemaker", "time": at.replace(microsecond=0).isoformat()}
        requests: Any = _Requests(self)
        dispatcher = replace(
            self.account.dispatcher, requests=requests, owner=f"invocation-{self._invoked}"
        )
        before = self._calls()
        deadline = Deadline(remaining=lambda: 900.0, total=900.0)
        summary = dispatcher.run(deadline, asked_at(event))
        if summary.skipped:
            self.skipped[summary.skipped] += 1
            self.calls_of_skipped = max(self.calls_of_skipped, self._calls() - before)

    def _calls(self) -> int:
        account = self.account
        ports = (
            account.queues, account.leases, account.documents, account.requests,
            account.sagemaker, account.events,
        )  # fmt: skip
        return sum(port.calls.total() for port in ports)


class _Requests:
    def __init__(self, burst: Burst) -> None:
        self._burst = burst

    def __getattr__(self, name: str) -> Any:
        if name == "running":  # each full cycle reads it once
            self._burst.full += 1
        return getattr(self._burst if name == "heads" else self._burst.account.requests, name)


def test_two_hundred_ends_in_ten_seconds_cause_at_most_six_cycles() -> None:
    arrivals = [
        Arrival(at=0, team="fraud", request_id=f"r{n}", seconds=10_000) for n in range(EVENTS)
    ]
    account = Simulation(Workload(name="burst", arrivals=arrivals, teams={"fraud": {}}))
    for arrival in arrivals:
        account.send(arrival)
    # Slots for all: more ends at once than any account has.
    account.sagemaker.limit = EVENTS
    limits = account.dispatcher.limits.model_copy(update={"tuning_jobs": EVENTS})
    account.dispatcher = replace(account.dispatcher, limits=limits)
    account.dispatcher.run(Deadline(remaining=lambda: 900.0, total=900.0))
    assert len(account.sagemaker.running) == EVENTS
    lists = account.sagemaker.calls["sagemaker:List"]
    began = account.clock.now

    ends = [began + timedelta(seconds=SECONDS * n / EVENTS) for n in range(EVENTS)]
    burst = Burst(account, ends)
    burst.run()

    assert burst.full <= 6
    assert sum(burst.skipped.values()) >= EVENTS - burst.full
    assert burst.calls_of_skipped <= 2
    assert account.sagemaker.calls["sagemaker:List"] - lists <= 6 * 4
    assert account.requests.unended() == 0, "the last end was seen, too"
