"""Limits that AWS documents, the names of its quotas, and the names of its events.

Sources: "Resource limits for automatic model tuning" in the SageMaker developer guide, and the
API reference of CreateHyperParameterTuningJob.
"""

from __future__ import annotations

# Per account and Region. TUNING_JOBS cannot be increased.
TUNING_JOBS = 100
DEFAULT_PARALLEL_TRAINING_JOBS = 10

# Per tuning job.
PARALLEL_TRAINING_JOBS = 100
TRAINING_JOBS = 750
TRAINING_JOBS_RANDOM = 10_000
MIN_RUNTIME_SECONDS = 120
MAX_RUNTIME_SECONDS = 15_768_000  # half a year
WARM_START_PARENTS = 5
SEARCHED_HYPERPARAMETERS = 30
CATEGORICAL_VALUES = 30
STATIC_HYPERPARAMETERS = 100
HYPERPARAMETER_NAME_LENGTH = 256
HYPERPARAMETER_VALUE_LENGTH = 2500
TUNING_JOB_NAME_LENGTH = 32
TAGS = 50

# Quotas by name: the code of a quota differs from one instance type to the next.
QUOTA_SERVICE = "sagemaker"
TUNING_JOBS_QUOTA = "Maximum number of concurrent hyperparameter tuning jobs"
TRAINING_JOBS_QUOTA = "Total number of training jobs"
ALL_INSTANCES_QUOTA = "Number of instances across all training jobs"
ALL_SPOT_INSTANCES_QUOTA = "Number of instances across all spot training jobs"
INSTANCES_QUOTA_ENDING = " for training job usage"
SPOT_INSTANCES_QUOTA_ENDING = " for spot training job usage"
PARALLEL_TRAINING_JOBS_QUOTA = "Number of parallel training jobs per hyperparameter tuning job"
RANDOM_TRAINING_JOBS_QUOTA = "[Random search] Number of training jobs per hyperparameter tuning job"

# Events that SageMaker sends to EventBridge.
SAGEMAKER_EVENT_SOURCE = "aws.sagemaker"
TUNING_JOB_EVENT = "SageMaker HyperParameter Tuning Job State Change"
TRAINING_JOB_EVENT = "SageMaker Training Job State Change"


def training_jobs_limit(strategy: str) -> int:
    """Return how many training jobs a tuning job may have, those of its parents included."""
    return TRAINING_JOBS_RANDOM if strategy == "Random" else TRAINING_JOBS


def instances_quota(instance_type: str) -> str:
    """Return the name of the quota on training instances of a type."""
    return f"{instance_type}{INSTANCES_QUOTA_ENDING}"


def instance_type_of(quota_name: str) -> str | None:
    """Return the instance type whose training instances a quota limits; None for other quotas."""
    instance_type = quota_name.removesuffix(INSTANCES_QUOTA_ENDING)
    is_one_type = instance_type != quota_name and instance_type.startswith("ml.")
    return instance_type if is_one_type and " " not in instance_type else None
