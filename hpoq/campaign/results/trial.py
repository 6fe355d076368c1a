"""Trials: the training jobs of a campaign's tuning jobs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hpo_dispatcher.contract.targets.resources import HOME


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trial as SageMaker lists it."""

    name: str
    job: int  # number of its tuning job in the plan
    status: str  # of the training job, spelled as in SageMaker
    hyperparameters: Mapping[str, str]  # the searched ones; strings, as the API returns them
    objective: float | None = None  # None: the trial has not reported one; may be NaN
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str = ""  # why it failed
    metrics: Mapping[str, float] = field(default_factory=dict)  # the last value of each, if read
    target: str = HOME  # the account and Region of its tuning job

    @property
    def usable(self) -> bool:
        """Whether the trial has a finite objective."""
        return self.objective is not None and math.isfinite(self.objective)


def ranked(trials: Iterable[Trial], *, maximize: bool) -> list[Trial]:
    """Return the usable trials, best first."""
    usable = [(trial.objective or 0.0, trial) for trial in trials if trial.usable]
    usable.sort(key=lambda each: each[0], reverse=maximize)
    return [trial for _, trial in usable]
