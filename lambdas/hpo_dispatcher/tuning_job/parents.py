"""Tuning jobs that another tuning job starts warm from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hpo_dispatcher.contract.entry import EarlierJob, Entry


@dataclass(frozen=True, kw_only=True)
class Parent:
    """A tuning job that another one starts warm from."""

    tuning_job_name: str
    template: str
    training_jobs: int  # SageMaker counts them towards the child's limit
    # Its request went on with another tuning job: left out where there are too many parents.
    earlier: bool = False


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """What a request goes on with after its tuning job was stopped to make room."""

    number: int  # tuning jobs it had before
    training_jobs: int  # that have not ended
    seconds: int  # its tuning jobs before have run
    parents: tuple[Parent, ...]  # those of them that found something


def parents_of(entry: Entry) -> list[Parent]:
    """The tuning jobs of an ended entry as warm start parents, the one that counts most first."""
    before = earlier_parents(entry)
    if entry.tuning_job_name:
        ended = sum(entry.counters.values()) - sum(job.ended for job in entry.earlier)
        last = Parent(
            tuning_job_name=entry.tuning_job_name,
            template=entry.template,
            training_jobs=ended or entry.training_jobs_left,
        )
        return [last, *before]
    # Cancelled while it waited to go on: the newest of what it had stands for it.
    return [replace(before[0], earlier=False), *before[1:]] if before else []


def parents_in_order(ids: Sequence[str], entries: Mapping[str, Entry]) -> list[Parent]:
    """The warm start parents of a request, as it named them."""
    return [parent for each in ids if each in entries for parent in parents_of(entries[each])]


def earlier_parents(entry: Entry) -> list[Parent]:
    """The earlier tuning jobs of an entry as warm start parents of others, newest first."""
    return continued_parents(entry)[::-1]


def continued_parents(entry: Entry) -> list[Parent]:
    """Return the earlier tuning jobs of an entry that found something, oldest first."""
    return [_parent(entry, job) for job in entry.earlier if job.found]


def _parent(entry: Entry, job: EarlierJob) -> Parent:
    return Parent(
        tuning_job_name=job.tuning_job_name,
        template=entry.template,
        training_jobs=job.launched,
        earlier=True,
    )
