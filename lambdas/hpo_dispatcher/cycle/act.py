"""Stop what is to stop, finish half-done starts, start what was planned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

from hpo_dispatcher.contract.entry import Entry, Key, RunningEntry, Status
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.cycle.endings import finish
from hpo_dispatcher.cycle.outcome import Decision, Observation
from hpo_dispatcher.cycle.pacing import Deadline, TokenBucket, map_concurrently
from hpo_dispatcher.ports import (
    AlreadyOurs,
    AtLimit,
    Created,
    Creation,
    Ending,
    LeaseLost,
    NameTaken,
    Preemption,
    Refused,
    RequestQueues,
    Requests,
    StateChange,
    TuningService,
    Unavailable,
)
from hpo_dispatcher.tuning_job.builder import JobBuilder
from hpo_dispatcher.tuning_job.parents import parents_in_order
from hpo_dispatcher.tuning_job.resumption import resumption_of

# Starts written ahead together: what a crash leaves to the next cycle, at most.
START_BATCH = 20


@dataclass
class Deeds:
    """What one cycle has done about its decision."""

    promised: set[Key] = field(default_factory=set)  # in the ledger, their tuning jobs or not
    started: list[Key] = field(default_factory=list)
    requeued: list[Key] = field(default_factory=list)
    rejected: list[Key] = field(default_factory=list)
    stopped: list[Key] = field(default_factory=list)
    changes: list[StateChange] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def out_of_line(self) -> set[Key]:
        """Promised and not put back; what was rejected has left its line, too."""
        return self.promised - set(self.requeued)


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Carries a decision out."""

    builder: JobBuilder
    queues: RequestQueues
    requests: Requests
    tuning: TuningService
    clock: Callable[[], datetime]
    bucket: TokenBucket
    owner: str

    def act(self, seen: Observation, decided: Decision, deadline: Deadline) -> Deeds:
        """Carry it out as far as the time goes; the next cycle goes on from there."""
        deeds = Deeds()
        unstopped = [
            job
            for job in seen.active
            if job.status is Status.STOPPING and _listed(job, seen) is Status.IN_PROGRESS
        ]
        for job in unstopped:
            if not job.preempted_for:
                self.tuning.stop(job.tuning_job_name)
        self._end_before_creation(seen, deeds)
        self._create_all(self._half_done(seen), deeds)
        starts = [decided.entries[head.team, head.request_id] for head in decided.plan.starts]
        for first in range(0, len(starts), START_BATCH):
            if deadline.passed() or deeds.requeued:
                break
            self._start(starts[first : first + START_BATCH], deeds)
        promised = [(job, job.preempted_for) for job in unstopped if job.preempted_for]
        ours = {job.tuning_job_name: job for job in seen.active}
        planned = [(ours[stop.job.tuning_job_name], stop.head.key) for stop in decided.plan.stops]
        if (promised or planned) and not deadline.passed():
            self._make_room([*promised, *planned], deeds)
        return deeds

    def _end_before_creation(self, seen: Observation, deeds: Deeds) -> None:
        """Cancelled between the promise and the creation: there is nothing to stop."""
        endings = [
            Ending(
                team=job.team,
                request_id=job.request_id,
                was=(Status.STOPPING,),
                status=Status.CANCELLED,
                ended_at=self.clock(),
                tuning_job_name=job.tuning_job_name,
                reason="cancelled before its tuning job was created",
            )
            for job in seen.missing
            if job.status is Status.STOPPING and not job.preempted_for
        ]
        deeds.changes += finish(self.requests, endings, self.clock)

    def _half_done(self, seen: Observation) -> list[Entry]:
        """Promised by a cycle that ended before it could create them."""
        promised = [job for job in seen.missing if job.status is Status.IN_PROGRESS]
        keys = [(job.team, job.request_id) for job in promised]
        entries = self.requests.get_all(keys) if keys else {}
        return [entry for entry in entries.values() if entry.status is Status.IN_PROGRESS]

    def _start(self, entries: Sequence[Entry], deeds: Deeds) -> None:
        try:
            started = set(self.requests.start(entries, self.owner, self.clock()))
        except LeaseLost as error:
            deeds.problems.append(str(error))
            return
        deeds.promised |= started
        deeds.changes += [
            self._change(entry.key, Status.IN_PROGRESS, Status.QUEUED, job_name=entry.job_name)
            for entry in entries
            if entry.key in started
        ]
        self._create_all([entry for entry in entries if entry.key in started], deeds)

    def _create_all(self, entries: Sequence[Entry], deeds: Deeds) -> None:
        for entry, outcome in zip(entries, map_concurrently(self._create, entries), strict=True):
            self._account(entry, outcome, deeds)

    def _create(self, entry: Entry) -> Creation | InvalidRequest | Unavailable:
        """Create one tuning job whose entry is already InProgress."""
        if entry.request is None:
            return Refused("the request is gone from the ledger")
        try:
            named = entry.request.warm_start_from
            found = self.requests.get_all([(entry.team, each) for each in named]) if named else {}
            by_id = {parent.request_id: parent for parent in found.values()}
            parents = parents_in_order(named, by_id)
            api_request = self.builder.api_request(
                entry.team, entry.request, parents, resumption_of(entry)
            )
            self.bucket.take()
            return self.tuning.create(api_request)
        except (InvalidRequest, Unavailable) as error:
            return error

    def _account(
        self, entry: Entry, outcome: Creation | InvalidRequest | Unavailable, deeds: Deeds
    ) -> None:
        key = entry.key
        match outcome:
            case Created() | AlreadyOurs():
                deeds.started.append(key)
            case AtLimit(message=message):
                if self.requests.requeue(entry, reason=message):
                    deeds.requeued.append(key)
                    deeds.changes.append(
                        self._change(
                            key, Status.QUEUED, Status.IN_PROGRESS, message, entry.job_name
                        )
                    )
            case NameTaken(owner=owner):
                problem = f"the tuning job name {entry.job_name} belongs to {owner}"
                error = InvalidRequest("request_id", problem, "Send it under a new request id")
                self._reject(entry, error, deeds)
            case Refused(message=message):
                error = InvalidRequest("request", message, "Mend the request and send it again")
                self._reject(entry, error, deeds)
            case InvalidRequest():
                self._reject(entry, outcome, deeds)
            case Unavailable():  # it may exist: the promise stays, the next cycle looks
                deeds.problems.append(f"{'/'.join(key)}: {outcome}")
            case _:
                assert_never(outcome)

    def _reject(self, entry: Entry, error: InvalidRequest, deeds: Deeds) -> None:
        """Dead-letter queue first: a crash after it rejects again, and loses nothing.

        What has had a tuning job before is no message to mend and send again: that would run
        what has ended once more. It keeps what it found.
        """
        body = entry.request.to_json() if entry.request else ""
        error = self.builder.redactor.error(error, body)
        if not entry.earlier:
            self.queues.reject(entry.team, entry.request_id, body, error)
        ending = Ending(
            team=entry.team,
            request_id=entry.request_id,
            was=(Status.IN_PROGRESS, Status.STOPPING),
            status=Status.STOPPED if entry.earlier else Status.REJECTED,
            ended_at=self.clock(),
            tuning_job_name=entry.job_name,
            reason=f"it could not go on: {error}" if entry.earlier else str(error),
            counters=entry.counters,
            best=entry.best,
        )
        deeds.changes += finish(self.requests, [ending], self.clock)
        deeds.rejected.append(entry.key)

    def _make_room(self, wanted: Sequence[tuple[RunningEntry, Key]], deeds: Deeds) -> None:
        """Say so in the ledger, then stop; what one of the two missed is the next cycle's."""
        try:
            details = map_concurrently(
                self.tuning.describe, [job.tuning_job_name for job, _ in wanted]
            )
            rooms = [
                Preemption(
                    team=job.team,
                    request_id=job.request_id,
                    tuning_job_name=job.tuning_job_name,
                    preempted_for=room_for,
                    already_stopped=detail.counters.get("Stopped", 0),
                )
                for (job, room_for), detail in zip(wanted, details, strict=True)
                if detail and detail.status is Status.IN_PROGRESS
            ]
            marked = set(self.requests.preempt(rooms, self.owner)) if rooms else set()
            new = {job.key for job, _ in wanted if job.status is Status.IN_PROGRESS}
            for room in rooms:
                if room.key in marked & new:
                    deeds.stopped.append(room.key)
                    deeds.changes.append(self._makes_room(room))
            for room in rooms:
                if room.key in marked:
                    self.tuning.stop(room.tuning_job_name)
        except (LeaseLost, Unavailable) as error:
            deeds.problems.append(f"making room: {error}")

    def _makes_room(self, room: Preemption) -> StateChange:
        reason = f"makes room for {'/'.join(room.preempted_for)}, goes on later"
        return self._change(
            room.key, Status.STOPPING, Status.IN_PROGRESS, reason, room.tuning_job_name
        )

    def _change(
        self,
        key: Key,
        status: Status,
        previous: Status,
        reason: str = "",
        job_name: str = "",
    ) -> StateChange:
        return StateChange(
            team=key[0],
            request_id=key[1],
            status=status,
            previous_status=previous,
            tuning_job_name=job_name,
            reason=reason,
            at=self.clock(),
        )


def _listed(job: RunningEntry, seen: Observation) -> Status | None:
    listed = seen.listed.get(job.tuning_job_name)
    return listed.status if listed else None
