"""The second step of a cycle: observes what uses capacity, in SageMaker and in the ledger."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from hpo_dispatcher.contract.entry import RunningEntry, Status
from hpo_dispatcher.contract.targets.resources import HOME, on_target
from hpo_dispatcher.cycle.outcome import Observation
from hpo_dispatcher.cycle.pacing import map_concurrently
from hpo_dispatcher.cycle.targets.services import Services, service_on
from hpo_dispatcher.ports import (
    RunningRequests,
    TuningJob,
    TuningJobDetail,
    TuningService,
    Unavailable,
)

# A tuning job that was created less than this ago may not be visible to Describe yet.
VISIBLE_WITHIN = timedelta(minutes=5)
# The clocks of SageMaker and of this function may differ by so much.
CLOCK_SKEW = timedelta(minutes=1)
# Without an answer about its training jobs, a tuning job is not created for so long.
UNSURE_WITHIN = timedelta(hours=1)
DELETED = "the tuning job was deleted in SageMaker before its end was recorded"


def observe(
    requests: RunningRequests, services: Services, created: Collection[str], now: datetime
) -> Observation:
    """Return all tuning jobs that use capacity on all targets, whoever created them.

    A target that does not answer is left out, and its requests wait. With one target only, nothing
    would be left to do.

    Args:
        requests: this deployment's running requests.
        services: SageMaker of each target.
        created: names of tuning jobs that have existed, as far as earlier cycles know.
        now: the current time.

    Raises:
        Unavailable: no target answered, or the ledger did not.
    """
    active = requests.running()  # read before the list, so a job in neither has ended
    by_target: dict[str, list[RunningEntry]] = {target: [] for target in services}
    for job in active:
        by_target.setdefault(job.target, []).append(job)
    if by_target.keys() == {HOME}:
        return _observed(active, services[HOME], created, now)

    def on(target: str) -> Observation | Unavailable:
        try:
            return _observed(by_target[target], service_on(services, target), created, now)
        except Unavailable as error:
            return error

    answers = dict(zip(by_target, map_concurrently(on, by_target), strict=True))
    down = {target: each for target, each in answers.items() if isinstance(each, Unavailable)}
    seen = {target: each for target, each in answers.items() if isinstance(each, Observation)}
    if not seen:
        raise next(iter(down.values()))
    unobserved = {job.key for job in active if job.target in down}
    ours = {(job.target, job.tuning_job_name) for job in active}
    return Observation(
        listed={
            # Those of others have a name per target.
            name if (target, name) in ours else on_target(target, name): job
            for target, each in seen.items()
            for name, job in each.listed.items()
        },
        active=active,
        ended=[end for each in seen.values() for end in each.ended],
        missing=[job for each in seen.values() for job in each.missing],
        unsure=frozenset(key for each in seen.values() for key in each.unsure),
        unobserved=frozenset(unobserved),
        down={target: f"no answer from target {target}: {error}" for target, error in down.items()},
    )


def _observed(
    active: Sequence[RunningEntry],
    tuning: TuningService,
    created: Collection[str],
    now: datetime,
) -> Observation:
    """Return all tuning jobs that use capacity on one target, whoever created them.

    "DeleteHyperParameterTuningJob ... deletes only the tuning job entry", after which Describe does
    not find it (API reference). Such a tuning job has ended, and is never created again. Earlier
    cycles have seen it; if they were killed before they recorded that, its training jobs are left.

    Args:
        active: this deployment's running requests on the target.
        tuning: SageMaker.
        created: names of tuning jobs that have existed, as far as earlier cycles know.
        now: the current time.

    Raises:
        Unavailable: a service did not answer.
    """
    listed = {job.name: job for job in tuning.in_progress()}
    unlisted = [job for job in active if job.tuning_job_name not in listed]
    ended, missing = [], []
    details = _details(tuning, [job.tuning_job_name for job in unlisted])
    unknown = [
        job
        for job in unlisted
        if details[job.tuning_job_name] is None and job.tuning_job_name not in created
    ]
    trained = _trained(tuning, unknown)
    created = {*created, *(trained or ())}
    for job in unlisted:
        detail = details[job.tuning_job_name]
        if detail is None and job.tuning_job_name not in created:
            missing.append(job)
        elif detail is None and now - job.started_at < VISIBLE_WITHIN:
            listed[job.tuning_job_name] = TuningJob(name=job.tuning_job_name, status=job.status)
        elif detail is None:
            ended.append((job, _deleted(job)))
        elif detail.status.ended:
            ended.append((job, detail))
        else:  # created so recently that the list lags behind
            listed[job.tuning_job_name] = TuningJob(name=detail.name, status=detail.status)
    unsure = [job for job in missing if trained is None and now - job.started_at < UNSURE_WITHIN]
    return Observation(
        listed=listed, active=active, ended=ended, missing=missing,
        unsure=frozenset(job.key for job in unsure),
    )  # fmt: skip


def _trained(tuning: TuningService, jobs: Sequence[RunningEntry]) -> set[str] | None:
    """Return the names of tuning jobs that have had training jobs since their entry was written.

    The result is None if Search does not answer.
    """
    if not jobs:
        return set()
    try:
        at = tuning.trained([job.tuning_job_name for job in jobs])
    except Unavailable:
        return None
    return {
        job.tuning_job_name
        for job in jobs
        if job.tuning_job_name in at and at[job.tuning_job_name] >= job.started_at - CLOCK_SKEW
    }


def _deleted(job: RunningEntry) -> TuningJobDetail:
    return TuningJobDetail(
        name=job.tuning_job_name,
        status=Status.STOPPED,
        counters={},
        best=None,
        ended_at=None,
        failure_reason=DELETED,
        deleted=True,
    )


def _details(tuning: TuningService, names: Sequence[str]) -> Mapping[str, TuningJobDetail | None]:
    """Describe jobs, most of which have ended: many per call, and the others one by one."""
    found: dict[str, TuningJobDetail | None] = {}
    if len(names) > 1:
        with suppress(Unavailable):
            found.update(tuning.search_ended(names))
    left = [name for name in names if name not in found]
    return found | dict(zip(left, map_concurrently(tuning.describe, left), strict=True))
