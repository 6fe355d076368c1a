"""When a tuning job has found enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# SageMaker does not publish when it calls a search converged. Here: when this many training
# jobs in a row brought less than a hundredth of what the search has gained so far.
CONVERGED_AFTER = 20
CONVERGED_SHARE = 0.01


@dataclass(frozen=True, kw_only=True)
class Criteria:
    """``TuningJobCompletionCriteria``; None where it is not asked for."""

    target: float | None = None
    not_improving: int | None = None
    convergence: bool = False
    maximise: bool = True

    @classmethod
    def of(cls, config: Mapping[str, Any], *, maximise: bool) -> Criteria:
        """As HyperParameterTuningJobConfig has them."""
        asked = config.get("TuningJobCompletionCriteria", {})
        improving = asked.get("BestObjectiveNotImproving", {})
        convergence = asked.get("ConvergenceDetected", {}).get("CompleteOnConvergence")
        return cls(
            target=asked.get("TargetObjectiveMetricValue"),
            not_improving=improving.get("MaxNumberOfTrainingJobsNotImproving"),
            convergence=convergence == "Enabled",
            maximise=maximise,
        )

    def met(self, objectives: Sequence[float]) -> str | None:
        """Which criterion is met, after these final values in the order of their coming."""
        if not objectives:
            return None
        upwards = [value if self.maximise else -value for value in objectives]
        target = self.target if self.maximise or self.target is None else -self.target
        if target is not None and max(upwards) >= target:
            return "the objective has reached its target"
        if self.not_improving and since_best(upwards) >= self.not_improving:
            return f"{self.not_improving} training jobs in a row brought nothing better"
        if self.convergence and _converged(upwards):
            return "the search has converged"
        return None


def since_best(upwards: Sequence[float]) -> int:
    """How many came after the best so far."""
    return len(upwards) - 1 - upwards.index(max(upwards))


def _converged(upwards: Sequence[float]) -> bool:
    if len(upwards) <= CONVERGED_AFTER:
        return False
    before = upwards[:-CONVERGED_AFTER]
    gained = max(upwards) - before[0]
    return max(upwards) - max(before) <= CONVERGED_SHARE * gained
