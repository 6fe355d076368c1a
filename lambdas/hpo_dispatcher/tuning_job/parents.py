"""Warm start parents: earlier tuning jobs that another tuning job builds on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hpo_dispatcher.contract.entry import EarlierJob, Entry


@dataclass(frozen=True, kw_only=True)
class Parent:
    """A warm start parent of a tuning job."""

    tuning_job_name: str
    template: str
    training_jobs: int  # SageMaker counts them toward the child's limit
    # Whether its request was resumed with another tuning job. Such parents are the first to be
    # omitted if there are too many.
    earlier: bool = False


@dataclass(frozen=True, kw_only=True)
class Resumption:
    """The state that a request's preempted tuning jobs leave to its next one."""

    number: int  # of earlier tuning jobs
    training_jobs: int  # that have not ended
    seconds: int  # run time of the earlier tuning jobs
    parents: tuple[Parent, ...]  # the earlier tuning jobs with a result


def parents_of(entry: Entry) -> list[Parent]:
    """Return the tuning jobs of an ended entry as warm start parents, the latest first."""
    before = earlier_parents(entry)
    if entry.tuning_job_name:
        ended = sum(entry.counters.values()) - sum(job.ended for job in entry.earlier)
        last = Parent(
            tuning_job_name=entry.tuning_job_name,
            template=entry.template,
            training_jobs=ended or entry.training_jobs_left,
        )
        return [last, *before]
    # Cancelled before it was resumed: its latest tuning job takes the place of the last one.
    return [replace(before[0], earlier=False), *before[1:]] if before else []


def parents_in_order(ids: Sequence[str], entries: Mapping[str, Entry]) -> list[Parent]:
    """Return the warm start parents of a request in the order of its message."""
    return [parent for each in ids if each in entries for parent in parents_of(entries[each])]


def earlier_parents(entry: Entry) -> list[Parent]:
    """Return the preempted tuning jobs of an entry that have a result, newest first."""
    return parents_of_resumed(entry)[::-1]


def parents_of_resumed(entry: Entry) -> list[Parent]:
    """Return the preempted tuning jobs of an entry that have a result, oldest first."""
    return [_parent(entry, job) for job in entry.earlier if job.found]


def _parent(entry: Entry, job: EarlierJob) -> Parent:
    return Parent(
        tuning_job_name=job.tuning_job_name,
        template=entry.template,
        training_jobs=job.launched,
        earlier=True,
    )
