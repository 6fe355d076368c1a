"""Runs dispatch cycles under the lease in the ledger, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from hpo_dispatcher.contract.errors import HpoqError
from hpo_dispatcher.cycle.outcome import Summary
from hpo_dispatcher.cycle.pacing import Deadline
from hpo_dispatcher.ports import Lease, Leases, LedgerMissing

# The lease outlives the function by this much, so that no other dispatcher starts too early.
LEASE_MARGIN = timedelta(seconds=30)
# Another cycle runs, if one was asked for, within this share of the time.
REPEAT_SHARE = 0.6


class CycleIncomplete(HpoqError):
    """A part of the cycle failed. What was done is kept, and the next cycle continues."""


@dataclass(frozen=True, kw_only=True)
class LeasedRun:
    """The cycles of one invocation."""

    leases: Leases
    owner: str
    clock: Callable[[], datetime]
    run_cycle: Callable[[Deadline], Summary]

    def run(self, deadline: Deadline, asked_at: datetime | None) -> Summary:
        """Run a cycle, unless another dispatcher runs or the event was already seen."""
        now = self.clock()
        lease = self._acquire(now, deadline)
        if lease is None:
            is_held = self.leases.ask_for_cycle(now)
            # The other dispatcher may have released the lease before it was asked.
            lease = None if is_held else self._acquire(self.clock(), deadline)
        if lease is None:
            return Summary(skipped="another dispatcher is running, which will run another cycle")
        if asked_at and lease.last_cycle and asked_at < lease.last_cycle:
            self.leases.release(self.owner, lease.last_cycle)
            return Summary(skipped="a later cycle has already seen this event")
        return self._cycles(deadline)

    def _cycles(self, deadline: Deadline) -> Summary:
        """Run cycles until no other cycle was asked for meanwhile."""
        while True:
            began = self.clock()
            try:
                summary = self.run_cycle(deadline)
            except LedgerMissing:  # the lease is gone, too
                raise
            except BaseException:
                self.leases.release(self.owner, None)
                raise
            asked_again = self.leases.release(self.owner, None if summary.problems else began)
            if summary.problems:
                raise CycleIncomplete("; ".join(summary.problems))
            if not asked_again or deadline.passed(REPEAT_SHARE):
                return summary
            if self._acquire(self.clock(), deadline) is None:
                return summary

    def _acquire(self, now: datetime, deadline: Deadline) -> Lease | None:
        until = now + timedelta(seconds=deadline.remaining()) + LEASE_MARGIN
        return self.leases.acquire(self.owner, now, until)
