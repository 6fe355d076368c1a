"""The tuning jobs that use capacity, as scheduling sees them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from hpo_dispatcher.contract.entry import RunningEntry, Status
from hpo_dispatcher.contract.targets.resources import HOME, target_of, without_target
from hpo_dispatcher.cycle.outcome import Observation
from hpo_dispatcher.cycle.targets.services import Services, service_on
from hpo_dispatcher.ports import Documents, TuningJob, Unavailable
from hpo_dispatcher.scheduling.history.run_times import RunTimes, Work
from hpo_dispatcher.scheduling.snapshot import RunningJob

OTHER_JOBS = "other-jobs"


def running_jobs(
    seen: Observation,
    documents: Documents,
    services: Services,
    run_times: RunTimes,
    now: datetime,
) -> list[RunningJob]:
    """Return all jobs that use capacity, sorted by name, with their expected ends."""
    ours = {job.tuning_job_name: job for job in seen.active}
    gone = {job.tuning_job_name for job, _ in seen.ended}
    names = (set(seen.listed) | set(ours)) - gone
    others = _others(names - set(ours), documents, services)
    jobs: list[RunningJob] = []
    for name in sorted(names):
        listed = seen.listed.get(name)
        if name in ours:
            end = _expected_end(ours[name], run_times, now, len(ours))
            jobs.append(_of_ours(ours[name], listed, end))
        else:
            jobs.append(
                RunningJob(
                    tuning_job_name=name,
                    team=None,
                    target=target_of(name),
                    instances=_in_use(others.get(name, {}), listed),
                    stopping=_stopping(listed),
                )
            )
    return jobs


def _others(
    names: AbstractSet[str], documents: Documents, services: Services
) -> Mapping[str, Mapping[str, int]]:
    """Return the instances of tuning jobs of others; describe each of these jobs once.

    Those on a target that does not answer count as tuning jobs without instances in this cycle.
    """
    document = documents.get(OTHER_JOBS) if names else None
    known: dict[str, dict[str, int]] = json.loads(document or "{}")
    new: dict[str, dict[str, int]] = {}
    for name in sorted(names - set(known)):
        target = target_of(name)
        try:
            instances = service_on(services, target).instances(without_target(name))
        except Unavailable:
            if target == HOME:
                raise
            continue
        new[name] = dict(instances)
    if new:
        kept = {name: known[name] for name in names & set(known)} | new
        documents.put(OTHER_JOBS, json.dumps(kept))
        return kept
    return known


def _of_ours(
    job: RunningEntry, listed: TuningJob | None, expected_end: datetime | None
) -> RunningJob:
    return RunningJob(
        tuning_job_name=job.tuning_job_name,
        team=job.team,
        target=job.target,
        instances=_in_use(job.instances, listed),
        request_id=job.request_id,
        priority=job.priority,
        started_at=job.started_at,
        expected_end=expected_end,
        resume_blocker=job.resume_blocker if listed else "it is about to be created",
        resumed=job.resumed,
        stopping=_stopping(listed) or job.status is Status.STOPPING,
        preempted_for=job.preempted_for,
    )


def _expected_end(
    job: RunningEntry, run_times: RunTimes, now: datetime, among: int
) -> datetime | None:
    """Return when a job will probably end: as its request says, or like recent ones."""
    elapsed = max(0.0, (now - job.started_at).total_seconds())
    work = Work(team=job.team, template=job.template, rounds=job.rounds)
    seconds = run_times.expected_after(work, elapsed, job.expected_seconds, job.most_seconds, among)
    return None if seconds is None else job.started_at + timedelta(seconds=seconds)


def _in_use(instances: Mapping[str, int], listed: TuningJob | None) -> Mapping[str, int]:
    return listed.in_use(instances) if listed else instances


def _stopping(listed: TuningJob | None) -> bool:
    return listed is not None and listed.status is Status.STOPPING
