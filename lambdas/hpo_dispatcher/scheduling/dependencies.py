"""Dependencies: the requests that ``after`` and ``warm_start_from`` wait for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.entry import BlockedEntry, Entry, Key, Status
from hpo_dispatcher.contract.request import TuningRequest

# A parent that ended like this has no result. One that was stopped has what it finished.
WITHOUT_RESULT = (Status.FAILED, Status.CANCELLED, Status.REJECTED)


@dataclass(frozen=True)
class Ready:
    """All parents have ended: the request joins its team's queue."""


@dataclass(frozen=True)
class Waiting:
    """A parent has not ended, or is not in the ledger yet."""

    reason: str


@dataclass(frozen=True)
class Hopeless:
    """The request can never start."""

    reason: str


Verdict = Ready | Waiting | Hopeless


Graph = Mapping[tuple[str, str], tuple[str, ...]]  # (team, request id) -> its parents


def graph_of(blocked: Iterable[BlockedEntry]) -> Graph:
    """Return the parents of each blocked request, for ``judge``."""
    return {(each.team, each.request_id): each.parents for each in blocked}


def cyclic(graph: Graph) -> frozenset[Key]:
    """Return the requests whose dependencies form a cycle, or lead to one.

    The work is proportional to the number of dependencies (Kahn, Topological sorting of large
    networks, CACM 1962).
    """
    children: dict[Key, list[Key]] = {}
    open_parents: dict[Key, int] = {}
    for (team, request_id), parents in graph.items():
        blocked = [(team, parent) for parent in parents if (team, parent) in graph]
        open_parents[team, request_id] = len(blocked)
        for parent in blocked:
            children.setdefault(parent, []).append((team, request_id))
    free = [key for key, count in open_parents.items() if not count]
    while free:
        key = free.pop()
        del open_parents[key]
        for child in children.get(key, ()):
            open_parents[child] -= 1
            if not open_parents[child]:
                free.append(child)
    return frozenset(open_parents)


def parents_outside(graph: Graph) -> list[Key]:
    """Return the parents that are not blocked themselves: what happens to them matters."""
    found = ((team, parent) for (team, _), parents in graph.items() for parent in parents)
    return list(dict.fromkeys(key for key in found if key not in graph))


def may_change(
    blocked: BlockedEntry, graph: Graph, outside: Mapping[Key, Entry], cycles: frozenset[Key]
) -> bool:
    """Return whether the verdict on a request may be another one than to wait.

    Args:
        blocked: the request and the ids it waits for.
        graph: the parents of all blocked requests.
        outside: the existing entries of the parents that are not blocked.
        cycles: the requests that are in a cycle or behind one.
    """
    if blocked.key in cycles:
        return True
    keys = [(blocked.team, parent) for parent in blocked.parents]
    found = [outside.get(key) for key in keys if key not in graph]
    if any(parent is None or parent.status in WITHOUT_RESULT for parent in found):
        return True  # it may have to end
    if any((blocked.team, each) in outside for each in blocked.warm_start_from):
        return True  # the searches may not match
    return len(found) == len(keys) and all(parent and parent.status.ended for parent in found)


# A parent that was sent before its child has arrived or has expired in its queue by then.
PARENT_ARRIVES_WITHIN = timedelta(days=aws_limits.SQS_RETENTION_DAYS)


def judge(
    blocked: BlockedEntry,
    parents: Mapping[str, Entry],
    others: Graph,
    waited: timedelta = timedelta(0),
) -> Verdict:
    """Decide whether a request may join its team's queue.

    Args:
        blocked: the request and the ids it waits for.
        parents: existing entries of its parents, by request id.
        others: the parents of all blocked requests, this one included, to find cycles.
        waited: the time since the request was accepted.
    """
    loop = _cycle(blocked, others)
    if loop:
        return Hopeless(f"its dependencies form a cycle: {' -> '.join(loop)}")
    for request_id in blocked.parents:
        parent = parents.get(request_id)
        if parent and parent.status in WITHOUT_RESULT:
            return Hopeless(f"dependency {request_id} is {parent.status}")
        if parent is None and waited > PARENT_ARRIVES_WITHIN:
            days = PARENT_ARRIVES_WITHIN.days
            return Hopeless(f"dependency {request_id} did not arrive within {days} days")
    for request_id in blocked.warm_start_from:
        parent = parents.get(request_id)
        if parent and blocked.request and parent.request:
            problem = warm_start_problem(blocked.request, parent.request)
            if problem:
                return Hopeless(f"warm start from {request_id}: {problem}")
    open_ = [_open(each, parents.get(each)) for each in blocked.parents]
    waiting = [each for each in open_ if each]
    return Waiting(f"waits for {', '.join(waiting)}") if waiting else Ready()


def targets_of_warm_start(entry: Entry, parents: Iterable[Entry]) -> tuple[str, ...] | Hopeless:
    """Return the targets on which a request may run that starts warm from others.

    The API names parents without an account or a Region (ParentHyperParameterTuningJob in the API
    reference), so they are where the new tuning job is.

    Args:
        entry: the request.
        parents: the requests that it starts warm from, all of which had tuning jobs.
    """
    places = {parent.target: parent.request_id for parent in parents}
    if not places:
        return entry.targets
    if len(places) > 1:
        where = ", ".join(f"{parent} ran on {target}" for target, parent in places.items())
        return Hopeless(f"a warm start needs parents on one target: {where}")
    ((target, parent),) = places.items()
    if target not in entry.targets:
        return Hopeless(f"warm start from {parent}: it ran on {target}, where this one may not")
    return (target,)


def _open(request_id: str, parent: Entry | None) -> str:
    if parent is None:
        return f"{request_id} (not in the ledger yet)"
    return "" if parent.status.ended else f"{request_id} ({parent.status})"


def _cycle(blocked: BlockedEntry, others: Graph) -> list[str]:
    """Return a path from the request back to itself; empty if there is none."""
    paths = [[blocked.request_id]]
    seen: set[str] = set()
    while paths:
        path = paths.pop()
        for parent in others.get((blocked.team, path[-1]), ()):
            if parent == blocked.request_id:
                return [*path, parent]
            if parent not in seen:
                seen.add(parent)
                paths.append([*path, parent])
    return []


def warm_start_problem(child: TuningRequest, parent: TuningRequest) -> str:
    """Return why a search cannot start warm from another one; empty if it can.

    SageMaker requires the same objective metric and the same hyperparameter names. Fields that
    messages omit are equal if their templates are. A request in API form is left to SageMaker.
    """
    if child.api_request is not None or parent.api_request is not None:
        return ""
    comparable = child.template == parent.template or (child.objective and parent.objective)
    if comparable and child.objective != parent.objective:
        return "it has another objective"
    names = set(child.hyperparameter_ranges) | set(child.hyperparameters)
    searched = set(parent.hyperparameter_ranges)
    missing = sorted(searched - names)
    if missing:
        return f"it searched {missing[0]}, which this request lacks"
    new = sorted(set(child.hyperparameter_ranges) - searched - set(parent.hyperparameters))
    if new:
        return f"it lacks {new[0]}"
    return ""
