"""Read what SageMaker and the dead-letter queues know about a deployment's requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from hpo_dispatcher.aws.clients import code
from hpo_dispatcher.aws.create_errors import NOT_FOUND
from hpo_dispatcher.aws.sagemaker import detail_from, status_of
from hpo_dispatcher.contract.entry import Entry, Key, Status
from hpo_dispatcher.contract.message import request_id_in
from hpo_dispatcher.contract.names import (
    NAME_ENDING,
    TAG_DEPLOYMENT,
    TAG_REQUEST_ID,
    TAG_TEAM,
    tuning_job_name,
)
from hpo_dispatcher.contract.request import MAX_PARENTS
from hpo_dispatcher.tuning_job.api.search_space import training_jobs_of
from hpo_dispatcher.tuning_job.usage import instances_of, most_instance_seconds
from hpoq.repair.decision import Letter, TaggedJob, stopped

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

    from hpoq.client import DeadLetter

PAGE = 100
# Describe and ListTags take a few calls a second; adaptive retries find the rate.
THREADS = 4
_OURS = re.compile(NAME_ENDING)
# A repeated id belongs to another entry; an undelivered message was never read.
_WITHOUT_ENTRY = ("DuplicateRequest", "Unreadable", "Undelivered")


def tagged_jobs(
    sagemaker: SageMakerClient, deployment: str, entries: Mapping[Key, Entry], target: str
) -> dict[Key, TaggedJob]:
    """Return the deployment's tuning jobs on a target, except those that ended as the ledger says.

    Two calls each are made for every tuning job whose name could be ours, and for that of every
    active entry of the target, even if it is not listed, because a list may lag behind.

    Args:
        sagemaker: the client of the target.
        deployment: name of the deployment.
        entries: of all targets.
        target: its name.
    """
    there = [entry for entry in entries.values() if entry.target == target]
    known = {entry.job_name: entry.status for entry in there}
    # Preempted tuning jobs whose requests resumed: the entry says so.
    past = {job.tuning_job_name for entry in there for job in entry.earlier}
    listed = dict(_listed(sagemaker))
    settled = {
        name
        for name, status in listed.items()
        if status.ended and (status == known.get(name) or name in past)
    }
    active = {name for name, status in known.items() if status.active}
    names = sorted(({name for name in listed if _OURS.search(name)} | active) - settled)
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda name: _tagged(sagemaker, deployment, name, target), names))
    return _newest(job for job in found if job)


def _newest(jobs: Iterable[TaggedJob]) -> dict[Key, TaggedJob]:
    """Return the last tuning job of each request, with its earlier ones."""
    of: dict[Key, list[TaggedJob]] = {}
    for job in sorted(jobs, key=lambda job: job.number):
        of.setdefault((job.team, job.request_id), []).append(job)
    return {
        key: replace(last, before=[stopped(*pair) for pair in pairwise([*before, last])])
        for key, (*before, last) in of.items()
    }


def letters(dead_letters: Iterable[DeadLetter]) -> dict[Key, Letter]:
    """Return the rejected requests, with the reason that the ledger would give."""
    found = {}
    for each in dead_letters:
        if each.error not in _WITHOUT_ENTRY:
            request_id = request_id_in(each.body, each.message_id)
            reason = f"{each.field}: {each.problem}. {each.fix}"
            letter = Letter(team=each.team, request_id=request_id, reason=reason)
            found[each.team, request_id] = letter
    return found


def _listed(sagemaker: SageMakerClient) -> Iterator[tuple[str, Status]]:
    pages = sagemaker.get_paginator("list_hyper_parameter_tuning_jobs")
    for page in pages.paginate(PaginationConfig={"PageSize": PAGE}):
        for summary in page["HyperParameterTuningJobSummaries"]:
            status = status_of(
                summary["HyperParameterTuningJobStatus"], summary.get("HyperParameterTuningEndTime")
            )
            yield summary["HyperParameterTuningJobName"], status


def _tagged(
    sagemaker: SageMakerClient, deployment: str, name: str, target: str
) -> TaggedJob | None:
    """Describe a tuning job; None if it does not exist or is not ours."""
    try:
        there = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    except ClientError as error:
        if code(error) in NOT_FOUND:
            return None
        raise
    pages = sagemaker.get_paginator("list_tags")
    tags = {
        tag["Key"]: tag["Value"]
        for page in pages.paginate(ResourceArn=there["HyperParameterTuningJobArn"])
        for tag in page["Tags"]
    }
    team, request_id = tags.get(TAG_TEAM, ""), tags.get(TAG_REQUEST_ID, "")
    names = [tuning_job_name(team, request_id, before) for before in range(MAX_PARENTS + 1)]
    if tags.get(TAG_DEPLOYMENT) != deployment or name not in names:
        return None
    detail, limits = detail_from(there), _limits(there)
    return TaggedJob(
        name=name,
        target=target,
        number=names.index(name),
        team=team,
        request_id=request_id,
        status=detail.status,
        created_at=there["CreationTime"],
        ended_at=detail.ended_at,
        failure_reason=detail.failure_reason,
        counters=detail.counters,
        best=detail.best,
        instances=instances_of(dict(there)),
        max_training_jobs=training_jobs_of(dict(there)) or 0,
        max_parallel=limits["MaxParallelTrainingJobs"],
        most_instance_seconds=most_instance_seconds(dict(there)),
    )


def _limits(there: Any) -> dict[str, int]:
    limits: dict[str, int] = there["HyperParameterTuningJobConfig"]["ResourceLimits"]
    return limits
