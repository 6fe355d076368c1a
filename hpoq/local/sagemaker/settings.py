"""Settings of the tuning engine: the account that it simulates, and this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hpo_dispatcher.contract import aws_limits
from hpoq.local.environments import cache_folder

# Of every ARN in the embedded cloud: ministack knows no other.
PARTITION = "aws"


@dataclass(frozen=True, kw_only=True)
class AccountQuotas:
    """The service quotas that the engine enforces; None means unlimited."""

    tuning_jobs: int = aws_limits.TUNING_JOBS  # running at once
    training_jobs: int | None = None  # running at once, including those of tuning jobs
    all_instances: int | None = None  # on demand, in use by all running training jobs together
    all_spot_instances: int | None = None
    instances: Mapping[str, int] = field(default_factory=dict)  # on demand, by type
    spot_instances: Mapping[str, int] = field(default_factory=dict)  # by type
    instances_per_job: int = aws_limits.INSTANCES_PER_JOB
    parallel_training_jobs: int = aws_limits.PARALLEL_TRAINING_JOBS  # of one tuning job
    random_training_jobs: int = aws_limits.TRAINING_JOBS_RANDOM  # of one tuning job


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """The account, its limits, and the interpreter of the training scripts."""

    region: str
    account: str
    interpreter: Path  # runs the training scripts
    # The folder of Python environments with the packages of scripts' requirements.txt.
    environments: Path = field(default_factory=cache_folder)
    pip: Mapping[str, str] = field(default_factory=dict)  # variables for pip
    quotas: AccountQuotas = AccountQuotas()
    calls_per_second: float | None = None  # per operation; None disables throttling
    memory_mib: int | None = None  # limit of a training job on each of its instances
    tag_lag_seconds: float = 0  # until ListTags and Search show a new job
    deletion_seconds: float = 0  # for which a deleted tuning job is Deleting
    stop_grace_seconds: float = 120  # API reference, StopTrainingJob
    sigterm: bool = True  # whether a stopped script receives SIGTERM
    # The number of training jobs that run at once.
    processes: int = field(default_factory=lambda: max(2, os.cpu_count() or 2))

    def arn(self, kind: str, name: str) -> str:
        """Return the ARN of a tuning or training job; SageMaker writes its name in lower case."""
        return f"arn:{PARTITION}:sagemaker:{self.region}:{self.account}:{kind}/{name.lower()}"
