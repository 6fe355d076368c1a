"""What a simulation measures in the ledger and in SageMaker at its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from hpo_dispatcher.contract.entry import Entry, Key
from hpoq.simulation.result import percentiles
from hpoq.simulation.sagemaker import SimulatedJob


def duplicated(jobs: Iterable[SimulatedJob], entries: Mapping[Key, Entry]) -> int:
    """Count tuning jobs beyond one per request and one per preemption."""
    keys = [job.key for job in jobs if job.key]
    stops = sum(len(entries[key].earlier) for key in set(keys))
    return len(keys) - len(set(keys)) - stops


def started(entries: Iterable[Entry], since: datetime) -> list[tuple[float, str, str]]:
    """Return when each request started, in seconds, with its team and request id."""
    return [
        ((entry.started_at - since).total_seconds(), entry.team, entry.request_id)
        for entry in entries
        if entry.started_at
    ]


def waits(entries: Iterable[Entry]) -> dict[str, dict[str, float]]:
    """Return the percentiles of the waiting times of each team's started requests, in seconds."""
    seconds: dict[str, list[float]] = {}
    for entry in entries:
        if entry.started_at:
            wait = (entry.started_at - entry.accepted_at).total_seconds()
            seconds.setdefault(entry.team, []).append(wait)
    return {team: percentiles(each) for team, each in sorted(seconds.items())}
