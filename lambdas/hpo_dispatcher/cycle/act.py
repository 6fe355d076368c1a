"""The fourth step of a cycle: stops jobs, completes interrupted starts, starts planned jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from hpo_dispatcher.contract.aws_limits import QuotaExceeded
from hpo_dispatcher.contract.documents.capacity import WaitKind
from hpo_dispatcher.contract.entry import Entry, Key, Status
from hpo_dispatcher.contract.errors import BrokenTemplate, InvalidRequest
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.cycle.endings import finish
from hpo_dispatcher.cycle.outcome import ActOutcome, Decision, Observation, state_change
from hpo_dispatcher.cycle.pacing import Deadline, TokenBucket, map_concurrently
from hpo_dispatcher.cycle.stop import Stopper
from hpo_dispatcher.ports import (
    AccountFault,
    AlreadyOurs,
    AtLimit,
    Created,
    Creation,
    Ending,
    LeaseLost,
    NameTaken,
    NotYetVisible,
    Refused,
    Rejection,
    RequestQueues,
    Requests,
    TuningService,
    Unavailable,
    Untagged,
)
from hpo_dispatcher.scheduling.backoff import Backoff, lacks, resource_of_quota
from hpo_dispatcher.scheduling.snapshot import needs
from hpo_dispatcher.tuning_job.builder import JobBuilder
from hpo_dispatcher.tuning_job.parents import parents_in_order
from hpo_dispatcher.tuning_job.resumption import resumption_of

# Starts that are written to the ledger together: what a crash leaves to the next cycle, at most.
START_BATCH = 20
# Describe may lag behind a creation. After so long, the name is taken by a name in other case.
VISIBLE_AFTER = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Actor:
    """The executor of a decision."""

    starter: Starter
    stopper: Stopper

    def act(
        self, seen: Observation, decided: Decision, deadline: Deadline, outcome: ActOutcome
    ) -> None:
        """Execute a decision until the deadline; the next cycle continues from there."""
        self.starter.announce_found(seen, outcome)
        self.stopper.stop_cancelled(seen)
        self.stopper.end_before_creation(seen, outcome)
        self.starter.complete_interrupted(seen, outcome)
        starts = [decided.entries[head.key] for head in decided.plan.starts]
        for first in range(0, len(starts), START_BATCH):
            if deadline.passed():
                break
            batch = starts[first : first + START_BATCH]
            self.starter.start([e for e in batch if not lacks(e, outcome.quotas)], outcome)
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
    backoff: Backoff  # before this cycle's starts

    def announce_found(self, seen: Observation, outcome: ActOutcome) -> None:
        """Publish starts of earlier cycles whose tuning jobs turn out to exist."""
        missing = {job.key for job in seen.missing}
        there = {job.key: job for job in seen.active if job.key not in missing}
        for key in sorted(outcome.unannounced & there.keys()):
            self._announce(key, there[key].tuning_job_name, outcome)
        outcome.unannounced.intersection_update(missing)

    def complete_interrupted(self, seen: Observation, outcome: ActOutcome) -> None:
        """Create the tuning jobs that an earlier cycle wrote to the ledger and did not create."""
        interrupted = [job.key for job in seen.missing if job.status is Status.IN_PROGRESS]
        entries = self.requests.get_all(interrupted) if interrupted else {}
        started = [entry for entry in entries.values() if entry.status is Status.IN_PROGRESS]
        self._create_all(started, outcome)

    def start(self, entries: Sequence[Entry], outcome: ActOutcome) -> None:
        """Start queued requests."""
        if not entries:
            return
        try:
            written = set(self.requests.start(entries, self.owner, self.clock()))
        except LeaseLost as error:
            outcome.problems.append(str(error))
            return
        started = [entry for entry in entries if entry.key in written]
        outcome.dequeued.update(written)
        outcome.unannounced.update(entry.key for entry in started)
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
        except BrokenTemplate as error:
            return AccountFault(str(error))
        except (InvalidRequest, Unavailable) as error:
            return error

    def _account(
        self,
        entry: Entry,
        creation: Creation | InvalidRequest | Unavailable,
        outcome: ActOutcome,
    ) -> None:
        match creation:
            case Created() | AlreadyOurs():
                outcome.started.append(entry.key)
                if isinstance(creation, Created) or entry.key in outcome.unannounced:
                    self._announce(entry.key, entry.job_name, outcome)
            case AtLimit(message=message, quota=quota):
                self._requeue(entry, message, outcome)
                self._note_quota(entry, quota, outcome)
            case AccountFault(message=message):
                self._fault(entry, message, outcome)
            case Untagged(owner=owner):
                self._untagged(entry, owner, outcome)
            case NotYetVisible(owner=owner):
                # Once it is visible, the next cycle finds it, or creates it if it is gone.
                if entry.started_at and self.clock() - entry.started_at >= VISIBLE_AFTER:
                    self._reject(entry, _name_taken(entry, owner), outcome)
            case NameTaken(owner=owner):
                self._reject(entry, _name_taken(entry, owner), outcome)
            case Refused(message=message):
                error = InvalidRequest("request", message, "Fix the request and resubmit it")
                self._reject(entry, error, outcome)
            case InvalidRequest():
                self._reject(entry, creation, outcome)
            case Unavailable():  # the tuning job may exist: the next cycle finds out
                outcome.problems.append(f"{'/'.join(entry.key)}: {creation}")
            case _:
                assert_never(creation)

    def _note_quota(self, entry: Entry, quota: QuotaExceeded | None, outcome: ActOutcome) -> None:
        """Delay what needs the same quota; if the quota is not known, only this request."""
        resource = resource_of_quota(quota)
        if quota is None or resource is None or resource not in needs(entry.instances):
            outcome.delayed[entry.key] = WaitKind.ACCOUNT_QUOTA
        else:
            outcome.quotas[resource] = quota

    def _announce(self, key: Key, tuning_job_name: str, outcome: ActOutcome) -> None:
        """Publish a start, which is certain once the tuning job exists."""
        outcome.unannounced.discard(key)
        change = state_change(
            key, Status.IN_PROGRESS, Status.QUEUED, self.clock(), tuning_job_name=tuning_job_name
        )
        outcome.changes.append(change)

    def _requeue(self, entry: Entry, reason: str, outcome: ActOutcome) -> None:
        """Queue a request again; to its followers it never left the queue."""
        if not self.requests.requeue(entry, reason=reason):
            return
        outcome.requeued.append(entry.key)
        if entry.key in outcome.unannounced:
            outcome.unannounced.discard(entry.key)
            return
        change = state_change(
            entry.key,
            Status.QUEUED,
            Status.IN_PROGRESS,
            self.clock(),
            tuning_job_name=entry.job_name,
            reason=reason,
        )
        outcome.changes.append(change)

    def _fault(self, entry: Entry, reason: str, outcome: ActOutcome) -> None:
        """Queue a request again that met a fault of the account, or end it after a long time."""
        kind = WaitKind.ACCOUNT_FAULT
        if not self.backoff.gives_up(entry.key, kind, self.clock()):
            self._requeue(entry, reason, outcome)
            outcome.delayed[entry.key] = kind
            return
        self._end(entry, Status.STOPPED if entry.earlier else Status.FAILED, reason, outcome)
        outcome.failed.append(entry.key)

    def _untagged(self, entry: Entry, owner: str, outcome: ActOutcome) -> None:
        """Queue a request again until the tags say whose tuning job it is, or reject it."""
        kind, taken = WaitKind.TUNING_JOB_NAME, _name_taken(entry, owner)
        if self.backoff.gives_up(entry.key, kind, self.clock()):
            self._reject(entry, taken, outcome)
            return
        self._requeue(entry, taken.problem, outcome)
        outcome.delayed[entry.key] = kind

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
        status = Status.STOPPED if entry.earlier else Status.REJECTED
        self._end(entry, status, str(error), outcome)
        outcome.rejected.append(entry.key)

    def _end(self, entry: Entry, status: Status, reason: str, outcome: ActOutcome) -> None:
        """Write the final state of a request that has no tuning job."""
        ending = Ending(
            team=entry.team,
            request_id=entry.request_id,
            was=(Status.IN_PROGRESS, Status.STOPPING),
            status=status,
            ended_at=self.clock(),
            tuning_job_name=entry.job_name,
            reason=f"could not resume: {reason}" if entry.earlier else reason,
            counters=entry.counters,
            best=entry.best,
        )
        changes = finish(self.requests, [ending], self.clock)
        if entry.key in outcome.unannounced:  # its followers have not seen it leave the queue
            outcome.unannounced.discard(entry.key)
            changes = [
                change.model_copy(update={"previous_status": Status.QUEUED}) for change in changes
            ]
        outcome.changes.extend(changes)


def _name_taken(entry: Entry, owner: str) -> InvalidRequest:
    problem = f"the tuning job name {entry.job_name} belongs to {owner}"
    return InvalidRequest("request_id", problem, "Send it under a new request id")
