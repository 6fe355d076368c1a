"""The end of a tuning job: its request ends too, or is queued again to resume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from hpo_dispatcher.contract.entry import Entry, RunningEntry, Status
from hpo_dispatcher.contract.errors import BrokenTemplate, InvalidRequest
from hpo_dispatcher.contract.names import tuning_job_name
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.cycle.outcome import state_change
from hpo_dispatcher.ports import Ending, FinishedRequests, StateChange, TuningJobDetail
from hpo_dispatcher.scheduling.budget import spent_by
from hpo_dispatcher.tuning_job.builder import JobBuilder
from hpo_dispatcher.tuning_job.resumption import after_stop, better, earlier_job, with_earlier


def ending_of(
    job: RunningEntry,
    detail: TuningJobDetail,
    entry: Entry | None,
    *,
    builder: JobBuilder,
    redactor: Redactor,
    now: datetime,
) -> Ending:
    """Return what the end of a tuning job means for its request.

    Args:
        job: the tuning job that ended.
        detail: its description by SageMaker.
        entry: its request; required only if the request had other tuning jobs or was preempted.
        builder: builds the tuning job that resumes the request.
        redactor: removes secrets from the reason.
        now: the end time if SageMaker reports none.
    """
    ended_at = detail.ended_at or now
    spent = spent_by(job, ended_at)
    plain = Ending(
        team=job.team,
        request_id=job.request_id,
        was=(Status.IN_PROGRESS, Status.STOPPING),
        status=detail.status,
        ended_at=ended_at,
        tuning_job_name=job.tuning_job_name,
        reason=detail.failure_reason,
        counters=detail.counters,
        best=detail.best,
        spent=spent,
        preempted=job.preempted_for is not None,
        target=job.target,
    )
    if entry is None:
        return plain
    best = better(entry.best, detail.best, minimize=detail.minimize)
    counters = with_earlier(entry.earlier, detail.counters)
    plain = replace(plain, best=best, counters=counters)
    if not job.preempted_for or detail.status is not Status.STOPPED or detail.deleted:
        return plain
    seconds = round((ended_at - job.started_at).total_seconds())
    stopped = earlier_job(
        job.tuning_job_name,
        detail.counters,
        job.already_stopped,
        seconds=max(0, seconds),
        instance_seconds=spent.instance_seconds,
        found=detail.best is not None,
    )
    after = after_stop(replace(entry, preempted_for=job.preempted_for), stopped, best)
    plain = replace(plain, counters=after.counters, reason=after.reason)
    if after.status is not Status.QUEUED:
        return replace(plain, status=after.status, reason="")
    try:
        after = builder.resumed(after)
    except BrokenTemplate:
        pass  # it keeps its demand, and waits when it should start
    except InvalidRequest as error:
        reason = redactor.error(error, entry.request_json)
        return replace(plain, reason=f"could not resume: {reason}")
    return replace(plain, status=Status.QUEUED, resumes_as=after)


def never_created(job: RunningEntry) -> TuningJobDetail:
    """Return the description of a tuning job that was preempted before it was created."""
    return TuningJobDetail(
        name=job.tuning_job_name,
        status=Status.STOPPED,
        counters={},
        best=None,
        ended_at=job.started_at,
        failure_reason="",
    )


def finish(
    requests: FinishedRequests, endings: Sequence[Ending], clock: Callable[[], datetime]
) -> list[StateChange]:
    """Write final states to the ledger; return the changes, without what had already ended."""
    written = set(requests.finish(endings)) if endings else set()
    return [
        state_change(
            ending.key,
            ending.status,
            Status.STOPPING if ending.preempted else ending.was[0],
            clock(),
            tuning_job_name=ending.tuning_job_name or tuning_job_name(*ending.key),
            reason=ending.reason,
            target=ending.target,
        )
        for ending in endings
        if ending.key in written
    ]
