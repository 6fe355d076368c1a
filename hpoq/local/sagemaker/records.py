"""The stored records of tuning and training jobs, in the shape that the API describes.

Fields whose names begin with an underscore are the engine's own; responses leave them out.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

from hpoq.local.sagemaker.errors import invalid

Record = dict[str, Any]

TUNING_JOB = "hyper-parameter-tuning-job"  # in ARNs
TRAINING_JOB = "training-job"
ACTIVE = ("InProgress", "Stopping")  # statuses of jobs that have not ended
IDENTICAL = "IdenticalDataAndAlgorithm"
_TUNING_ONLY_FIELDS = {
    "DefinitionName", "TuningObjective", "HyperParameterRanges", "StaticHyperParameters",
    "HyperParameterTuningResourceConfig", "RetryStrategy",
}  # fmt: skip
_SUMMARY_FIELDS = (
    "TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime", "TrainingEndTime",
    "TrainingJobStatus", "FailureReason",
)  # fmt: skip


def strategy_of(tuning_job: Record) -> str:
    """Return how a tuning job chooses hyperparameters."""
    return str(tuning_job["HyperParameterTuningJobConfig"]["Strategy"])


def definitions_of(tuning_job: Record) -> list[Record]:
    """Return the training job definitions of a tuning job."""
    several = tuning_job.get("TrainingJobDefinitions")
    return list(several) if several else [tuning_job["TrainingJobDefinition"]]


def ranges_of(tuning_job: Record, definition: Record) -> Record:
    """Return the ParameterRanges of a definition."""
    shared = tuning_job["HyperParameterTuningJobConfig"].get("ParameterRanges", {})
    return dict(definition.get("HyperParameterRanges") or shared)


def searched_names(ranges: Record) -> list[str]:
    """Return the names of the hyperparameters in ParameterRanges."""
    return [each["Name"] for kind in ranges.values() for each in kind]


def objective_metric(tuning_job: Record, definition: Record) -> Record:
    """Return the objective of a definition: its Type and MetricName.

    Raises:
        ApiError: if the tuning job names no objective.
    """
    config = tuning_job["HyperParameterTuningJobConfig"]
    objective = definition.get("TuningObjective") or config.get("HyperParameterTuningJobObjective")
    if not objective:
        raise invalid("No objective metric: HyperParameterTuningJobObjective is required.")
    return dict(objective)


def training_job_from(definition: Record, objective: Record, tuned: Record) -> Record:
    """Return the fields that a definition and the tuned values determine of a training job."""
    shared = {key: value for key, value in definition.items() if key not in _TUNING_ONLY_FIELDS}
    static = definition.get("StaticHyperParameters", {})
    return shared | {
        "HyperParameters": {
            **static,
            **tuned,
            "_tuning_objective_metric": objective["MetricName"],
        },
        "ResourceConfig": resource_config(definition),
        "_tuned": tuned,
        "_objective": objective,
        "_definition": definition.get("DefinitionName"),
        "_retries": definition.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0),
    }


def resource_config(definition: Record) -> Record:
    """Return ResourceConfig, or the first choice of HyperParameterTuningResourceConfig."""
    resources = definition.get("ResourceConfig")
    if resources:
        return dict(resources)
    flexible = definition.get("HyperParameterTuningResourceConfig", {})
    return dict((flexible.get("InstanceConfigs") or [flexible])[0])


def without_tags(request: Record) -> Record:
    """Return a request without its tags, which are stored separately."""
    return {key: value for key, value in request.items() if key != "Tags"}


def parent_names(tuning_job: Record) -> list[str]:
    """Return the names of the tuning jobs that this one starts warm from."""
    config = tuning_job.get("WarmStartConfig", {})
    parents = config.get("ParentHyperParameterTuningJobs", ())
    return [each["HyperParameterTuningJobName"] for each in parents]


def final_objective(training_job: Record) -> float | None:
    """Return the final value of a training job's objective metric, or None."""
    name = training_job["_objective"]["MetricName"]
    for each in training_job.get("FinalMetricDataList", ()):
        if each["MetricName"] == name and training_job["TrainingJobStatus"] != "Failed":
            return float(each["Value"])
    return None


def is_better(objective: Record, value: float, best: Record | None) -> bool:
    """Return whether a value is better than that of a training job's summary."""
    if best is None:
        return True
    other = best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    return bool(value > other if objective["Type"] == "Maximize" else value < other)


def is_retryable(training_job: Record) -> bool:
    """Return whether a training job failed through no fault of its script."""
    reason = str(training_job.get("FailureReason", ""))
    failed = training_job["TrainingJobStatus"] == "Failed"
    return failed and reason.startswith("InternalServerError")


def max_parallel(tuning_job: Record) -> int:
    """Return how many training jobs a tuning job may run at once."""
    limits = tuning_job["HyperParameterTuningJobConfig"]["ResourceLimits"]
    return int(limits["MaxParallelTrainingJobs"])


def tuning_job_instances(tuning_job: Record) -> dict[str, int]:
    """Return the most instances, by type, that a tuning job may use at once."""
    parallel, of_each = max_parallel(tuning_job), _instances_of_each(tuning_job)
    types = {type_ for instances in of_each for type_ in instances}
    return {type_: parallel * max(each.get(type_, 0) for each in of_each) for type_ in types}


def most_instances(tuning_job: Record) -> int:
    """Return the most instances, over all types, that a tuning job may use at once."""
    of_each = _instances_of_each(tuning_job)
    return max_parallel(tuning_job) * max(sum(each.values()) for each in of_each)


def _instances_of_each(tuning_job: Record) -> list[dict[str, int]]:
    """Return the instances, by type, of a training job of each definition."""
    resources = map(resource_config, definitions_of(tuning_job))
    return [training_job_instances({"ResourceConfig": each}) for each in resources]


def training_job_instances(training_job: Record) -> dict[str, int]:
    """Return the instances, by type, that a training job uses."""
    resources = training_job["ResourceConfig"]
    used: Counter[str] = Counter()
    for each in resources.get("InstanceGroups") or [resources]:
        if "InstanceType" in each:
            used[each["InstanceType"]] += each.get("InstanceCount", 1)
    return dict(used)


def is_spot(record: Record) -> bool:
    """Return whether a tuning job or a standalone training job uses spot instances."""
    if "HyperParameterTuningJobConfig" not in record:
        return bool(record.get("EnableManagedSpotTraining"))
    return any(each.get("EnableManagedSpotTraining") for each in definitions_of(record))


def training_job_summary(training_job: Record) -> Record:
    """Return a HyperParameterTrainingJobSummary."""
    value = final_objective(training_job)
    summary: Record = {key: training_job[key] for key in _SUMMARY_FIELDS if key in training_job}
    summary["TuningJobName"] = training_job["_tuning_job"]
    summary["TrainingJobDefinitionName"] = training_job.get("_definition")
    summary["TunedHyperParameters"] = training_job["_tuned"]
    summary["ObjectiveStatus"] = "Pending" if value is None else "Succeeded"
    if value is None and training_job["TrainingJobStatus"] not in ACTIVE:
        summary["ObjectiveStatus"] = "Failed"
    if value is not None:
        summary["FinalHyperParameterTuningJobObjectiveMetric"] = {
            **training_job["_objective"],
            "Value": value,
        }
    return summary


def training_job_name(tuning_job: str, number: int) -> str:
    """Return a name such as SageMaker gives: the tuning job's, a number, and a unique suffix."""
    digest = hashlib.sha256(f"{tuning_job}/{number}".encode()).hexdigest()[:8]
    return f"{tuning_job}-{number + 1:03}-{digest}"


def default_seed(name: str) -> int:
    """Return the random seed of a tuning job that sets none."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
