"""The fourth step of a cycle: stops jobs, completes interrupted starts, starts planned jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.cycle.endings import finish
from hpo_dispatcher.cycle.outcome import ActOutcome, Decision, Observation, state_change
from hpo_dispatcher.cycle.pacing import Deadline, TokenBucket, map_concurrently
from hpo_dispatcher.cycle.stop import Stopper
from hpo_dispatcher.ports import (
    AlreadyOurs,
    AtLimit,
    Created,
    Creation,
    Ending,
    LeaseLost,
    NameTaken,
    Refused,
    Rejection,
    RequestQueues,
    Requests,
    TuningService,
    Unavailable,
)
from hpo_dispatcher.tuning_job.builder import JobBuilder
from hpo_dispatcher.tuning_job.parents import parents_in_order
from hpo_dispatcher.tuning_job.resumption import resumption_of

# Starts that are written to the ledger together: what a crash leaves to the next cycle, at most.
START_BATCH = 20


@dataclass(frozen=True, kw_only=True)
class Actor:
    """The executor of a decision."""

    starter: Starter
    stopper: Stopper

    def act(
        self, seen: Observation, decided: Decision, deadline: Deadline, outcome: ActOutcome
    ) -> None:
        """Execute a decision until the deadline; the next cycle continues from there."""
        self.stopper.stop_cancelled(seen)
        self.stopper.end_before_creation(seen, outcome)
        self.starter.complete_interrupted(seen, outcome)
        starts = [decided.entries[head.key] for head in decided.plan.starts]
        for first in range(0, len(starts), START_BATCH):
            if deadline.passed() or outcome.requeued:
                break
            self.starter.start(starts[first : first + START_BATCH], outcome)
        if not deadline.passed():
            self.stopper.preempt(seen, decided, outcome)


@dataclass(frozen=True, kw_only=True)
class Starter:
    """The starter of requests, at the rate that the API allows."""

    queues: RequestQueues
    requests: Requests
    tuning: TuningService
    builder: JobBuilder
    redactor: Redactor
    bucket: TokenBucket
    clock: Callable[[], datetime]
    owner: str  # of the lease

    def complete_interrupted(self, seen: Observation, outcome: ActOutcome) -> None:
        """Create the tuning jobs that an earlier cycle wrote to the ledger and did not create."""
        interrupted = [job.key for job in seen.missing if job.status is Status.IN_PROGRESS]
        entries = self.requests.get_all(interrupted) if interrupted else {}
        started = [entry for entry in entries.values() if entry.status is Status.IN_PROGRESS]
        self._create_all(started, outcome)

    def start(self, entries: Sequence[Entry], outcome: ActOutcome) -> None:
        """Start queued requests."""
        try:
            written = set(self.requests.start(entries, self.owner, self.clock()))
        except LeaseLost as error:
            outcome.problems.append(str(error))
            return
        started = [entry for entry in entries if entry.key in written]
        outcome.dequeued.update(written)
        outcome.changes.extend(
            state_change(
                entry.key,
                Status.IN_PROGRESS,
                Status.QUEUED,
                self.clock(),
                tuning_job_name=entry.job_name,
            )
            for entry in started
        )
        self._create_all(started, outcome)

    def _create_all(self, entries: Sequence[Entry], outcome: ActOutcome) -> None:
        for entry, creation in zip(entries, map_concurrently(self._create, entries), strict=True):
            self._account(entry, creation, outcome)

    def _create(self, entry: Entry) -> Creation | InvalidRequest | Unavailable:
        """Create one tuning job whose entry is already InProgress."""
        if entry.request is None:
            return Refused("the request is missing in the ledger")
        try:
            named = entry.request.warm_start_from
            found = self.requests.get_all([(entry.team, each) for each in named]) if named else {}
            by_id = {parent.request_id: parent for parent in found.values()}
            api_request = self.builder.api_request(
                entry.team, entry.request, parents_in_order(named, by_id), resumption_of(entry)
            )
            self.bucket.take()
            return self.tuning.create(api_request)
        except (InvalidRequest, Unavailable) as error:
            return error

    def _account(
        self, entry: Entry, creation: Creation | InvalidRequest | Unavailable, outcome: ActOutcome
    ) -> None:
        match creation:
            case Created() | AlreadyOurs():
                outcome.started.append(entry.key)
            case AtLimit(message=message):
                self._requeue(entry, message, outcome)
            case NameTaken(owner=owner):
                problem = f"the tuning job name {entry.job_name} belongs to {owner}"
                error = InvalidRequest("request_id", problem, "Send it under a new request id")
                self._reject(entry, error, outcome)
            case Refused(message=message):
                error = InvalidRequest("request", message, "Fix the request and resubmit it")
                self._reject(entry, error, outcome)
            case InvalidRequest():
                self._reject(entry, creation, outcome)
            case Unavailable():  # the tuning job may exist: the next cycle finds out
                outcome.problems.append(f"{'/'.join(entry.key)}: {creation}")
            case _:
                assert_never(creation)

    def _requeue(self, entry: Entry, reason: str, outcome: ActOutcome) -> None:
        if self.requests.requeue(entry, reason=reason):
            outcome.requeued.append(entry.key)
            change = state_change(
                entry.key,
                Status.QUEUED,
                Status.IN_PROGRESS,
                self.clock(),
                tuning_job_name=entry.job_name,
                reason=reason,
            )
            outcome.changes.append(change)

    def _reject(self, entry: Entry, reason: InvalidRequest, outcome: ActOutcome) -> None:
        """Write to the dead-letter queue, then to the ledger.

        A crash in between repeats the rejection, and loses nothing. A preempted request that cannot
        be resumed is not dead-lettered, because a resubmission would repeat what has ended. It
        stops and keeps its results.
        """
        error = self.redactor.error(reason, entry.request_json)
        if not entry.earlier:
            rejection = Rejection(
                team=entry.team,
                request_id=entry.request_id,
                message_id=entry.request_id,
                body=entry.request_json,
                error=error,
            )
            self.queues.reject(rejection)
        ending = Ending(
            team=entry.team,
            request_id=entry.request_id,
            was=(Status.IN_PROGRESS, Status.STOPPING),
            status=Status.STOPPED if entry.earlier else Status.REJECTED,
            ended_at=self.clock(),
            tuning_job_name=entry.job_name,
            reason=f"could not resume: {error}" if entry.earlier else str(error),
            counters=entry.counters,
            best=entry.best,
        )
        outcome.changes.extend(finish(self.requests, [ending], self.clock))
        outcome.rejected.append(entry.key)
