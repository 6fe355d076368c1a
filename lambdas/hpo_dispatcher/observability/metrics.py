"""What a cycle measures: its facts as named values. Pure; ``telemetry`` collects and writes them.

The names are a contract: dashboard and alarms read them, docs/operations.md lists them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from hpo_dispatcher.cycle.outcome import Decision, Observation, Summary
from hpo_dispatcher.scheduling.budget import HELD
from hpo_dispatcher.scheduling.plan import SLOTS, Wait, needs

# A slot that nobody has filled for so long was not waited for.
STILL_FREED = timedelta(hours=1)


# All there are, with the name of the dimension they have besides the deployment's, if any.
METRICS = frozenset(
    [
        *((name, "") for name in (
            "CycleSeconds", "SkippedCycles", "FailedCycles",
            "Accepted", "Rejected", "Started", "Finished",
            "InProgress", "Free", "SlotFillSeconds",
            "Queued", "OldestSeconds", "Waiting", "Blocked",
            "ApiCalls", "ApiThrottles",
        )),
        *((name, "resource") for name in ("InProgress", "Free")),
        *((name, "team") for name in ("Queued", "OldestSeconds")),
        *((name, "reason") for name in ("Waiting", "Rejected")),
        *((name, "api") for name in ("ApiCalls", "ApiThrottles")),
    ]
)  # fmt: skip


class Unit(StrEnum):
    """CloudWatch's units that are used here."""

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
    """A tuning job has ended, and with it a slot became free."""

    at: datetime


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A request started that may have waited for a slot."""

    at: datetime
    accepted_at: datetime


def of_cycle(summary: Summary, decided: Decision) -> Iterator[Measurement]:
    """What every complete cycle measures."""
    yield Measurement(name="CycleSeconds", value=summary.seconds, unit=Unit.SECONDS)
    counts = {
        "Accepted": summary.accepted,
        "Rejected": summary.rejected,
        "Started": summary.started,
        "Finished": summary.finished,
        "InProgress": summary.in_progress,
        "Free": max(0, summary.limit - summary.in_progress),
        "Waiting": len(decided.plan.waits),
    }
    for name, value in counts.items():
        yield Measurement(name=name, value=value)
    yield from _instances(decided)
    reasons = Counter(why(wait) for wait in decided.plan.waits)
    for reason, count in sorted(reasons.items()):
        yield Measurement(name="Waiting", value=count, dimension=("reason", reason))


def _instances(decided: Decision) -> Iterator[Measurement]:
    """By instance type: in use after the cycle, and free where a limit is known."""
    in_use: Counter[str] = Counter()
    for demand in (
        *(holder.demand for holder in decided.holders),
        *(head.demand for head in decided.plan.starts),
    ):
        in_use.update(demand.instances)
    limits = decided.capacity.instances
    wanted = {each for wait in decided.plan.waits for each in wait.head.demand.instances}
    for instance_type in sorted(wanted | set(in_use)):
        dimension = ("resource", instance_type)
        used = in_use[instance_type]
        yield Measurement(name="InProgress", value=used, dimension=dimension)
        if instance_type in limits:
            free = max(0, limits[instance_type] - used)
            yield Measurement(name="Free", value=free, dimension=dimension)


def why(wait: Wait) -> str:
    """The kind of a wait's reason (docs/admission.md), few enough to draw a line for each."""
    reason = wait.reason
    if reason.endswith("never fits"):
        return "never fits"
    if "at its ceiling" in reason:
        return "team ceiling"
    if HELD in reason:
        return "team budget"
    if reason.startswith(f"{SLOTS} "):
        return SLOTS
    if any(reason.startswith(f"{resource} ") for resource in needs(wait.head.demand)):
        return "instances"
    return "next in line" if reason == "next in line" else "other"


def fill_times(freed: Sequence[Freed], filled: Sequence[Filled]) -> tuple[list[float], list[Freed]]:
    """How long slots stayed empty though a request was in line for them.

    Each start takes the slot that was freed first among those that became free while its
    request was waiting.

    Args:
        freed: slots that tuning jobs of ours left, filled in no earlier cycle.
        filled: tuning jobs created.

    Returns:
        Seconds from freed to filled, and the slots that are still empty.
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
    """Slots of tuning jobs that have been found ended."""
    return [Freed(at=detail.ended_at) for _, detail in seen.ended if detail.ended_at]


def filled_by(decided: Decision, created: Mapping[str, datetime]) -> list[Filled]:
    """Requests of this cycle's plan whose tuning jobs exist now.

    Args:
        decided: what was to start.
        created: tuning job name -> when it was created.
    """
    heads = ((decided.entries[h.key].job_name, h) for h in decided.plan.starts)
    return [
        Filled(at=created[name], accepted_at=head.accepted_at)
        for name, head in heads
        if name in created
    ]
