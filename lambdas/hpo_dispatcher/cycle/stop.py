"""Stops tuning jobs: those that their teams cancelled, and those that are preempted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from hpo_dispatcher.contract.entry import Key, RunningEntry, Status
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.cycle.endings import finish
from hpo_dispatcher.cycle.outcome import ActOutcome, Decision, Observation, state_change
from hpo_dispatcher.cycle.pacing import map_concurrently
from hpo_dispatcher.cycle.targets.services import Services, service_on
from hpo_dispatcher.ports import (
    Ending,
    LeaseLost,
    Preemption,
    Requests,
    TuningJobDetail,
    Unavailable,
)


@dataclass(frozen=True, kw_only=True)
class Stopper:
    """The stopper of tuning jobs."""

    requests: Requests
    services: Services
    clock: Callable[[], datetime]
    owner: str  # of the lease

    def stop_cancelled(self, seen: Observation, outcome: ActOutcome) -> None:
        """Stop the tuning jobs of cancelled requests that still run.

        A target that does not answer keeps no other from being stopped.
        """
        for job in _not_stopped(seen):
            if job.preempted_for:
                continue
            try:
                service_on(self.services, job.target).stop(job.tuning_job_name)
            except Unavailable as error:
                if job.target == HOME:
                    raise
                outcome.problems.append(f"{'/'.join(job.key)}: {error}")

    def end_before_creation(self, seen: Observation, outcome: ActOutcome) -> None:
        """End requests that were cancelled before their tuning job was created."""
        endings = [
            Ending(
                team=job.team,
                request_id=job.request_id,
                was=(Status.STOPPING,),
                status=Status.CANCELLED,
                ended_at=self.clock(),
                tuning_job_name=job.tuning_job_name,
                reason="cancelled before its tuning job was created",
                target=job.target,
            )
            for job in seen.missing
            if job.status is Status.STOPPING and not job.preempted_for
        ]
        outcome.changes.extend(finish(self.requests, endings, self.clock))

    def preempt(self, seen: Observation, decided: Decision, outcome: ActOutcome) -> None:
        """Preempt the jobs that this decision or an interrupted cycle chose.

        The ledger is written first. If the stop of a tuning job then fails, the next cycle repeats
        it.
        """
        running = {job.tuning_job_name: job for job in seen.active}
        wanted = [(job, job.preempted_for) for job in _not_stopped(seen) if job.preempted_for]
        wanted += [
            (running[stop.job.tuning_job_name], stop.head.key) for stop in decided.plan.stops
        ]
        if not wanted:
            return
        try:
            preemptions = self._still_running(wanted)
            written = set(self.requests.preempt(preemptions, self.owner)) if preemptions else set()
            new = {job.key for job, _ in wanted if job.status is Status.IN_PROGRESS}
            for preemption in preemptions:
                if preemption.key in written & new:
                    self._record(preemption, outcome)
            for preemption in preemptions:
                if preemption.key in written:
                    service_on(self.services, preemption.target).stop(preemption.tuning_job_name)
        except (LeaseLost, Unavailable) as error:
            outcome.problems.append(f"preemption: {error}")

    def _still_running(self, wanted: Sequence[tuple[RunningEntry, Key]]) -> list[Preemption]:
        jobs = [job for job, _ in wanted]
        details = map_concurrently(self._described, jobs)
        return [
            Preemption(
                team=job.team,
                request_id=job.request_id,
                tuning_job_name=job.tuning_job_name,
                preempted_for=preemptor,
                already_stopped=detail.counters.get("Stopped", 0),
                target=job.target,
            )
            for (job, preemptor), detail in zip(wanted, details, strict=True)
            if detail and detail.status is Status.IN_PROGRESS
        ]

    def _described(self, job: RunningEntry) -> TuningJobDetail | None:
        return service_on(self.services, job.target).describe(job.tuning_job_name)

    def _record(self, preemption: Preemption, outcome: ActOutcome) -> None:
        outcome.preempted.append(preemption.key)
        change = state_change(
            preemption.key,
            Status.STOPPING,
            Status.IN_PROGRESS,
            self.clock(),
            tuning_job_name=preemption.tuning_job_name,
            reason=f"preempted by {'/'.join(preemption.preempted_for)}; it resumes later",
            target=preemption.target,
        )
        outcome.changes.append(change)


def _not_stopped(seen: Observation) -> list[RunningEntry]:
    """Return the jobs that are Stopping in the ledger and still InProgress in SageMaker."""
    return [
        job
        for job in seen.active
        if job.status is Status.STOPPING and _listed_status(job, seen) is Status.IN_PROGRESS
    ]


def _listed_status(job: RunningEntry, seen: Observation) -> Status | None:
    listed = seen.listed.get(job.tuning_job_name)
    return listed.status if listed else None
