"""Resumption of requests whose tuning job was preempted. Pure functions.

The next tuning job of such a request runs the training jobs that have not ended, with the earlier
tuning jobs as warm start parents. A training job has ended if it completed, failed, or was stopped
early; a training job that the preemption interrupted is run again. Warm starts are not recursive,
so every earlier tuning job is a parent: docs/decisions/0012.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.entry import BestTrainingJob, EarlierJob, Entry, Status
from hpo_dispatcher.contract.settings import Limits
from hpo_dispatcher.contract.templates import Template
from hpo_dispatcher.tuning_job.api.schema import ApiRequest
from hpo_dispatcher.tuning_job.parents import Resumption, parents_of_resumed

RESUMABLE_STRATEGIES = ("Bayesian", "Random")  # those that support warm starts
HAS_ENDED = ("Completed", "NonRetryableError", "RetryableError", "Stopped")


def resume_blocker(
    api_request: ApiRequest,
    template: Template,
    account: Limits,
    earlier: Sequence[EarlierJob] = (),
) -> str:
    """Return why a request could not be resumed after a preemption; empty if it could."""
    return next(_blockers(api_request, template, account, earlier), "")


def _blockers(
    api_request: ApiRequest, template: Template, account: Limits, earlier: Sequence[EarlierJob]
) -> Iterator[str]:
    config = api_request["HyperParameterTuningJobConfig"]
    limits, strategy = config["ResourceLimits"], config["Strategy"]
    total, most = limits.get("MaxNumberOfTrainingJobs"), account.training_jobs(strategy)
    launched = sum(job.launched for job in earlier) + limits["MaxParallelTrainingJobs"]
    parents = aws_limits.WARM_START_PARENTS
    if template.ranges_parameter:
        yield "its script searches and would start over"
    if strategy not in RESUMABLE_STRATEGIES:
        yield f"a {strategy} search would start over"
    if "TrainingJobDefinitions" in api_request:
        yield "it has several training job definitions"
    if api_request.get("Autotune"):
        yield "SageMaker chooses its hyperparameters"
    if total is None:
        yield "its number of training jobs is not limited"
    if len(earlier) >= parents:
        yield f"it was preempted {parents} times, and a warm start has at most {parents} parents"
    if total is not None and total + launched > most:
        yield f"with interrupted training jobs run again, it could exceed {most} training jobs"


def resumption_of(entry: Entry) -> Resumption | None:
    """Return what the next tuning job of an entry resumes; None for its first tuning job."""
    if not entry.earlier:
        return None
    return Resumption(
        number=len(entry.earlier),
        training_jobs=entry.training_jobs_left,
        seconds=sum(job.seconds for job in entry.earlier),
        parents=tuple(parents_of_resumed(entry)),
    )


def earlier_job(
    name: str,
    counters: Mapping[str, int],
    already_stopped: int,
    *,
    seconds: int,
    instance_seconds: int,
    found: bool,
) -> EarlierJob:
    """Return the record of a preempted tuning job.

    Args:
        name: name of the tuning job.
        counters: training jobs by status, once all have ended.
        already_stopped: training jobs that were Stopped before the preemption: they had ended.
        seconds: run time of the tuning job.
        instance_seconds: instance-seconds that the tuning job used.
        found: whether a training job has an objective value, so that it can be a parent.
    """
    ended = {kind: counters[kind] for kind in HAS_ENDED if counters.get(kind)}
    stopped = counters.get("Stopped", 0)
    ended["Stopped"] = min(stopped, already_stopped)
    return EarlierJob(
        tuning_job_name=name,
        counters={kind: count for kind, count in ended.items() if count},
        interrupted=stopped - ended["Stopped"],
        seconds=seconds,
        instance_seconds=instance_seconds,
        found=found,
    )


def after_stop(entry: Entry, job: EarlierJob, best: BestTrainingJob | None) -> Entry:
    """Return the entry queued for its next tuning job, or completed if nothing is left to run.

    The demand of the next tuning job is not updated.

    Args:
        entry: the entry while its tuning job was stopping.
        job: that tuning job, ended.
        best: the best training job of all its tuning jobs.
    """
    after = replace(
        entry,
        earlier=(*entry.earlier, job),
        counters=with_earlier(entry.earlier, job.counters),
        best=best,
        tuning_job_name="",
        started_at=None,
        preempted_for=None,
        already_stopped=0,
    )
    left = after.training_jobs_left
    if left <= 0:
        return replace(after, status=Status.COMPLETED, tuning_job_name=entry.tuning_job_name)
    preemptor = "/".join(entry.preempted_for or ())
    done = entry.max_training_jobs - left
    return replace(
        after,
        status=Status.QUEUED,
        reason=f"preempted by {preemptor}; {done} of {entry.max_training_jobs} training jobs "
        "have ended, the others run when it is resumed",
    )


def with_earlier(earlier: Sequence[EarlierJob], counters: Mapping[str, int]) -> dict[str, int]:
    """Return the counters of all tuning jobs of a request."""
    if not earlier:
        return dict(counters)
    total = Counter(counters)
    for job in earlier:
        total.update(job.counters)
    return dict(total)


def better(
    one: BestTrainingJob | None, other: BestTrainingJob | None, *, minimize: bool
) -> BestTrainingJob | None:
    """Return the better of two training jobs of one request."""
    if one is None or other is None:
        return one or other
    sign = -1 if minimize else 1
    return one if sign * one.objective >= sign * other.objective else other
