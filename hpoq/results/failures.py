"""Why training jobs of a request failed: equal reasons together, the most frequent first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpoq.results.training_jobs import TrainingJobResult, failed

UNKNOWN = "SageMaker gives no reason"


@dataclass(frozen=True, kw_only=True)
class FailureGroup:
    """Training jobs that failed for the same reason."""

    reason: str
    count: int
    first: TrainingJobResult  # the one that started first


def grouped(jobs: Sequence[TrainingJobResult]) -> list[FailureGroup]:
    """Return the failed training jobs by reason, the most frequent reason first."""
    by_reason: dict[str, list[TrainingJobResult]] = {}
    for each in sorted(failed(jobs), key=lambda job: job.number):
        # A reason may name its training job, which no other one shares.
        reason = " ".join(each.failure_reason.replace(each.name, "the training job").split())
        by_reason.setdefault(reason or UNKNOWN, []).append(each)
    groups = [
        FailureGroup(reason=_shown(reason, found), count=len(found), first=found[0])
        for reason, found in by_reason.items()
    ]
    return sorted(groups, key=lambda group: (-group.count, group.first.number))


def _shown(reason: str, found: Sequence[TrainingJobResult]) -> str:
    """Return the reason of one training job in its own words, and that of several without names."""
    own = " ".join(found[0].failure_reason.split())
    return own or reason if len(found) == 1 else reason
