"""Whether the account's quotas allow another tuning or training job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hpo_dispatcher.contract import aws_limits
from hpoq.local.sagemaker.errors import CONTACT_SUPPORT, USE_SERVICE_QUOTAS, over_limit
from hpoq.local.sagemaker.records import (
    is_spot,
    max_parallel,
    most_instances,
    training_job_instances,
    tuning_job_instances,
)
from hpoq.local.sagemaker.settings import AccountQuotas

Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Demand:
    """The training jobs and instances that a job may use at once."""

    training_jobs: int
    instances: Mapping[str, int]  # by type
    all_instances: int
    spot: bool

    @classmethod
    def of_tuning_job(cls, record: Record) -> Demand:
        """Return the demand of a tuning job: as much as it may ever use at once, as on AWS."""
        return cls(
            training_jobs=max_parallel(record),
            instances=tuning_job_instances(record),
            all_instances=most_instances(record),
            spot=is_spot(record),
        )

    @classmethod
    def of_training_job(cls, record: Record) -> Demand:
        """Return the demand of a training job that belongs to no tuning job."""
        instances = training_job_instances(record)
        return cls(
            training_jobs=1,
            instances=instances,
            all_instances=sum(instances.values()),
            spot=is_spot(record),
        )


@dataclass
class Usage:
    """The training jobs and instances in use."""

    training_jobs: int = 0
    on_demand: Counter[str] = field(default_factory=Counter)  # instances by type
    spot: Counter[str] = field(default_factory=Counter)
    all_on_demand: int = 0
    all_spot: int = 0

    @classmethod
    def of(cls, tuning_jobs: Iterable[Record], training_jobs: Iterable[Record]) -> Usage:
        """Return the usage of running tuning jobs and standalone training jobs."""
        usage = cls()
        for record in tuning_jobs:
            usage.add(Demand.of_tuning_job(record))
        for record in training_jobs:
            usage.add(Demand.of_training_job(record))
        return usage

    def add(self, demand: Demand) -> None:
        """Count what another job may use."""
        self.training_jobs += demand.training_jobs
        if demand.spot:
            self.spot.update(demand.instances)
            self.all_spot += demand.all_instances
        else:
            self.on_demand.update(demand.instances)
            self.all_on_demand += demand.all_instances


def check_tuning_job_size(quotas: AccountQuotas, record: Record, inherited: int) -> None:
    """Check a new tuning job against the quotas of a single one.

    Args:
        quotas: the account's quotas.
        record: the new tuning job.
        inherited: number of training jobs that its warm start parents have launched.

    Raises:
        ApiError: if it may run or start more training jobs than the account's quotas allow.
    """
    config = record["HyperParameterTuningJobConfig"]
    parallel, most = max_parallel(record), quotas.parallel_training_jobs
    if parallel > most:
        raise over_limit(aws_limits.PARALLEL_TRAINING_JOBS_QUOTA, most, 0, parallel)
    jobs, most = (
        config["ResourceLimits"].get("MaxNumberOfTrainingJobs"),
        quotas.random_training_jobs,
    )
    if config["Strategy"] == "Random" and jobs is not None and jobs + inherited > most:
        raise over_limit(aws_limits.RANDOM_TRAINING_JOBS_QUOTA, most, inherited, jobs)


def check_quotas(quotas: AccountQuotas, usage: Usage, demand: Demand) -> None:
    """Check that a new job fits into the quotas.

    Args:
        quotas: the account's quotas.
        usage: what the running jobs use.
        demand: what the new job may use at once.

    Raises:
        ApiError: if the new job would exceed a quota.
    """
    of_one, limit = demand.all_instances // max(1, demand.training_jobs), quotas.instances_per_job
    if of_one > limit:
        raise over_limit(aws_limits.INSTANCES_PER_JOB_QUOTA, limit, 0, of_one, unit="Instances")
    if demand.spot:
        used, by_type, all_types = usage.spot, quotas.spot_instances, quotas.all_spot_instances
        in_all = usage.all_spot
        ending, name = aws_limits.SPOT_INSTANCES_QUOTA_ENDING, aws_limits.ALL_SPOT_INSTANCES_QUOTA
        remedy = USE_SERVICE_QUOTAS
    else:
        used, by_type, all_types = usage.on_demand, quotas.instances, quotas.all_instances
        in_all = usage.all_on_demand
        ending, name = aws_limits.INSTANCES_QUOTA_ENDING, aws_limits.ALL_INSTANCES_QUOTA
        remedy = CONTACT_SUPPORT
    exceeds = partial(over_limit, unit="Instances", remedy=remedy)
    for type_, count in demand.instances.items():
        most = by_type.get(type_)
        if most is not None and used[type_] + count > most:
            raise exceeds(type_ + ending, most, used[type_], count)
    wanted = demand.all_instances
    if all_types is not None and in_all + wanted > all_types:
        raise exceeds(name, all_types, in_all, wanted)
    most, running, count = quotas.training_jobs, usage.training_jobs, demand.training_jobs
    if most is not None and running + count > most:
        raise over_limit(aws_limits.TRAINING_JOBS_QUOTA, most, running, count)
