"""Requests with every field, and changes of single fields by their paths."""

from __future__ import annotations

import copy
import itertools
import re
import uuid
from collections.abc import Iterator
from typing import Any

import botocore.session

from tests.support.memory_endpoint import tuning_job

TUNING, TRAINING = "CreateHyperParameterTuningJob", "CreateTrainingJob"
NAME = {TUNING: "HyperParameterTuningJobName", TRAINING: "TrainingJobName"}
_numbers = itertools.count(1)
_RUN = uuid.uuid4().hex[:8]
SERVICE = botocore.session.Session().get_service_model("sagemaker")
# Values that one of the API's patterns matches.
SAMPLES = (
    "a", "1", "s3://bucket/x", "arn:aws:iam::123456789012:role/training", "fs-0123456789a",
    "arn:aws:sagemaker:eu-central-1:123456789012:training-plan/a", "/opt/ml/a",
)  # fmt: skip


def new_name() -> str:
    """Return a name that no job has, nor had in an earlier run against the same account."""
    return f"conformance-{_RUN}-{next(_numbers)}"


def full_tuning_job() -> dict[str, Any]:
    """Return a request for a tuning job that sets most fields."""
    request = tuning_job(new_name(), jobs=2, parallel=1)
    config, definition = request["HyperParameterTuningJobConfig"], request["TrainingJobDefinition"]
    config["Strategy"] = "Bayesian"
    config["TrainingJobEarlyStoppingType"] = "Off"
    config["RandomSeed"] = 7
    config["TuningJobCompletionCriteria"] = {
        "TargetObjectiveMetricValue": 0.5,
        "BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3},
        "ConvergenceDetected": {"CompleteOnConvergence": "Disabled"},
    }
    config["ResourceLimits"]["MaxRuntimeInSeconds"] = 3600
    config["ParameterRanges"] = {
        "ContinuousParameterRanges": [
            {"Name": "lr", "MinValue": "0.001", "MaxValue": "1", "ScalingType": "Logarithmic"}
        ],
        "IntegerParameterRanges": [
            {"Name": "depth", "MinValue": "1", "MaxValue": "9", "ScalingType": "Linear"}
        ],
        "CategoricalParameterRanges": [{"Name": "loss", "Values": ["a", "b"]}],
    }
    definition |= {
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": True,
        "CheckpointConfig": {"S3Uri": "s3://bucket/checkpoints/", "LocalPath": "/opt/ml/kept"},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120},
        "RetryStrategy": {"MaximumRetryAttempts": 1},
        "Environment": {"COLOR": "blue"},
    }
    definition["InputDataConfig"][0] |= {"ContentType": "text/csv", "InputMode": "File"}
    source = definition["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    source["S3DataDistributionType"] = "FullyReplicated"
    definition["OutputDataConfig"]["CompressionType"] = "GZIP"
    return request


def full_training_job() -> dict[str, Any]:
    """Return a request for a training job that sets most fields."""
    definition = full_tuning_job()["TrainingJobDefinition"]
    definition["HyperParameters"] = definition.pop("StaticHyperParameters")
    return {"TrainingJobName": new_name(), **definition}


def base_of(operation: str) -> dict[str, Any]:
    """Return a request that the operation accepts."""
    return full_tuning_job() if operation == TUNING else full_training_job()


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value of each member that is not a structure."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, item in enumerate(value):
            yield from leaves(item, f"{path}.{number}")
    else:
        yield path, value


def at(value: Any, path: str) -> Any:
    """Return the value at a path, or None."""
    for part in path.split("."):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def changed(request: dict[str, Any], path: str, new: Any) -> dict[str, Any]:
    """Return the request with a value at a path; None removes it.

    Structures that the path needs are added with their required members.
    """
    result = copy.deepcopy(request)
    operation = TUNING if NAME[TUNING] in request else TRAINING
    shape: Any = SERVICE.operation_model(operation).input_shape
    place: Any = result
    *parents, last = path.split(".")
    for part in parents:
        if isinstance(place, list):
            shape, key = shape.member, int(part)
            while len(place) <= key:
                place.append(minimal(shape))
            place = place[key]
            continue
        shape = shape.value if shape.type_name == "map" else shape.members[part]
        empty = [] if shape.type_name == "list" else minimal(shape)
        place = place.setdefault(part, empty)
    key = int(last) if isinstance(place, list) else last
    if new is None:
        del place[key]
    elif isinstance(place, list) and key == len(place):
        place.append(new)
    else:
        place[key] = new
    return result


def minimal(shape: Any) -> Any:
    """Return a valid value of a shape, with its required members only."""
    match shape.type_name:
        case "structure":
            return {name: minimal(shape.members[name]) for name in shape.required_members}
        case "list":
            return [minimal(shape.member)]
        case "map":
            return {}
        case "boolean":
            return False
        case "string":
            return text_of(shape)
    return max(1, shape.metadata.get("min", 1))


def text_of(shape: Any) -> str | None:
    """Return a text that meets the constraints of a shape, or None if no sample does."""
    limits = shape.metadata
    if limits.get("enum"):
        return str(limits["enum"][0])
    for sample in SAMPLES:
        fits = limits.get("min", 0) <= len(sample) <= limits.get("max", 10**9)
        if fits and re.fullmatch(limits.get("pattern", ".*").replace(r"\p", ""), sample):
            return sample
    return None
