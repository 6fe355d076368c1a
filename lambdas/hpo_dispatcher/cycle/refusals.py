"""What becomes of a request whose tuning job was not created: it waits, or it ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from hpo_dispatcher.contract.aws_limits import QuotaExceeded
from hpo_dispatcher.contract.documents.capacity import WaitKind
from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.cycle.endings import finish
from hpo_dispatcher.cycle.outcome import ActOutcome, state_change
from hpo_dispatcher.ports import (
    Ending,
    LeaseLost,
    Rejection,
    RequestQueues,
    Requests,
    Unavailable,
)
from hpo_dispatcher.scheduling.backoff import Backoff, resource_of_quota
from hpo_dispatcher.scheduling.snapshot import needs

# Describe may lag behind a creation. After so long, the name is taken by a name in other case.
VISIBLE_AFTER = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class RefusedStarts:
    """The handling of requests whose tuning jobs SageMaker did not create."""

    queues: RequestQueues
    requests: Requests
    redactor: Redactor
    clock: Callable[[], datetime]
    backoff: Backoff  # before this cycle's starts
    owner: str  # of the lease

    def at_limit(
        self, entry: Entry, message: str, quota: QuotaExceeded | None, outcome: ActOutcome
    ) -> None:
        """Queue a request again, and delay what needs the same quota.

        If the quota is not known, only this request is delayed.
        """
        self._requeue(entry, message, outcome)
        resource = resource_of_quota(quota, entry.target)
        needed = needs(entry.instances, entry.target)
        if quota is None or resource is None or resource not in needed:
            outcome.delay(entry, WaitKind.ACCOUNT_QUOTA)
        else:
            outcome.quotas[resource] = quota

    def not_visible(self, entry: Entry, owner: str, outcome: ActOutcome) -> None:
        """Wait for a tuning job that Describe may not show yet; reject the request after an hour.

        Once the job is visible, the next cycle finds it, or creates it if it is gone.
        """
        if entry.started_at and self.clock() - entry.started_at >= VISIBLE_AFTER:
            self.name_taken(entry, owner, outcome)

    def name_taken(self, entry: Entry, owner: str, outcome: ActOutcome) -> None:
        """Reject a request whose tuning job's name belongs to someone else."""
        self.reject(entry, _name_taken(entry, owner), outcome)

    def account_fault(self, entry: Entry, reason: str, outcome: ActOutcome) -> None:
        """Queue a request again that met a fault of the account, or end it after a long time."""
        kind = WaitKind.ACCOUNT_FAULT
        if not self.backoff.gives_up(entry.key, kind, self.clock()):
            self._requeue(entry, reason, outcome)
            outcome.delay(entry, kind)
            return
        self._end(entry, Status.STOPPED if entry.earlier else Status.FAILED, reason, outcome)
        outcome.failed.append(entry.key)

    def not_replicated(self, entry: Entry, reason: str, outcome: ActOutcome) -> None:
        """Queue a request again until its data has arrived, for as long as that takes."""
        self._requeue(entry, reason, outcome)
        outcome.delay(entry, WaitKind.DATA)

    def untagged(self, entry: Entry, owner: str, outcome: ActOutcome) -> None:
        """Queue a request again until the tags say whose tuning job it is, or reject it."""
        kind, taken = WaitKind.TUNING_JOB_NAME, _name_taken(entry, owner)
        if self.backoff.gives_up(entry.key, kind, self.clock()):
            self.reject(entry, taken, outcome)
            return
        self._requeue(entry, taken.problem, outcome)
        outcome.delay(entry, kind)

    def reject(self, entry: Entry, reason: InvalidRequest, outcome: ActOutcome) -> None:
        """Write to the dead-letter queue, then to the ledger.

        A crash in between repeats the rejection, and loses nothing. A preempted request that cannot
        be resumed is not dead-lettered, because a resubmission would repeat what has ended. It
        stops and keeps its results.
        """
        error = self.redactor.error(reason, entry.request_json)
        if not entry.earlier and not self._dead_lettered(entry, error, outcome):
            return
        status = Status.STOPPED if entry.earlier else Status.REJECTED
        self._end(entry, status, str(error), outcome)
        outcome.rejected.append(entry.key)

    def _dead_lettered(self, entry: Entry, error: InvalidRequest, outcome: ActOutcome) -> bool:
        """Write to the dead-letter queue; return whether that was possible.

        Without the queue, which somebody may have deleted, the request waits as for any other fault
        of the account.
        """
        rejection = Rejection(
            team=entry.team,
            request_id=entry.request_id,
            message_id=entry.request_id,
            body=entry.request_json,
            error=error,
        )
        try:
            self.queues.reject(rejection)
        except Unavailable as problem:
            outcome.problems.append(f"rejection of {'/'.join(entry.key)}: {problem}")
            self.account_fault(entry, f"{error}; it was not rejected: {problem}", outcome)
            return False
        return True

    def _requeue(self, entry: Entry, reason: str, outcome: ActOutcome) -> None:
        """Queue a request again; to its followers it never left the queue."""
        if not self._requeued(entry, reason, outcome):
            return
        outcome.requeued[entry.key] = reason
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
            target=entry.target,
        )
        outcome.changes.append(change)

    def _requeued(self, entry: Entry, reason: str, outcome: ActOutcome) -> bool:
        """Write that a request is queued again; return whether it was in progress.

        It may run on another target if it is certain that no tuning job exists on this one: this
        cycle started it, and no other cycle has tried to create its tuning job since.
        """
        if len(entry.allowed_targets) > 1 and entry.key in outcome.dequeued:
            with suppress(LeaseLost):
                return self.requests.requeue(entry, reason, self.owner)
        return self.requests.requeue(entry, reason)

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
            target=entry.target,
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
