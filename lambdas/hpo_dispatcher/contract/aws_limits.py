"""Limits that AWS documents, the names of its quotas, and the names of its events.

Sources: "Resource limits for automatic model tuning" in the SageMaker developer guide, and the
API reference of CreateHyperParameterTuningJob. For workflows: the API references of SendTaskSuccess
and SendTaskFailure (Step Functions), and of SendPipelineExecutionStepSuccess, OutputParameter and
SendPipelineExecutionStepFailure (SageMaker).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Per account and Region. TUNING_JOBS cannot be increased.
TUNING_JOBS = 100

# Per tuning job. AWS raises the two defaults by request, to the numbers above them.
PARALLEL_TRAINING_JOBS = 100
DEFAULT_PARALLEL_TRAINING_JOBS = 10
TRAINING_JOBS_RANDOM = 10_000
DEFAULT_TRAINING_JOBS_RANDOM = 750
TRAINING_JOBS = 750  # with every other strategy
# "Maximum number of instances per training job" and "Longest run time for a training job", of one
# training job in an account without raised quotas: "Feature Processor restrictions, limits, and
# quotas" in the developer guide, "Training Limits per Region".
INSTANCES_PER_JOB = 20
DEFAULT_TRAINING_RUNTIME_SECONDS = 432_000  # 5 days
MIN_RUNTIME_SECONDS = 120
TRAINING_RUNTIME_SECONDS = 2_419_200  # of one training job, 28 days
MAX_RUNTIME_SECONDS = 15_768_000  # half a year
WARM_START_PARENTS = 5
SEARCHED_HYPERPARAMETERS = 30
CATEGORICAL_VALUES = 30
STATIC_HYPERPARAMETERS = 100
HYPERPARAMETER_NAME_LENGTH = 256
HYPERPARAMETER_VALUE_LENGTH = 2500
TUNING_JOB_NAME_LENGTH = 32
# "HyperbandTraining attempts to infer MaxResource from the following keys (if present) in
# StaticsHyperParameters" (HyperbandStrategyConfig in the API reference).
EPOCHS_HYPERPARAMETERS = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")
TAGS = 50

# Of the answers to workflows that wait.
TASK_TOKEN = 2048  # characters
TASK_OUTPUT = 262_144  # bytes in UTF-8
TASK_ERROR = 256  # characters
TASK_CAUSE = 32_768  # characters
CALLBACK_TOKEN = 10  # characters, exactly
STEP_FAILURE_REASON = 256  # characters
OUTPUT_PARAMETER_VALUE = 1024  # characters

# Families of TrainingInstanceType whose volume is a local disk, which its hardware encrypts: "You
# can't request a VolumeKmsKeyId when using an instance type with local storage" (ResourceConfig in
# the API reference). Families by "Instance store volume limits" in the Amazon EC2 user guide.
LOCAL_STORAGE_FAMILIES = {
    "g4dn", "g5", "g6", "g6e", "g7", "g7e", "p3dn", "p4d", "p4de", "p5", "p5e", "p5en",
    "p6-b200", "p6-b300", "p6e-gb200", "r5d", "trn1", "trn1n", "trn2",
}  # fmt: skip
INSTANCE_TYPE_PREFIX = "ml."

# "KeyArn" in the AWS KMS developer guide: "Key identifiers (KeyId)".
KEY_ARN_PATTERN = r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+"

# retentionInDays of PutRetentionPolicy in the CloudWatch Logs API reference.
LOG_RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
)  # fmt: skip

# Repositories of the built-in algorithms, which define their metrics: "Docker Registry Paths and
# Example Code" in the SageMaker developer guide.
BUILT_IN_ALGORITHMS = {
    "blazingtext", "factorization-machines", "forecasting-deepar", "image-classification",
    "ipinsights", "kmeans", "knn", "lda", "linear-learner", "ntm", "object-detection",
    "object2vec", "pca", "randomcutforest", "sagemaker-xgboost", "semantic-segmentation",
    "seq2seq", "xgboost",
}  # fmt: skip

# Seconds that a training job may run if its StoppingCondition does not say.
DEFAULT_RUN_SECONDS = 86_400

# What is published about the time until a training job runs its script. The first is about one
# account, not a promise: "the provisioned instance takes roughly 3min to bootstrap" (J. Pereira,
# "Fast and Scalable Hyperparameter Tuning and Cross-validation in AWS SageMaker", Towards Data
# Science, March 2023). The second is about the later training jobs of a tuning job, which reuse
# instances; AWS announced "up to" 20 times less, so that it is the best case. The address is as
# that article and others quote it:
# https://aws.amazon.com/about-aws/whats-new/2022/08/amazon-sagemaker-automatic-model-tuning-reuses-sagemaker-training-instances-reduce-start-up-overheads/
STARTUP_MINUTES = 3.0
REUSED_INSTANCE_SPEEDUP = 20

# Where a container finds the files of its channels.
CHANNELS_FOLDER = "/opt/ml/input/data"

# Quotas by name: the code of a quota differs from one instance type to the next.
QUOTA_SERVICE = "sagemaker"
TUNING_JOBS_QUOTA = "Maximum number of concurrent hyperparameter tuning jobs"
TRAINING_JOBS_QUOTA = "Total number of training jobs"
ALL_INSTANCES_QUOTA = "Number of instances across all training jobs"
ALL_SPOT_INSTANCES_QUOTA = "Number of instances across all spot training jobs"
INSTANCES_QUOTA_ENDING = " for training job usage"
SPOT_INSTANCES_QUOTA_ENDING = " for spot training job usage"
PARALLEL_TRAINING_JOBS_QUOTA = "Number of parallel training jobs per hyperparameter tuning job"
INSTANCES_PER_JOB_QUOTA = "Maximum number of instances per training job"
RANDOM_TRAINING_JOBS_QUOTA = "[Random search] Number of training jobs per hyperparameter tuning job"

# The longest MessageRetentionPeriod: SetQueueAttributes in the Amazon SQS API reference.
SQS_RETENTION_DAYS = 14

# How older answers name INSTANCES_QUOTA_ENDING: "training-job/ml.m5.large".
OLD_INSTANCES_QUOTA_BEGINNING = "training-job/"

# Training instances as this project names them: "ml.m5.large", "ml.m5.large (spot)" or a total.
SPOT_ENDING = " (spot)"
ALL_INSTANCES = "all training instances"
ALL_SPOT_INSTANCES = "all spot training instances"
TOTALS = {ALL_INSTANCES_QUOTA: ALL_INSTANCES, ALL_SPOT_INSTANCES_QUOTA: ALL_SPOT_INSTANCES}

# The log group of the training jobs of an account and Region.
TRAINING_LOG_GROUP = "/aws/sagemaker/TrainingJobs"

# Events that SageMaker sends to EventBridge.
SAGEMAKER_EVENT_SOURCE = "aws.sagemaker"
TUNING_JOB_EVENT = "SageMaker HyperParameter Tuning Job State Change"
TRAINING_JOB_EVENT = "SageMaker Training Job State Change"


@dataclass(frozen=True, kw_only=True)
class QuotaExceeded:
    """The quota that AWS names when it refuses to create something."""

    name: str
    limit: int
    in_use: int  # may be more than the limit
    requested: int


def training_jobs_limit(strategy: str) -> int:
    """Return how many training jobs a tuning job may have, those of its parents included."""
    return TRAINING_JOBS_RANDOM if strategy == "Random" else TRAINING_JOBS


def epochs_of(static_hyperparameters: Mapping[str, str]) -> int | None:
    """Return the number of epochs that Hyperband infers from fixed hyperparameters, if any.

    "If HyperbandStrategyConfig is unable to infer a value for MaxResource, it generates a
    validation error" (API reference). Values may be JSON, as the SageMaker SDK writes them.
    """
    texts = (static_hyperparameters.get(name, "") for name in EPOCHS_HYPERPARAMETERS)
    numbers = (int(text.strip('"')) for text in texts if text.strip('"').isdecimal())
    return next((number for number in numbers if number > 0), None)


def family_of(instance_type: str) -> str:
    """Return the family of an instance type: ``g5`` for ``ml.g5.xlarge``."""
    return instance_type.removeprefix(INSTANCE_TYPE_PREFIX).partition(".")[0]


def has_local_storage(instance_type: str) -> bool:
    """Return whether the volume of an instance is a local disk."""
    return family_of(instance_type) in LOCAL_STORAGE_FAMILIES


def has_gpu(instance_type: str) -> bool:
    """Return whether an instance has GPUs, by the first letter of its family as the SDK does."""
    return family_of(instance_type).startswith(("g", "p"))


def is_built_in_algorithm(image: str) -> bool:
    """Return whether an image is one of the built-in algorithms."""
    repository = image.rpartition("/")[2]
    return repository.partition("@")[0].partition(":")[0] in BUILT_IN_ALGORITHMS


def instances_quota(instance_type: str) -> str:
    """Return the name of the quota on training instances of a type."""
    return f"{instance_type}{INSTANCES_QUOTA_ENDING}"


def quota_of(resource: str) -> str:
    """Return the name of the quota on training instances of a type, or on a total of them."""
    for quota, total in TOTALS.items():
        if resource == total:
            return quota
    ending = SPOT_INSTANCES_QUOTA_ENDING if is_spot(resource) else INSTANCES_QUOTA_ENDING
    return f"{type_of(resource)}{ending}"


def instances_resource(instance_type: str, *, spot: bool) -> str:
    """Return the name of the training instances of a type, of which spot ones have own quotas."""
    return f"{instance_type}{SPOT_ENDING}" if spot else instance_type


def is_spot(resource: str) -> bool:
    """Return whether instances named by ``instances_resource`` are spot instances."""
    return resource.endswith(SPOT_ENDING)


def type_of(resource: str) -> str:
    """Return the type of instances named by ``instances_resource``."""
    return resource.removesuffix(SPOT_ENDING)


def all_instances(resource: str) -> str:
    """Return the name of the total that these instances count toward."""
    return ALL_SPOT_INSTANCES if is_spot(resource) else ALL_INSTANCES


def is_total(resource: str) -> bool:
    """Return whether a resource is a total over all types of instances."""
    return resource in TOTALS.values()


def totals_of(instances: Mapping[str, int]) -> dict[str, int]:
    """Return how many instances may be in use at once, by purchase option.

    Args:
        instances: instances by type and purchase option, and totals that are less than their sums.
    """
    sums: dict[str, int] = {}
    for resource, count in instances.items():
        if not is_total(resource):
            total = all_instances(resource)
            sums[total] = sums.get(total, 0) + count
    return {total: instances.get(total, count) for total, count in sums.items()}


def resource_of(quota_name: str) -> str | None:
    """Return the name of the training instances that a quota limits; None for other quotas."""
    if quota_name in TOTALS:
        return TOTALS[quota_name]
    if quota_name.startswith(OLD_INSTANCES_QUOTA_BEGINNING):
        return quota_name.removeprefix(OLD_INSTANCES_QUOTA_BEGINNING)
    for ending, spot in ((INSTANCES_QUOTA_ENDING, False), (SPOT_INSTANCES_QUOTA_ENDING, True)):
        instance_type = quota_name.removesuffix(ending)
        is_one_type = instance_type.startswith("ml.") and " " not in instance_type
        if instance_type != quota_name and is_one_type:
            return instances_resource(instance_type, spot=spot)
    return None
