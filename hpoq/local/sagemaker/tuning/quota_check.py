"""Whether the account's quotas allow another tuning or training job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hpo_dispatcher.contract import aws_limits
from hpoq.local.sagemaker.errors import over_limit
from hpoq.local.sagemaker.records import (
    max_parallel,
    training_job_instances,
    tuning_job_instances,
)
from hpoq.local.sagemaker.settings import AccountQuotas

Record = dict[str, Any]


@dataclass
class Usage:
    """The training jobs and instances in use.

    A tuning job counts with as many as it may ever use at once, as on AWS.
    """

    training_jobs: int = 0
    instances: Counter[str] = field(default_factory=Counter)  # by type

    @classmethod
    def of(cls, tuning_jobs: Iterable[Record], training_jobs: Iterable[Record]) -> Usage:
        """Return the usage of running tuning jobs and standalone training jobs."""
        usage = cls()
        for record in tuning_jobs:
            usage.training_jobs += max_parallel(record)
            usage.instances.update(tuning_job_instances(record))
        for record in training_jobs:
            usage.training_jobs += 1
            usage.instances.update(training_job_instances(record))
        return usage


def check_quotas(
    quotas: AccountQuotas, usage: Usage, *, training_jobs: int, instances: Mapping[str, int]
) -> None:
    """Check that a new job fits into the quotas.

    Args:
        quotas: the account's quotas.
        usage: what the running jobs use.
        training_jobs: how many training jobs the new job may run at once.
        instances: how many instances of each type the new job may use at once.

    Raises:
        ApiError: if the new job would exceed a quota.
    """
    for type_, count in instances.items():
        most, used = quotas.instances.get(type_), usage.instances[type_]
        if most is not None and used + count > most:
            raise over_limit(aws_limits.instances_quota(type_), most, used, count, "Instances")
    most, used, count = quotas.all_instances, usage.instances.total(), sum(instances.values())
    if most is not None and used + count > most:
        raise over_limit(aws_limits.ALL_INSTANCES_QUOTA, most, used, count, "Instances")
    most, used = quotas.training_jobs, usage.training_jobs
    if most is not None and used + training_jobs > most:
        raise over_limit(aws_limits.TRAINING_JOBS_QUOTA, most, used, training_jobs)
