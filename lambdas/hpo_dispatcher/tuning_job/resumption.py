"""What is left of a request whose tuning job was stopped to make room. Pure.

The next tuning job of such a request runs the training jobs that have not ended, and starts warm
from what the earlier ones found. A training job counts as ended however it ended by itself:
completed, failed, or stopped early; those that the stop interrupted are the ones to run again.
Warm starts are not recursive, so every earlier tuning job is a parent: docs/decisions/0012.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.entry import BestTrainingJob, EarlierJob, Entry, Status
from hpo_dispatcher.contract.settings import Template
from hpo_dispatcher.tuning_job.api_schema import ApiRequest
from hpo_dispatcher.tuning_job.parents import Continuation, continued_parents

CONTINUABLE = ("Bayesian", "Random")  # strategies that warm starts know
HAS_ENDED = ("Completed", "NonRetryableError", "RetryableError", "Stopped")


def obstacle(
    api_request: ApiRequest, template: Template, earlier: Sequence[EarlierJob] = ()
) -> str:
    """Why a request's tuning job could not be continued after a stop; empty if it could."""
    config = api_request["HyperParameterTuningJobConfig"]
    limits, strategy = config["ResourceLimits"], config["Strategy"]
    total, most = limits.get("MaxNumberOfTrainingJobs"), aws_limits.training_jobs_limit(strategy)
    launched = sum(job.launched for job in earlier) + limits["MaxParallelTrainingJobs"]
    parents = aws_limits.WARM_START_PARENTS
    obstacles = {
        "its script searches by itself and would begin anew": template.ranges_parameter,
        f"a {strategy} search would begin anew": strategy not in CONTINUABLE,
        "it has several training job definitions": "TrainingJobDefinitions" in api_request,
        "SageMaker chooses what it searches": api_request.get("Autotune"),
        "its number of training jobs is open": total is None,
        f"a warm start has {parents} parents at most, it was stopped as often": (
            len(earlier) >= parents
        ),
        f"with those run again it could have more than {most} training jobs": (
            total is not None and total + launched > most
        ),
    }
    return next((text for text, found in obstacles.items() if found), "")


def continuation(entry: Entry) -> Continuation | None:
    """What the next tuning job of an entry goes on from; None: it begins."""
    if not entry.earlier:
        return None
    return Continuation(
        number=len(entry.earlier),
        training_jobs=entry.training_jobs_left,
        seconds=sum(job.seconds for job in entry.earlier),
        parents=tuple(continued_parents(entry)),
    )


def earlier_job(
    name: str,
    counters: Mapping[str, int],
    stopped_before: int,
    *,
    seconds: int,
    instance_seconds: int,
    found: bool,
) -> EarlierJob:
    """A tuning job that was stopped to make room.

    Args:
        name: its name.
        counters: of its training jobs, once all have ended.
        stopped_before: those that were Stopped before the tuning job was: they had ended.
        seconds: it ran.
        instance_seconds: it used.
        found: some training job has an objective; without any it is no parent.
    """
    ended = {kind: counters[kind] for kind in HAS_ENDED if counters.get(kind)}
    stopped = counters.get("Stopped", 0)
    ended["Stopped"] = min(stopped, stopped_before)
    return EarlierJob(
        tuning_job_name=name,
        counters={kind: count for kind, count in ended.items() if count},
        interrupted=stopped - ended["Stopped"],
        seconds=seconds,
        instance_seconds=instance_seconds,
        found=found,
    )


def after_stop(entry: Entry, job: EarlierJob, best: BestTrainingJob | None) -> Entry:
    """The entry as it waits for its next tuning job, or has come to its end if nothing is left.

    What its next tuning job holds and can use is not known here.

    Args:
        entry: while its tuning job stops.
        job: that tuning job, ended.
        best: of all its tuning jobs.
    """
    after = replace(
        entry,
        earlier=(*entry.earlier, job),
        counters=with_earlier(entry.earlier, job.counters),
        best=best,
        tuning_job_name="",
        started_at=None,
        stopped_for=None,
        stopped_before=0,
    )
    left = after.training_jobs_left
    if left <= 0:
        return replace(after, status=Status.COMPLETED, tuning_job_name=entry.tuning_job_name)
    room_for = "/".join(entry.stopped_for or ())
    done = entry.max_training_jobs - left
    return replace(
        after,
        status=Status.QUEUED,
        reason=f"stopped to make room for {room_for}; {done} of {entry.max_training_jobs} training "
        "jobs have ended, it goes on with the others",
    )


def with_earlier(earlier: Sequence[EarlierJob], counters: Mapping[str, int]) -> dict[str, int]:
    """Counters of all tuning jobs of a request together."""
    if not earlier:
        return dict(counters)
    total = Counter(counters)
    for job in earlier:
        total.update(job.counters)
    return dict(total)


def better(
    one: BestTrainingJob | None, other: BestTrainingJob | None, *, minimise: bool
) -> BestTrainingJob | None:
    """The better of two best training jobs of one request."""
    if one is None or other is None:
        return one or other
    sign = -1 if minimise else 1
    return one if sign * one.objective >= sign * other.objective else other
