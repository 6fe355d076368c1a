"""The fourth step of a cycle: stops jobs, completes interrupted starts, starts planned jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from hpo_dispatcher.contract.entry import Entry, Key, Status
from hpo_dispatcher.contract.errors import BrokenTemplate, InvalidRequest
from hpo_dispatcher.cycle.outcome import ActOutcome, Decision, Observation, state_change
from hpo_dispatcher.cycle.pacing import Deadline, TokenBucket, map_concurrently
from hpo_dispatcher.cycle.refusals import RefusedStarts
from hpo_dispatcher.cycle.stop import Stopper
from hpo_dispatcher.cycle.targets.arrivals import DataArrivals
from hpo_dispatcher.cycle.targets.services import Services, service_on
from hpo_dispatcher.ports import (
    AccountFault,
    AlreadyOurs,
    AtLimit,
    Created,
    Creation,
    LeaseLost,
    NameTaken,
    NotReplicated,
    NotYetVisible,
    Refused,
    Requests,
    Unavailable,
    Untagged,
)
from hpo_dispatcher.scheduling.backoff import lacks
from hpo_dispatcher.tuning_job.builder import JobBuilder
from hpo_dispatcher.tuning_job.parents import parents_in_order
from hpo_dispatcher.tuning_job.resumption import resumption_of

# Starts that are written to the ledger together: what a crash leaves to the next cycle, at most.
START_BATCH = 20
_Outcome = Creation | NotReplicated | InvalidRequest | Unavailable


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
        self.stopper.stop_cancelled(seen, outcome)
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

    requests: Requests
    services: Services
    builder: JobBuilder
    buckets: Mapping[str, TokenBucket]  # by target
    clock: Callable[[], datetime]
    owner: str  # of the lease
    refusals: RefusedStarts
    arrivals: DataArrivals

    def announce_found(self, seen: Observation, outcome: ActOutcome) -> None:
        """Publish starts of earlier cycles whose tuning jobs turn out to exist."""
        missing = {job.key for job in seen.missing} | seen.unobserved
        there = {job.key: job for job in seen.active if job.key not in missing}
        for key in sorted(outcome.unannounced & there.keys()):
            job = there[key]
            self._announce(key, job.tuning_job_name, job.target, outcome)
        outcome.unannounced.intersection_update(missing)

    def complete_interrupted(self, seen: Observation, outcome: ActOutcome) -> None:
        """Create the tuning jobs that an earlier cycle wrote to the ledger and did not create."""
        interrupted = [
            job.key
            for job in seen.missing
            if job.status is Status.IN_PROGRESS and job.key not in seen.unsure
        ]
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

    def _create(self, entry: Entry) -> _Outcome:
        """Create one tuning job whose entry is already InProgress."""
        if entry.request is None:
            return Refused("the request is missing in the ledger")
        try:
            named = entry.request.warm_start_from
            found = self.requests.get_all([(entry.team, each) for each in named]) if named else {}
            by_id = {parent.request_id: parent for parent in found.values()}
            tuning = service_on(self.services, entry.target)
            builder = self.builder.on(entry.target)
            api_request = builder.api_request(
                entry.team, entry.request, parents_in_order(named, by_id), resumption_of(entry)
            )
            if problem := self.arrivals.problem(builder, api_request):
                return problem
            self.buckets[entry.target].take()
            return tuning.create(api_request)
        except BrokenTemplate as error:
            return AccountFault(str(error))
        except (InvalidRequest, Unavailable) as error:
            return error

    def _account(self, entry: Entry, creation: _Outcome, outcome: ActOutcome) -> None:
        match creation:
            case Created() | AlreadyOurs():
                outcome.started.append(entry.key)
                if isinstance(creation, Created) or entry.key in outcome.unannounced:
                    self._announce(entry.key, entry.job_name, entry.target, outcome)
            case AtLimit(message=message, quota=quota):
                self.refusals.at_limit(entry, message, quota, outcome)
            case AccountFault(message=message):
                self.refusals.account_fault(entry, message, outcome)
            case NotReplicated(message=message):
                self.refusals.not_replicated(entry, message, outcome)
            case Untagged(owner=owner):
                self.refusals.untagged(entry, owner, outcome)
            case NotYetVisible(owner=owner):
                self.refusals.not_visible(entry, owner, outcome)
            case NameTaken(owner=owner):
                self.refusals.name_taken(entry, owner, outcome)
            case Refused(message=message):
                error = InvalidRequest("request", message, "Fix the request and resubmit it")
                self.refusals.reject(entry, error, outcome)
            case InvalidRequest():
                self.refusals.reject(entry, creation, outcome)
            case Unavailable():  # the tuning job may exist: the next cycle finds out
                outcome.problems.append(f"{'/'.join(entry.key)}: {creation}")
            case _:
                assert_never(creation)

    def _announce(self, key: Key, tuning_job_name: str, target: str, outcome: ActOutcome) -> None:
        """Publish a start, which is certain once the tuning job exists."""
        outcome.unannounced.discard(key)
        change = state_change(
            key,
            Status.IN_PROGRESS,
            Status.QUEUED,
            self.clock(),
            tuning_job_name=tuning_job_name,
            target=target,
        )
        outcome.changes.append(change)
