"""What stands in the records of tuning and training jobs, as the API describes them."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

from hpoq.local.sagemaker.errors import invalid
from hpoq.local.sagemaker.training.programs import built_in_metrics, is_built_in

Record = dict[str, Any]

HOLDING = ("InProgress", "Stopping")
IDENTICAL = "IdenticalDataAndAlgorithm"
_OF_TUNING_ONLY = {
    "DefinitionName", "TuningObjective", "HyperParameterRanges", "StaticHyperParameters",
    "HyperParameterTuningResourceConfig", "RetryStrategy",
}  # fmt: skip
_SUMMARISED = (
    "TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime", "TrainingEndTime",
    "TrainingJobStatus", "FailureReason",
)  # fmt: skip


def add_metrics(definition: Record, parameters: Record) -> None:
    """A built-in algorithm's metrics are known without being asked for."""
    algorithm = definition["AlgorithmSpecification"]
    if is_built_in(definition, parameters):
        known = {each["Name"] for each in algorithm.get("MetricDefinitions", ())}
        more = [each for each in built_in_metrics() if each["Name"] not in known]
        algorithm["MetricDefinitions"] = [*algorithm.get("MetricDefinitions", ()), *more]


def definitions_of(record: Record) -> list[Record]:
    """The training job definitions of a tuning job."""
    several = record.get("TrainingJobDefinitions")
    return list(several) if several else [record["TrainingJobDefinition"]]


def ranges_of(record: Record, definition: Record) -> Record:
    """ParameterRanges of a definition."""
    of_all = record["HyperParameterTuningJobConfig"].get("ParameterRanges", {})
    return dict(definition.get("HyperParameterRanges") or of_all)


def searched_names(ranges: Record) -> list[str]:
    """Of the hyperparameters in ParameterRanges."""
    return [each["Name"] for kind in ranges.values() for each in kind]


def objective_for(record: Record, definition: Record) -> Record:
    """What a definition's training jobs are measured by: Type and MetricName.

    Raises:
        ApiError: nothing says so.
    """
    config = record["HyperParameterTuningJobConfig"]
    objective = definition.get("TuningObjective") or config.get("HyperParameterTuningJobObjective")
    if not objective:
        raise invalid("No objective metric: HyperParameterTuningJobObjective is required.")
    return dict(objective)


def training_job_of(definition: Record, objective: Record, tuned: Record) -> Record:
    """What a definition and the values to try say of a training job."""
    own = {key: value for key, value in definition.items() if key not in _OF_TUNING_ONLY}
    static = definition.get("StaticHyperParameters", {})
    return own | {
        "HyperParameters": {
            **static,
            **tuned,
            "_tuning_objective_metric": objective["MetricName"],
        },
        "ResourceConfig": resources_of(definition),
        "_tuned": tuned,
        "_objective": objective,
        "_definition": definition.get("DefinitionName"),
        "_retries": definition.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0),
    }


def resources_of(definition: Record) -> Record:
    """ResourceConfig, or the first choice of HyperParameterTuningResourceConfig."""
    resources = definition.get("ResourceConfig")
    if resources:
        return dict(resources)
    flexible = definition.get("HyperParameterTuningResourceConfig", {})
    return dict((flexible.get("InstanceConfigs") or [flexible])[0])


def parents_of(record: Record) -> list[str]:
    """Names of the tuning jobs that this one starts warm from."""
    config = record.get("WarmStartConfig", {})
    parents = config.get("ParentHyperParameterTuningJobs", ())
    return [each["HyperParameterTuningJobName"] for each in parents]


def objective_of(training_job: Record) -> float | None:
    """The final value of its objective metric."""
    name = training_job["_objective"]["MetricName"]
    for each in training_job.get("FinalMetricDataList", ()):
        if each["MetricName"] == name and training_job["TrainingJobStatus"] != "Failed":
            return float(each["Value"])
    return None


def is_better(objective: Record, value: float, best: Record | None) -> bool:
    """Whether a value beats that of a summary."""
    if best is None:
        return True
    there = best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    return bool(value > there if objective["Type"] == "Maximize" else value < there)


def is_retryable(training_job: Record) -> bool:
    """Whether it failed for no fault of the script's."""
    reason = str(training_job.get("FailureReason", ""))
    failed = training_job["TrainingJobStatus"] == "Failed"
    return failed and reason.startswith("InternalServerError")


def parallel_of(record: Record) -> int:
    """Training jobs that a tuning job may have at once."""
    limits = record["HyperParameterTuningJobConfig"]["ResourceLimits"]
    return int(limits["MaxParallelTrainingJobs"])


def demand_of_tuning(record: Record) -> dict[str, int]:
    """Instances, by type, that a tuning job may hold at once."""
    parallel = parallel_of(record)
    resources = map(resources_of, definitions_of(record))
    of_one = [demand_of_training({"ResourceConfig": each}) for each in resources]
    types = {type_ for demand in of_one for type_ in demand}
    return {type_: parallel * max(d.get(type_, 0) for d in of_one) for type_ in types}


def demand_of_training(record: Record) -> dict[str, int]:
    """Instances, by type, that a training job holds."""
    resources = record["ResourceConfig"]
    held: Counter[str] = Counter()
    for each in resources.get("InstanceGroups") or [resources]:
        if "InstanceType" in each:
            held[each["InstanceType"]] += each.get("InstanceCount", 1)
    return dict(held)


def summary(training_job: Record) -> Record:
    """HyperParameterTrainingJobSummary."""
    value = objective_of(training_job)
    found: Record = {key: training_job[key] for key in _SUMMARISED if key in training_job}
    found["TuningJobName"] = training_job["_tuning_job"]
    found["TrainingJobDefinitionName"] = training_job.get("_definition")
    found["TunedHyperParameters"] = training_job["_tuned"]
    found["ObjectiveStatus"] = "Pending" if value is None else "Succeeded"
    if value is None and training_job["TrainingJobStatus"] not in HOLDING:
        found["ObjectiveStatus"] = "Failed"
    if value is not None:
        found["FinalHyperParameterTuningJobObjectiveMetric"] = {
            **training_job["_objective"],
            "Value": value,
        }
    return found


def training_job_name(tuning_job: str, number: int) -> str:
    """As SageMaker names them: the tuning job, a number, and what makes it unique."""
    digest = hashlib.sha256(f"{tuning_job}/{number}".encode()).hexdigest()[:8]
    return f"{tuning_job}-{number + 1:03}-{digest}"


def seed_of(name: str) -> int:
    """Of a tuning job without RandomSeed."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
