"""When a tuning job completes before it has run all of its training jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# SageMaker does not publish when it considers a search converged. Here, the last 20 training
# jobs must have contributed less than 1 % of the improvement since the first training job.
CONVERGED_AFTER = 20
CONVERGED_SHARE = 0.01


@dataclass(frozen=True, kw_only=True)
class CompletionCriteria:
    """The TuningJobCompletionCriteria of a tuning job; None where one is not set."""

    target: float | None = None
    not_improving: int | None = None
    convergence: bool = False
    maximize: bool = True

    @classmethod
    def of(cls, config: Mapping[str, Any], *, maximize: bool) -> CompletionCriteria:
        """Return the criteria of a HyperParameterTuningJobConfig."""
        given = config.get("TuningJobCompletionCriteria", {})
        improving = given.get("BestObjectiveNotImproving", {})
        convergence = given.get("ConvergenceDetected", {}).get("CompleteOnConvergence")
        return cls(
            target=given.get("TargetObjectiveMetricValue"),
            not_improving=improving.get("MaxNumberOfTrainingJobsNotImproving"),
            convergence=convergence == "Enabled",
            maximize=maximize,
        )

    def met(self, objectives: Sequence[float]) -> str | None:
        """Return which criterion the final values meet, or None.

        Args:
            objectives: the final values of the objective metric, oldest first.
        """
        if not objectives:
            return None
        scores = [value if self.maximize else -value for value in objectives]
        target = self.target if self.maximize or self.target is None else -self.target
        if target is not None and max(scores) >= target:
            return "the objective has reached its target"
        if self.not_improving and count_since_best(scores) >= self.not_improving:
            return f"{self.not_improving} training jobs in a row did not improve the objective"
        if self.convergence and _converged(scores):
            return "the search has converged"
        return None


def count_since_best(scores: Sequence[float]) -> int:
    """Return how many scores follow the first occurrence of the highest score."""
    return len(scores) - 1 - scores.index(max(scores))


def _converged(scores: Sequence[float]) -> bool:
    if len(scores) <= CONVERGED_AFTER:
        return False
    before = scores[:-CONVERGED_AFTER]
    improvement = max(scores) - before[0]
    return max(scores) - max(before) <= CONVERGED_SHARE * improvement
