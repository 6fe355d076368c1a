"""Keeps the capacity document small: every client reads it, and a ledger item has 400 KB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hpo_dispatcher.contract.documents.capacity import (
    CapacityDocument,
    QueueLength,
    ResourceUse,
    WaitingRequest,
)

MOST_BYTES = 100_000
USERS_NAMED = 10  # teams with the largest use of a resource


def fitted(document: CapacityDocument, most: int = MOST_BYTES) -> CapacityDocument:
    """Return the document with as many waiting requests as its size allows, in their order.

    If it is too large without them, samples of run times, small users of resources and marks of
    queues are left out as well. Without any samples, nothing expects the ends of running jobs; then
    arrivals and running jobs are left out, too. The rest grows with teams and instance types only.
    """
    bare = document.model_copy(update={"waiting": ()})
    for smaller in (
        _with_fewer_samples,
        _with_large_users_only,
        _with_fewer_marks,
        _without_arrivals,
        _without_running_jobs,
    ):
        while _size(bare) > most and (reduced := smaller(bare)) != bare:
            bare = reduced
    waiting = _first_within(document.waiting, most - _size(bare))
    return bare.model_copy(update={"waiting": waiting})


def _first_within(waiting: Sequence[WaitingRequest], most: int) -> tuple[WaitingRequest, ...]:
    shown: list[WaitingRequest] = []
    for each in waiting:
        most -= len(each.model_dump_json().encode()) + 1
        if most < 0:
            break
        shown.append(each)
    return tuple(shown)


def _with_fewer_samples(document: CapacityDocument) -> CapacityDocument:
    kept = len(document.run_times) // 2
    newest = document.run_times[-kept:] if kept else ()
    return document.model_copy(update={"run_times": newest})


def _with_large_users_only(document: CapacityDocument) -> CapacityDocument:
    targets = {
        name: each.model_copy(
            update={
                "tuning_jobs": _large_users(each.tuning_jobs),
                "instances": _large_users_of_each(each.instances),
            }
        )
        for name, each in document.targets.items()
    }
    instances = _large_users_of_each(document.instances)
    return document.model_copy(update={"instances": instances, "targets": targets})


def _large_users_of_each(instances: Mapping[str, ResourceUse]) -> dict[str, ResourceUse]:
    return {name: _large_users(use) for name, use in instances.items()}


def _large_users(use: ResourceUse) -> ResourceUse:
    most_first = sorted(use.by_team.items(), key=lambda item: (-item[1], item[0]))
    return use.model_copy(update={"by_team": dict(most_first[:USERS_NAMED])})


def _with_fewer_marks(document: CapacityDocument) -> CapacityDocument:
    queues = {team: _coarser(queue) for team, queue in document.queues.items()}
    return document.model_copy(update={"queues": queues})


def _without_arrivals(document: CapacityDocument) -> CapacityDocument:
    return document.model_copy(update={"arrivals": ()})


def _without_running_jobs(document: CapacityDocument) -> CapacityDocument:
    return document.model_copy(update={"running": ()})


def _coarser(queue: QueueLength) -> QueueLength:
    """Merge marks in pairs."""
    marks = queue.marks
    merged = tuple(
        (marks[at][0], sum(count for _, count in marks[at : at + 2]))
        for at in range(0, len(marks), 2)
    )
    return queue.model_copy(update={"marks": merged})


def _size(document: CapacityDocument) -> int:
    return len(document.to_json().encode())
