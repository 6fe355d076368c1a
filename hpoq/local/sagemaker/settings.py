"""What the cloud tells the engine about the account it plays."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Quotas:
    """Service quotas of the account."""

    tuning_jobs: int = 100
    training_jobs: int | None = None  # at once, those of tuning jobs included
    all_instances: int | None = None  # across all training jobs
    instances: dict[str, int] = field(default_factory=dict)  # type -> training instances


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """The account, and the machine it runs on."""

    region: str
    account: str
    interpreter: Path  # runs the training scripts
    quotas: Quotas = Quotas()
    calls_per_second: float | None = None  # of one operation, before the API throttles it
    memory_mib: int | None = None  # the most a training job may take on each of its instances
    processes: int = field(default_factory=lambda: max(2, os.cpu_count() or 2))  # at once

    def arn(self, kind: str, name: str) -> str:
        """ARNs of tuning and training jobs are lower-case."""
        return f"arn:aws:sagemaker:{self.region}:{self.account}:{kind}/{name.lower()}"
