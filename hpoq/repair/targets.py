"""Read the tuning jobs of every target of a deployment, and choose one for each request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo_dispatcher.contract.entry import Entry, Key
from hpo_dispatcher.contract.errors import HpoqError
from hpo_dispatcher.contract.targets.resources import HOME
from hpoq.botocore_config import PATIENT
from hpoq.client import explained
from hpoq.repair.account import tagged_jobs
from hpoq.repair.decision import TaggedJob, places_of

if TYPE_CHECKING:
    from hpoq.client import Client


@dataclass(frozen=True, kw_only=True)
class TargetJobs:
    """The tuning jobs of a deployment on the targets that could be read."""

    jobs: Mapping[Key, TaggedJob]
    unread: Mapping[str, str]  # the other targets -> why
    further: Sequence[TaggedJob]  # of requests that were started on several targets


def read_targets(client: Client, entries: Mapping[Key, Entry]) -> TargetJobs:
    """Read the tuning jobs of every target, those included that only the ledger still names.

    Raises:
        HpoqError: home cannot be read.
    """
    named = {target for entry in entries.values() for target in places_of(entry)}
    found: dict[Key, list[TaggedJob]] = {}
    unread: dict[str, str] = {}
    for target in sorted({*client.settings.deployment.targets, *named}):
        try:
            with explained(f"target {target}"):
                sagemaker = client.on(target).service("sagemaker", PATIENT)
                there = tagged_jobs(sagemaker, client.deployment, entries, target)
        except HpoqError as error:
            if target == HOME:
                raise
            unread[target] = str(error)
            continue
        for key, job in there.items():
            found.setdefault(key, []).append(job)
    jobs = {key: chosen(each, entries.get(key)) for key, each in found.items()}
    return TargetJobs(
        jobs={key: job for key, job in jobs.items() if job},
        unread=unread,
        further=[job for key, each in found.items() for job in each if job is not jobs[key]],
    )


def chosen(found: Sequence[TaggedJob], entry: Entry | None) -> TaggedJob | None:
    """Return the tuning job of a request, which has several only if an old ledger started it again.

    Args:
        found: the last tuning job of the request on each target; at least one.
        entry: of the request; None if it is lost.

    Returns:
        The one that the ledger names, or else one that runs, or else the newest. None if the ledger
        has another one, which ended: a request that ended is not run again.
    """
    promised = entry.target if entry and entry.tuning_job_name else None
    if entry and entry.status.ended and promised:
        return next((job for job in found if job.target == promised), None)
    return max(
        found,
        key=lambda job: (job.target == promised, job.status.active, job.number, job.created_at),
    )
