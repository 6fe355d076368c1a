"""The limits of an embedded cloud, by the names that `hpoq local up --quota` accepts.

A profile is a set of limits for a kind of account.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from hpo_dispatcher.contract import aws_limits

INSTANCE_TYPE = "ml."  # prefix of the limits of on-demand instances of one type
SPOT = "spot:"  # prefix of the limits of spot instances of one type, as in spot:ml.m5.xlarge


class Limit(StrEnum):
    """The limits besides those of one instance type."""

    # Service quotas of SageMaker. Without a limit, a quota is not enforced.
    TUNING_JOBS = "tuning_jobs"
    TRAINING_JOBS = "training_jobs"
    INSTANCES = "instances"
    SPOT_INSTANCES = "spot_instances"
    PARALLEL_TRAINING_JOBS = "parallel_training_jobs"
    RANDOM_TRAINING_JOBS = "random_training_jobs"
    # Of this process rather than of an AWS account.
    CALLS = "api_calls_per_second"
    MEMORY = "memory_mib"
    # Of AWS Lambda.
    FUNCTION_CONCURRENCY = "function_concurrency"
    # How SageMaker behaves, in seconds.
    TAG_LAG = "tag_lag_seconds"
    DELETION = "deletion_seconds"
    STOP_GRACE = "stop_grace_seconds"
    # Whether a stopped script receives SIGTERM: 0 or 1.
    SIGTERM = "sigterm"


class Profile(StrEnum):
    """The kinds of accounts."""

    STANDARD = "standard"
    NEW_ACCOUNT = "new-account"


_COMMON: Mapping[str, int] = {Limit.TUNING_JOBS: aws_limits.TUNING_JOBS}
PROFILES: Mapping[Profile, Mapping[str, int]] = {
    Profile.STANDARD: _COMMON,
    # 4 instances: awsdocs/amazon-sagemaker-developer-guide issue 70. 15 of one type: its default
    # in "Amazon SageMaker endpoints and quotas". Types with a GPU and spot instances:
    # aws/amazon-sagemaker-examples issue 593 (0 in a new account). 10 and 750: developer guide,
    # "Resource limits for automatic model tuning". Concurrency of 10: "Lambda quotas". 120 s: API
    # reference of StopTrainingJob. SIGTERM: the entry point of SageMaker's PyTorch container is a
    # shell that does not forward it.
    Profile.NEW_ACCOUNT: {
        **_COMMON,
        Limit.INSTANCES: 4,
        Limit.SPOT_INSTANCES: 4,
        **{f"ml.m5.{size}": 15 for size in ("large", "xlarge", "2xlarge")},
        **{f"ml.{kind}.xlarge": 0 for kind in ("g4dn", "g5", "g6")},
        **{f"{SPOT}ml.m5.{size}": 0 for size in ("large", "xlarge", "2xlarge")},
        Limit.PARALLEL_TRAINING_JOBS: 10,
        Limit.RANDOM_TRAINING_JOBS: 750,
        Limit.FUNCTION_CONCURRENCY: 10,
        Limit.TAG_LAG: 3,
        Limit.DELETION: 3,
        Limit.STOP_GRACE: 120,
        Limit.SIGTERM: 0,
    },
}


def is_known(name: str) -> bool:
    """Return whether this is the name of a limit."""
    return name in set(Limit) or name.removeprefix(SPOT).startswith(INSTANCE_TYPE)


def limits_of(profile: str, given: Mapping[str, int]) -> dict[str, int]:
    """Return the limits of a profile, some of them replaced."""
    return {str(name): value for name, value in PROFILES[Profile(profile)].items()} | {
        str(name): value for name, value in given.items()
    }
