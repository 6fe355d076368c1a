"""The dispatch cycle.

A cycle may be killed at any point, and two cycles may overlap. These rules keep it correct:

- A message is deleted after its ledger entry exists (``intake``).
- An entry is InProgress, under a valid lease, before its tuning job is created, so capacity that
  may be in use is always counted (``act``).
- The name of a tuning job follows from team and request id, so creating it again is harmless.
- An entry says who preempts it, under the lease, before its tuning job is stopped, so whichever
  cycle sees the end resumes the request, and counts what had ended once (``stop``, ``endings``).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from hpo_dispatcher.contract.documents.capacity import CapacityDocument
from hpo_dispatcher.contract.documents.events import StateChange
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.contract.settings import (
    Limits,
    TargetSettings,
    TeamSettings,
    WorkflowSettings,
)
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.cycle.act import Actor, Starter
from hpo_dispatcher.cycle.decision.decide import Decider, PlanMemory
from hpo_dispatcher.cycle.intake.drain import Intake
from hpo_dispatcher.cycle.lease import LeasedRun
from hpo_dispatcher.cycle.observe import observe
from hpo_dispatcher.cycle.outcome import (
    ActOutcome,
    AnswersOutcome,
    CycleOutcome,
    Decision,
    IntakeOutcome,
    Observation,
    ReconcileOutcome,
    Summary,
    Watch,
    queue_move,
)
from hpo_dispatcher.cycle.pacing import Deadline, TokenBucket
from hpo_dispatcher.cycle.publish import Remembered, publish, recall
from hpo_dispatcher.cycle.reconcile import Reconciler
from hpo_dispatcher.cycle.refusals import RefusedStarts
from hpo_dispatcher.cycle.stop import Stopper
from hpo_dispatcher.cycle.targets.arrivals import DataArrivals
from hpo_dispatcher.cycle.targets.services import Services, TargetServices
from hpo_dispatcher.cycle.workflows.answering import Answering
from hpo_dispatcher.ports import (
    Documents,
    Events,
    Leases,
    OwedAnswers,
    Quotas,
    RequestQueues,
    Requests,
    TuningService,
    Workflows,
)
from hpo_dispatcher.scheduling.forecast.outlooks import Forecast
from hpo_dispatcher.tuning_job.builder import JobBuilder

# Intake may use this share of a cycle's time; the rest belongs to starting jobs.
INTAKE_SHARE = 0.6
# After this share of a cycle's time, it does not expect starts any more.
FORECAST_SHARE = 0.8


def _unwatched(
    summary: Summary, seen: Observation, decided: Decision, queued: Mapping[str, int]
) -> None:
    """Report nothing."""


@dataclass(frozen=True, kw_only=True)
class Dispatcher:
    """The dispatcher of one deployment, over its ports.

    The class is long because each of the six steps of a cycle receives only what it uses.
    """

    teams: Mapping[str, TeamSettings]
    limits: Limits
    workflow_settings: WorkflowSettings
    builder: JobBuilder
    redactor: Redactor
    queues: RequestQueues
    leases: Leases
    documents: Documents
    requests: Requests
    answers: OwedAnswers
    tuning: TuningService
    events: Events
    workflows: Workflows
    quotas: Quotas
    clock: Callable[[], datetime]
    bucket: TokenBucket
    owner: str = field(default_factory=lambda: uuid.uuid4().hex)  # of the lease
    watch: Watch = _unwatched  # called after each completed cycle
    targets: Mapping[str, TargetServices] = field(default_factory=dict)  # besides home
    target_settings: Mapping[str, TargetSettings] = field(default_factory=dict)  # of all targets
    forecasts: bool = True  # False: no expected starts are compared with real ones

    def run(self, deadline: Deadline, asked_at: datetime | None = None) -> Summary:
        """Run one cycle, and another one if it is asked for meanwhile.

        Args:
            deadline: the deadline of this invocation.
            asked_at: the time of the event that asks for this cycle; None for the heartbeat. An
                event that an earlier cycle has already seen is skipped.

        Raises:
            LedgerMissing: the ledger's table is gone; nothing was started since.
            Unavailable: a service did not answer; the next cycle continues.
            CycleIncomplete: a team or a job could not be served; the others were.
        """
        run = LeasedRun(
            leases=self.leases, owner=self.owner, clock=self.clock, run_cycle=self.run_cycle
        )
        return run.run(deadline, asked_at)

    def run_cycle(self, deadline: Deadline) -> Summary:
        """Run one dispatch cycle."""
        began = self.clock()
        with self._changes_published() as changes:
            taken = self._intake(deadline, changes)  # 1. messages into the ledger
            remembered = recall(self.documents)
            seen = self._observe(remembered)  # 2. tuning jobs that use capacity
            decided = self._plan(seen, taken, remembered)  # 3. starts, waits and preemptions
            done = self._act(seen, decided, remembered, deadline, changes)  # 4. start, stop, reject
            finished = self._reconcile(seen, changes)  # 5. record what ended
        cycle = CycleOutcome(
            taken=taken,
            seen=seen,
            decided=decided,
            done=done,
            finished=finished,
            answered=self._answer(deadline),  # 6. workflows, capacity document and metrics
        )
        in_time = not deadline.passed(FORECAST_SHARE)
        return self._publish(cycle, remembered, began, self.forecasts and in_time)

    @contextmanager
    def _changes_published(self) -> Iterator[list[StateChange]]:
        """Publish state changes after the facts, also those before a step that fails."""
        changes: list[StateChange] = []
        try:
            yield changes
        finally:
            self.events.publish(changes)

    def _intake(self, deadline: Deadline, changes: list[StateChange]) -> IntakeOutcome:
        """Move messages into the ledger, and unblocked requests into their team's queue."""
        intake = Intake(
            queues=self.queues,
            requests=self.requests,
            documents=self.documents,
            answers=self.answers,
            workflow_settings=self.workflow_settings,
            builder=self.builder,
            redactor=self.redactor,
            teams=self.teams,
            clock=self.clock,
        )
        taken = intake.run(lambda: deadline.passed(INTAKE_SHARE))
        changes += taken.changes
        unblocked = self._unblock(changes)
        taken.unblocked.extend(unblocked.queued)
        taken.count("broken_templates", unblocked.broken_templates)
        return taken

    def _unblock(self, changes: list[StateChange]) -> ReconcileOutcome:
        outcome = self._reconciler().unblock()
        changes += outcome.changes
        return outcome

    def _observe(self, remembered: Remembered) -> Observation:
        """Return the tuning jobs that use capacity in the account."""
        return observe(self.requests, self._services, remembered.created, self.clock())

    @property
    def _services(self) -> Services:
        return {HOME: self.tuning, **{name: each.tuning for name, each in self.targets.items()}}

    def _plan(self, seen: Observation, taken: IntakeOutcome, remembered: Remembered) -> Decision:
        """Decide what starts, what waits and what is preempted."""
        decider = Decider(
            teams=self.teams,
            limits=self.limits,
            requests=self.requests,
            documents=self.documents,
            tuning=self.tuning,
            quotas=self.quotas,
            clock=self.clock,
            targets=self.targets,
            target_settings=self.target_settings,
        )
        memory = PlanMemory(
            reservation_timers=remembered.reservation_timers,
            backoff=remembered.backoff,
            run_times=remembered.run_times,
            usage=remembered.usage,
            usage_at=remembered.usage_at,
            read_up_to=remembered.read_up_to,
        )
        return decider.decide(seen, taken.queued(), memory)

    def _act(
        self,
        seen: Observation,
        decided: Decision,
        remembered: Remembered,
        deadline: Deadline,
        changes: list[StateChange],
    ) -> ActOutcome:
        """Execute the decision."""
        refusals = RefusedStarts(
            queues=self.queues,
            requests=self.requests,
            redactor=self.redactor,
            clock=self.clock,
            backoff=decided.backoff,
            owner=self.owner,
        )
        starter = Starter(
            requests=self.requests,
            services=self._services,
            builder=self.builder,
            buckets={HOME: self.bucket, **{n: each.bucket for n, each in self.targets.items()}},
            clock=self.clock,
            owner=self.owner,
            refusals=refusals,
            arrivals=DataArrivals(
                {name: each.replicas for name, each in self.targets.items() if each.replicas}
            ),
        )
        stopper = Stopper(
            requests=self.requests, services=self._services, clock=self.clock, owner=self.owner
        )
        done = ActOutcome(changes=changes, unannounced=set(remembered.unannounced))
        Actor(starter=starter, stopper=stopper).act(seen, decided, deadline, done)
        if done.requeued and decided.plan.waits:
            self.leases.ask_for_cycle(self.clock())  # others may start instead of these
        return done

    def _reconcile(self, seen: Observation, changes: list[StateChange]) -> ReconcileOutcome:
        """Record ended tuning jobs, and ask for a cycle if that unblocks requests."""
        finished = self._reconciler().reconcile(seen)
        changes += finished.changes
        unblocked = self._unblock(changes).queued if finished.changes else []
        if unblocked:
            self.leases.ask_for_cycle(self.clock())  # they may start at once
        return replace(finished, queued=[*finished.queued, *unblocked])

    def _reconciler(self) -> Reconciler:
        return Reconciler(
            requests=self.requests,
            documents=self.documents,
            teams=self.teams,
            builder=self.builder,
            redactor=self.redactor,
            clock=self.clock,
        )

    def _answer(self, deadline: Deadline) -> AnswersOutcome:
        """Answer the workflows that wait for requests.

        Answers may be owed from before the settings ceased to name any workflow.
        """
        answering = Answering(
            answers=self.answers,
            workflows=self.workflows,
            settings=self.workflow_settings,
            requests=self.requests,
            services=self._services,
            redactor=self.redactor,
            clock=self.clock,
        )
        return answering.run(deadline)

    def _publish(
        self, cycle: CycleOutcome, remembered: Remembered, began: datetime, forecasts: bool
    ) -> Summary:
        """Write the capacity document, and report the cycle to the log and to metrics."""
        backoff = cycle.backoff(self.clock())
        unblocked = [queue_move(entry, joined=True) for entry in cycle.taken.unblocked]
        publish(
            self.documents,
            self.clock(),
            remembered,
            seen=cycle.seen,
            decided=cycle.decided,
            done=cycle.done,
            moves=[*cycle.taken.moves, *unblocked],
            queued_later=cycle.finished.queued,
            backoff=backoff,
            arrived=cycle.taken.queued(),
            forecast=self._forecast if forecasts else None,
            queued_from=self.requests.queued_from,
        )
        summary = cycle.summary(
            limit=cycle.decided.capacity.all_tuning_jobs,
            unreadable=[*remembered.unreadable, *self.requests.unreadable()],
            account_faults=backoff.account_faults(self.clock()),
            seconds=(self.clock() - began).total_seconds(),
        )
        queued = {team: len(count) for team, count in remembered.queue_counts.by_team.items()}
        self.watch(summary, cycle.seen, cycle.decided, queued)
        return summary

    def _forecast(self, document: CapacityDocument) -> Forecast:
        """Expect the starts of the requests in a capacity document."""
        return Forecast(document, self.teams)
