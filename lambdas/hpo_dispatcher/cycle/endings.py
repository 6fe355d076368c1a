"""What the end of a tuning job is for its request: the end, or a place in line again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from hpo_dispatcher.contract.entry import Entry, RunningEntry, Status
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.names import tuning_job_name
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
    now: datetime,
) -> Ending:
    """What the end of a tuning job is for its request.

    Args:
        job: the tuning job.
        detail: how it ended.
        entry: of its request; needed only if it has had others, or was stopped to make room.
        builder: makes the tuning job that goes on.
        now: counts as its end where SageMaker tells none.
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
    )
    if entry is None:
        return plain
    best = better(entry.best, detail.best, minimize=detail.minimize)
    counters = with_earlier(entry.earlier, detail.counters)
    plain = replace(plain, best=best, counters=counters)
    if not job.preempted_for or detail.status is not Status.STOPPED:
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
    except InvalidRequest as error:
        body = entry.request.to_json() if entry.request else ""
        told = builder.redactor.error(error, body)
        return replace(plain, reason=f"it could not go on: {told}")
    return replace(plain, status=Status.QUEUED, resumes_as=after)


def never_created(job: RunningEntry) -> TuningJobDetail:
    """It was to be stopped, and SageMaker knows of no such tuning job: nothing of it has ended."""
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
    """Give entries their final state; what changed, which leaves out what had ended before."""
    written = set(requests.finish(endings)) if endings else set()
    return [
        StateChange(
            team=ending.team,
            request_id=ending.request_id,
            status=ending.status,
            previous_status=Status.STOPPING if ending.preempted else ending.was[0],
            tuning_job_name=ending.tuning_job_name or tuning_job_name(*ending.key),
            reason=ending.reason,
            at=clock(),
        )
        for ending in endings
        if ending.key in written
    ]
