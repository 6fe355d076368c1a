"""The fields of CreateHyperParameterTuningJob that a request may have: those that were decided on.

SageMaker's API grows, and so does botocore's description of it. A field that somebody adds there
may name data, code or machines that no guardrail knows, so it is refused until it has a row here.
tests/unit/hpo_dispatcher/tuning_job/test_decided_fields.py compares the rows with botocore.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any

from botocore.model import ListShape, Shape, StructureShape

from hpo_dispatcher.contract.errors import NotAllowed


class DecidedBy(StrEnum):
    """Who decides about the values of a field."""

    TEAM = "team"  # any value that the API accepts
    GUARDRAILS = "guardrails"  # guardrails.py compares it with the settings
    PLACES = "places"  # places.py compares it with the team's locations
    DEPLOYMENT = "deployment"  # the deployment sets it


Fields = Mapping[str, "DecidedBy | Fields"]

_TEAM, _GUARDRAILS, _PLACES, _DEPLOYMENT = DecidedBy

_OBJECTIVE: Fields = {"Type": _TEAM, "MetricName": _TEAM}
_BOUNDED_RANGE: Fields = {
    "Name": _TEAM, "MinValue": _TEAM, "MaxValue": _TEAM, "ScalingType": _TEAM,
}  # fmt: skip
_RANGES: Fields = {
    "IntegerParameterRanges": _BOUNDED_RANGE,
    "ContinuousParameterRanges": _BOUNDED_RANGE,
    "CategoricalParameterRanges": {"Name": _TEAM, "Values": _TEAM},
    "AutoParameters": {"Name": _TEAM, "ValueHint": _TEAM},
}
_INSTANCES: Fields = {"InstanceType": _GUARDRAILS, "InstanceCount": _GUARDRAILS}
_VOLUMES: Fields = {
    **_INSTANCES,
    "VolumeSizeInGB": _GUARDRAILS,
    "VolumeKmsKeyId": _DEPLOYMENT,  # if the guardrails name a key
}
_DEFINITION: Fields = {
    "DefinitionName": _TEAM,
    "TuningObjective": _OBJECTIVE,
    "HyperParameterRanges": _RANGES,
    "StaticHyperParameters": _PLACES,  # the archive of the script
    "AlgorithmSpecification": {
        "TrainingImage": _GUARDRAILS,
        "AlgorithmName": _GUARDRAILS,
        "TrainingInputMode": _TEAM,
        "MetricDefinitions": {"Name": _TEAM, "Regex": _TEAM},
    },
    "RoleArn": _DEPLOYMENT,
    "InputDataConfig": {
        "ChannelName": _TEAM,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": _PLACES,
                "S3Uri": _PLACES,
                "S3DataDistributionType": _TEAM,
                "AttributeNames": _TEAM,
                "InstanceGroupNames": _TEAM,
                "ModelAccessConfig": {"AcceptEula": _TEAM},
                "HubAccessConfig": {"HubContentArn": _PLACES},
            },
            "FileSystemDataSource": {
                "FileSystemId": _PLACES,
                "FileSystemAccessMode": _PLACES,
                "FileSystemType": _PLACES,
                "DirectoryPath": _PLACES,
            },
            "DatasetSource": {"DatasetArn": _PLACES},
        },
        "ContentType": _TEAM,
        "CompressionType": _TEAM,
        "RecordWrapperType": _TEAM,
        "InputMode": _TEAM,
        "ShuffleConfig": {"Seed": _TEAM},
    },
    "VpcConfig": {"SecurityGroupIds": _DEPLOYMENT, "Subnets": _DEPLOYMENT},
    "OutputDataConfig": {
        "KmsKeyId": _DEPLOYMENT,
        "S3OutputPath": _PLACES,
        "CompressionType": _TEAM,
    },
    "ResourceConfig": {
        **_VOLUMES,
        "KeepAlivePeriodInSeconds": _GUARDRAILS,
        "InstanceGroups": {**_INSTANCES, "InstanceGroupName": _TEAM},
        # Capacity that the account has paid for; the instance type is limited as without a plan.
        "TrainingPlanArn": _TEAM,
        "InstancePlacementConfig": {
            "EnableMultipleJobs": _TEAM,
            "PlacementSpecifications": {"UltraServerId": _TEAM, "InstanceCount": _GUARDRAILS},
        },
        "InstancePreferences": {**_INSTANCES, "TrainingPlanArns": _TEAM},
        "SelectedInstanceType": _GUARDRAILS,
        "SelectedInstanceCount": _GUARDRAILS,
    },
    "HyperParameterTuningResourceConfig": {
        **_VOLUMES,
        "AllocationStrategy": _TEAM,
        "InstanceConfigs": {**_INSTANCES, "VolumeSizeInGB": _GUARDRAILS},
    },
    "StoppingCondition": {
        "MaxRuntimeInSeconds": _GUARDRAILS,
        "MaxWaitTimeInSeconds": _TEAM,  # for spot capacity, without costs
        "MaxPendingTimeInSeconds": _TEAM,
    },
    "EnableNetworkIsolation": _DEPLOYMENT,
    "EnableInterContainerTrafficEncryption": _DEPLOYMENT,
    "EnableManagedSpotTraining": _DEPLOYMENT,
    "CheckpointConfig": {"S3Uri": _PLACES, "LocalPath": _TEAM},
    "RetryStrategy": {"MaximumRetryAttempts": _TEAM},
    "Environment": _TEAM,
}
FIELDS: Fields = {
    "HyperParameterTuningJobName": _DEPLOYMENT,
    "HyperParameterTuningJobConfig": {
        "Strategy": _TEAM,
        "StrategyConfig": {
            "HyperbandStrategyConfig": {"MinResource": _TEAM, "MaxResource": _TEAM},
        },
        "HyperParameterTuningJobObjective": _OBJECTIVE,
        "ResourceLimits": {
            "MaxNumberOfTrainingJobs": _GUARDRAILS,
            "MaxParallelTrainingJobs": _GUARDRAILS,
            "MaxRuntimeInSeconds": _TEAM,
        },
        "ParameterRanges": _RANGES,
        "TrainingJobEarlyStoppingType": _TEAM,
        "TuningJobCompletionCriteria": {
            "TargetObjectiveMetricValue": _TEAM,
            "BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": _TEAM},
            "ConvergenceDetected": {"CompleteOnConvergence": _TEAM},
        },
        "RandomSeed": _TEAM,
    },
    "TrainingJobDefinition": _DEFINITION,
    "TrainingJobDefinitions": _DEFINITION,
    "WarmStartConfig": {  # only tuning jobs of the team's own requests
        "ParentHyperParameterTuningJobs": {"HyperParameterTuningJobName": _DEPLOYMENT},
        "WarmStartType": _TEAM,
    },
    "Tags": {"Key": _GUARDRAILS, "Value": _TEAM},
    "Autotune": {"Mode": _TEAM},
}


@lru_cache(maxsize=1)
def is_decided(shape: Shape) -> bool:
    """Return whether every member of the API's request has a row here.

    Then ``check_api_request``, which refuses members that the API lacks, refuses all without a row.
    """
    return _covers(FIELDS, shape)


def _covers(fields: DecidedBy | Fields, shape: Shape) -> bool:
    if isinstance(fields, DecidedBy):
        return True
    if isinstance(shape, ListShape):
        return _covers(fields, shape.member)
    return isinstance(shape, StructureShape) and all(
        name in fields and _covers(fields[name], member) for name, member in shape.members.items()
    )


def check_decided(api_request: Mapping[str, Any]) -> None:
    """Check that a request has only fields that were decided on.

    Raises:
        NotAllowed: naming the first other field.
    """
    for path in undecided(api_request, FIELDS):
        raise NotAllowed(
            path,
            "this version of hpoq does not know which guardrails this field of the API needs",
            "Remove it, or use a version of hpoq that knows it",
        )


def undecided(value: Any, fields: DecidedBy | Fields, path: str = "") -> Iterator[str]:
    """Yield the paths of the members of a value that have no row."""
    if isinstance(fields, DecidedBy):
        return
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from undecided(item, fields, f"{path}.{index}")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            below = f"{path}.{name}" if path else str(name)
            if name in fields:
                yield from undecided(item, fields[name], below)
            else:
                yield below
