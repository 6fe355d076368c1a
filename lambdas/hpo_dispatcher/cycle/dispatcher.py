"""One dispatch cycle: intake, observe, plan, act, reconcile.

A cycle may be killed at any line and run twice at once. What keeps it right:

- a message is deleted after its ledger entry exists (``intake``);
- an entry is InProgress, under a lease that is still held, before its tuning job is created,
  so capacity that may have been taken is always counted;
- the tuning job's name follows from team and request id, so creating it again is harmless;
- an entry says for whom it makes room, under the lease, before its tuning job is stopped, so
  whoever sees the end knows that the request goes on, and counts what had ended once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hpo_dispatcher.contract.entry import Entry
from hpo_dispatcher.contract.errors import HpoqError
from hpo_dispatcher.cycle.act import Actor, Deeds
from hpo_dispatcher.cycle.decide import Decider
from hpo_dispatcher.cycle.intake import Intake, Move, intake
from hpo_dispatcher.cycle.observe import observe
from hpo_dispatcher.cycle.outcome import Decision, Observation, Summary, Watch
from hpo_dispatcher.cycle.pacing import Deadline, TokenBucket
from hpo_dispatcher.cycle.publish import publish, recall
from hpo_dispatcher.cycle.reconcile import Reconciler
from hpo_dispatcher.ports import (
    Documents,
    Events,
    Leases,
    LedgerMissing,
    Quotas,
    RequestQueues,
    Requests,
    TuningService,
)
from hpo_dispatcher.tuning_job.builder import JobBuilder

# Intake may use this share of a cycle's time; the rest belongs to starting jobs.
INTAKE_SHARE = 0.6
# The lease outlives the function by this much, so that no successor starts too early.
LEASE_MARGIN = timedelta(seconds=30)


class CycleIncomplete(HpoqError):
    """Part of a cycle could not be done; what was done is kept and the next one goes on."""


def _nobody(summary: Summary, seen: Observation, decided: Decision) -> None:
    """Watches nothing."""


@dataclass(frozen=True, kw_only=True)
class Dispatcher:
    """The cycle over its ports."""

    builder: JobBuilder
    queues: RequestQueues
    leases: Leases
    documents: Documents
    requests: Requests
    tuning: TuningService
    events: Events
    quotas: Quotas
    clock: Callable[[], datetime]
    bucket: TokenBucket
    owner: str = field(default_factory=lambda: uuid.uuid4().hex)
    watch: Watch = _nobody  # told of every cycle that came to its end

    def cycle(self, deadline: Deadline, asked_at: datetime | None = None) -> Summary:
        """Run one cycle, and another one for whoever asked meanwhile.

        Args:
            deadline: of this invocation.
            asked_at: when the event that asks for this cycle came about; None for the
                heartbeat. An event that an earlier cycle has already seen is skipped.

        Raises:
            LedgerMissing: the ledger is gone, and nothing was started since.
            Unavailable: a service did not answer; the next cycle goes on from there.
            CycleIncomplete: some team or job could not be served, the others were.
        """
        now = self.clock()
        until = now + timedelta(seconds=deadline.remaining()) + LEASE_MARGIN
        lease = self.leases.acquire(self.owner, now, until)
        if lease is None:
            self.leases.ask_for_cycle(now)
            return Summary(skipped="another dispatcher is at work; it will look again")
        if asked_at and lease.last_cycle and asked_at < lease.last_cycle:
            self.leases.release(self.owner, lease.last_cycle)
            return Summary(skipped="a later cycle has already seen this event")
        return self._cycles(deadline)

    def _cycles(self, deadline: Deadline) -> Summary:
        while True:
            began = self.clock()
            try:
                summary = self._one_cycle(deadline)
            except LedgerMissing:  # and the lease with it
                raise
            except BaseException:
                self.leases.release(self.owner, None)
                raise
            complete = not summary.problems
            again = self.leases.release(self.owner, began if complete else None)
            if summary.problems:
                raise CycleIncomplete("; ".join(summary.problems))
            if not again or deadline.passed(INTAKE_SHARE) or not self._reacquired(deadline):
                return summary

    def _reacquired(self, deadline: Deadline) -> bool:
        now = self.clock()
        until = now + timedelta(seconds=deadline.remaining()) + LEASE_MARGIN
        return self.leases.acquire(self.owner, now, until) is not None

    def _one_cycle(self, deadline: Deadline) -> Summary:
        began = self.clock()
        taken = intake(
            self.queues,
            self.requests,
            self.documents,
            self.builder,
            clock=self.clock,
            out_of_time=lambda: deadline.passed(INTAKE_SHARE),
        )
        self.events.publish(taken.changes)
        reconciler = Reconciler(builder=self.builder, requests=self.requests, clock=self.clock)
        freed = self._unblock(reconciler)
        seen = observe(self.requests, self.tuning)
        came = [entry for entry in taken.accepted if not entry.blocked]
        in_line = [entry for entry in came if entry.key not in taken.on_hold]
        remembered = recall(self.documents)
        decided = self._decider().decide(seen, [*in_line, *freed], remembered.reservation_timers)
        deeds = self._actor().act(seen, decided, deadline)
        self.events.publish(deeds.changes)
        finished, went_on = reconciler.reconcile(seen)
        self.events.publish(finished)
        if finished and self._unblock(reconciler):
            self.leases.ask_for_cycle(self.clock())  # what it freed may start at once
        moves = [*taken.moves, *map(_joined, freed)]
        publish(
            self.documents,
            self.clock(),
            remembered,
            seen=seen,
            decided=decided,
            done=deeds,
            moves=moves,
            resumed=went_on,
        )
        done = self._summary(taken, seen, decided, deeds, len(finished))
        summary = replace(done, seconds=(self.clock() - began).total_seconds())
        self.watch(summary, seen, decided)
        return summary

    def _unblock(self, reconciler: Reconciler) -> list[Entry]:
        changes, freed = reconciler.unblock()
        self.events.publish(changes)
        return freed

    def _decider(self) -> Decider:
        return Decider(
            builder=self.builder,
            requests=self.requests,
            documents=self.documents,
            tuning=self.tuning,
            quotas=self.quotas,
            clock=self.clock,
        )

    def _actor(self) -> Actor:
        return Actor(
            builder=self.builder,
            queues=self.queues,
            requests=self.requests,
            tuning=self.tuning,
            clock=self.clock,
            bucket=self.bucket,
            owner=self.owner,
        )

    def _summary(
        self, taken: Intake, seen: Observation, decided: Decision, deeds: Deeds, finished: int
    ) -> Summary:
        return Summary(
            received=taken.counts["received"],
            accepted=taken.counts["new"],
            repeated=taken.counts["repeated"],
            rejected=taken.counts["rejected"] + len(deeds.rejected),
            actions=taken.counts["actions"],
            in_progress=len(seen.listed) + len(deeds.started),
            limit=self.builder.deployment.limits.tuning_jobs,
            started=len(deeds.started),
            requeued=len(deeds.requeued),
            stopped=len(deeds.stopped),
            waiting=len(decided.plan.waits),
            finished=finished,
            problems=(*taken.problems, *deeds.problems, *self.requests.unreadable()),
        )


def _joined(entry: Entry) -> Move:
    return Move(team=entry.team, sort_key=entry.queue_sort_key, joined=True)
