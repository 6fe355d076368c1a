"""Asynchronous successive halving, which stops poor trials early. Pure.

Li et al., "A System for Massively Parallel Hyperparameter Tuning", 2020 (ASHA), in the variant that
stops trials instead of pausing them.
"""

import math


class Halving:
    """The values of all trials at each rung.

    Args:
        grace: values of the objective that a trial prints before it may be stopped.
        factor: one trial in this many continues; also the ratio of one rung to the next.
        maximize: whether a greater objective is better.
    """

    def __init__(self, grace: int, factor: int, *, maximize: bool) -> None:
        self.grace, self.factor, self.maximize = grace, factor, maximize
        self._rungs: dict[int, list[float]] = {}

    def is_rung(self, step: int) -> bool:
        """Return whether trials are compared after this many values of the objective."""
        rung = self.grace
        while rung < step:
            rung *= self.factor
        return rung == step

    def continues(self, step: int, value: float) -> bool:
        """Record a trial's value at a step and return whether the trial should continue."""
        if not math.isfinite(value):
            return False
        if not self.is_rung(step):
            return True
        reached = self._rungs.setdefault(step, [])
        reached.append(value)
        if len(reached) < self.factor:
            return True
        ordered = sorted(reached, reverse=self.maximize)
        bound = ordered[len(reached) // self.factor - 1]
        return value >= bound if self.maximize else value <= bound
