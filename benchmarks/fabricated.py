"""Synthetic trials in the form SageMaker lists them, for tests and benchmarks."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.results.trial import Trial

REQUEST: dict[str, Any] = {
    "strategy": "Bayesian",
    "objective": {"metric": "validation:auc", "type": "Maximize"},
    "hyperparameter_ranges": {
        "lr": {"type": "continuous", "min": 1e-4, "max": 0.1, "scaling": "Logarithmic"},
        "dropout": {"type": "continuous", "min": 0.0, "max": 0.6},
        "batch-size": {"type": "integer", "min": 64, "max": 1024},
        "optimizer": {"type": "categorical", "values": ["adam", "sgd"]},
    },
}
BEGAN = datetime(2026, 11, 23, 9, tzinfo=UTC)


def trials(plan: CampaignPlan, seed: int = 0) -> Iterator[Trial]:
    """Yield synthetic results of all trials of a plan; some fail, some have a NaN objective."""
    draw = random.Random(seed)
    lanes = [BEGAN] * plan.slots
    for job in plan.jobs:
        narrow = 1.0 if job.explores else 1.0 / job.wave
        for index in range(job.trials):
            lane = min(range(len(lanes)), key=lanes.__getitem__)
            start = lanes[lane]
            end = start + timedelta(minutes=draw.lognormvariate(1.5, 0.5))
            lanes[lane] = end
            lr = 10 ** (-2.2 + narrow * draw.uniform(-1.5, 1.2))
            dropout = 0.2 + narrow * draw.uniform(-0.2, 0.4)
            optimizer = draw.choice(["adam", "sgd"])
            fate = draw.random()
            value = 0.78 - 0.02 * (math.log10(lr) + 2.2) ** 2 - 0.03 * (dropout - 0.2) ** 2
            value += draw.gauss(0, 0.002) - 0.01 * (optimizer == "sgd")
            yield Trial(
                name=f"{plan.campaign.name}-{job.number:04}-{index + 1:03}",
                job=job.number,
                status="Failed" if fate < 0.02 else "Completed",
                hyperparameters={
                    "lr": repr(lr), "dropout": repr(dropout),
                    "batch-size": str(draw.randint(64, 1024)), "optimizer": f'"{optimizer}"',
                },
                objective=None if fate < 0.02 else math.nan if fate < 0.03 else value,
                created_at=start - timedelta(seconds=20), started_at=start, ended_at=end,
                reason="AlgorithmError: CUDA out of memory" if fate < 0.02 else "",
            )  # fmt: skip
