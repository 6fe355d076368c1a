"""The measurements of a cycle. Pure; ``telemetry`` collects and writes them.

The names are a contract: dashboard and alarms read them, and docs/operations.md lists them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from hpo_dispatcher.contract.targets.resources import HOME, all_on_target
from hpo_dispatcher.cycle.outcome import Decision, Observation, Summary
from hpo_dispatcher.scheduling.snapshot import SLOTS, Capacity

# No request waited for a slot that has been free for longer.
STILL_FREED = timedelta(hours=1)


# All metrics, with the name of their dimension besides the deployment's, if any.
METRICS = frozenset(
    [
        *((name, "") for name in (
            "CycleSeconds", "SkippedCycles", "FailedCycles",
            "Accepted", "Rejected", "Started", "Finished",
            "InProgress", "Free", "SlotFillSeconds",
            "Queued", "OldestSeconds", "Waiting", "Blocked", "AccountFaults",
            "UnansweredWorkflows",
            "ApiCalls", "ApiThrottles",
        )),
        *((name, "resource") for name in ("InProgress", "Free")),
        *((name, "team") for name in ("Queued", "OldestSeconds")),
        *((name, "reason") for name in ("Waiting", "Rejected")),
        *((name, "api") for name in ("ApiCalls", "ApiThrottles")),
    ]
)  # fmt: skip
# Those that only a deployment with targets writes besides. CloudWatch bills each value.
METRICS_OF_TARGETS = frozenset([("Unanswered", "target")])


class Unit(StrEnum):
    """The CloudWatch units in use."""

    COUNT = "Count"
    SECONDS = "Seconds"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One value of a metric; at most one dimension besides the deployment's own."""

    name: str
    value: float
    unit: Unit = Unit.COUNT
    dimension: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Freed:
    """A slot that became free when a tuning job ended."""

    at: datetime


@dataclass(frozen=True, kw_only=True)
class Filled:
    """The start of a request that may have waited for a slot."""

    at: datetime
    accepted_at: datetime


def of_cycle(summary: Summary, decided: Decision) -> Iterator[Measurement]:
    """Measure one complete cycle."""
    yield Measurement(name="CycleSeconds", value=summary.seconds, unit=Unit.SECONDS)
    counts = {
        "Accepted": summary.accepted,
        "Rejected": summary.rejected,
        "Started": summary.started,
        "Finished": summary.finished,
        "InProgress": summary.in_progress,
        "Free": max(0, summary.limit - summary.in_progress),
        "Waiting": len(decided.plan.waits),
        "AccountFaults": summary.account_faults,
        "UnansweredWorkflows": summary.unanswered_workflows,
    }
    for name, value in counts.items():
        yield Measurement(name=name, value=value)
    yield from _instances(decided)
    kinds = Counter(wait.reason.kind for wait in decided.plan.waits)
    for kind, count in sorted(kinds.items()):
        yield Measurement(name="Waiting", value=count, dimension=("reason", str(kind)))
    yield from _targets(decided)


def _targets(decided: Decision) -> Iterator[Measurement]:
    """Measure which targets did not answer; a deployment without targets has no such metric."""
    if not decided.capacity.targets:
        return
    for target in (HOME, *sorted(decided.capacity.targets)):
        silent = int(target in decided.closed)
        yield Measurement(name="Unanswered", value=silent, dimension=("target", target))


def _instances(decided: Decision) -> Iterator[Measurement]:
    """Measure training instances: in use after the cycle, and free where a limit is known.

    With several targets, each has its resources, its slots among them.
    """
    capacity = decided.capacity
    in_use: Counter[str] = Counter()
    used = [(job.target, job.instances) for job in decided.running_jobs]
    used += [(head.target, head.instances) for head in decided.plan.starts]
    for target, instances in used:
        in_use.update(_counted(capacity, target, instances))
    wanted = {
        resource
        for wait in decided.plan.waits
        for head in wait.head.placements
        for resource in _counted(capacity, head.target, head.instances)
    }
    for resource in sorted(wanted | set(in_use)):
        dimension = ("resource", resource)
        amount = in_use[resource]
        yield Measurement(name="InProgress", value=amount, dimension=dimension)
        if resource in capacity.limits:
            free = max(0, capacity.limits[resource] - amount)
            yield Measurement(name="Free", value=free, dimension=dimension)


def _counted(capacity: Capacity, target: str, instances: Mapping[str, int]) -> Mapping[str, int]:
    """Return what instances count toward, by the names of the resources of a target."""
    there = capacity.on(target)
    if there is None:  # the settings do not have the target any more
        return {}
    slots = {SLOTS: 1} if capacity.targets else {}
    return all_on_target(target, {**slots, **there.counted(instances)})


def fill_times(freed: Sequence[Freed], filled: Sequence[Filled]) -> tuple[list[float], list[Freed]]:
    """Measure how long slots stayed free while a request was queued for them.

    Each start takes the slot that was freed first among those that became free while its
    request was waiting.

    Args:
        freed: slots of ended tuning jobs, not filled in an earlier cycle.
        filled: tuning jobs created.

    Returns:
        Seconds from freed to filled, and the slots that are still free.
    """
    seconds: list[float] = []
    left = sorted(freed, key=lambda each: each.at)
    for start in sorted(filled, key=lambda each: each.at):
        slot = next((f for f in left if start.accepted_at <= f.at <= start.at), None)
        if slot:
            left.remove(slot)
            seconds.append((start.at - slot.at).total_seconds())
    return seconds, left


def freed_by(seen: Observation) -> list[Freed]:
    """Return the slots of tuning jobs that were found to have ended."""
    return [Freed(at=detail.ended_at) for _, detail in seen.ended if detail.ended_at]


def filled_by(decided: Decision, created: Mapping[str, datetime]) -> list[Filled]:
    """Return the starts of this cycle's plan whose tuning jobs exist now.

    Args:
        decided: has the planned starts.
        created: tuning job name -> when it was created.
    """
    heads = ((decided.entries[h.key].job_name, h) for h in decided.plan.starts)
    return [
        Filled(at=created[name], accepted_at=head.accepted_at)
        for name, head in heads
        if name in created
    ]
