"""What a message in short form becomes in the API's form, before anything is checked."""

from __future__ import annotations

from typing import Any

import pytest

from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.templates import Template
from hpo_dispatcher.tuning_job.short_form import (
    image_of,
    in_api_form,
    parameter_ranges,
    with_images,
)
from tests.support.tuning_requests import ENVIRONMENT, ROLE, request

CONFIG = "HyperParameterTuningJobConfig"
TRAINING = "TrainingJobDefinition"
AUC = {"MetricName": "auc", "Type": "Maximize"}


def template(**fields: Any) -> Template:
    return Template.model_validate({"description": "any", "image": "mine:1"} | fields)


def made(of: Template | None = None, *, image: Any = "mine:1", **fields: Any) -> dict[str, Any]:
    return in_api_form(request(**fields), "fraud", of or template(), ENVIRONMENT, image)


def test_what_neither_template_nor_message_names_is_what_every_request_has() -> None:
    assert made() == {
        CONFIG: {
            "Strategy": "Bayesian",
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 20, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": {"ContinuousParameterRanges": [
                {"Name": "lr", "MinValue": "0.001", "MaxValue": "0.1", "ScalingType": "Auto"}
            ]},
        },
        TRAINING: {
            "AlgorithmSpecification": {"TrainingInputMode": "File", "TrainingImage": "mine:1"},
            "OutputDataConfig": {"S3OutputPath": "s3://artifacts/teams/fraud/output/"},
            "RoleArn": ROLE,
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            "StaticHyperParameters": {},
        },
    }  # fmt: skip


def test_every_field_of_a_message_has_its_place() -> None:
    found = made(
        strategy="Random", objective={"metric": "auc", "type": "Maximize"},
        hyperparameters={"epochs": 3, "fast": True, "rate": 0.5, "name": "a"},
        resource_limits={
            "max_training_jobs": 7, "max_parallel_training_jobs": 3, "max_runtime_in_seconds": 600
        },
    )  # fmt: skip
    assert found[CONFIG]["Strategy"] == "Random"
    assert found[CONFIG]["HyperParameterTuningJobObjective"] == AUC
    assert found[CONFIG]["ResourceLimits"] == {
        "MaxNumberOfTrainingJobs": 7, "MaxParallelTrainingJobs": 3, "MaxRuntimeInSeconds": 600
    }  # fmt: skip
    assert found[TRAINING]["StaticHyperParameters"] == {
        "epochs": "3", "fast": "true", "rate": "0.5", "name": "a"
    }  # fmt: skip


def test_ranges_are_listed_by_their_kind_in_the_order_of_the_message() -> None:
    ranges = {
        "a": {"type": "integer", "min": 1, "max": 9, "scaling": "Logarithmic"},
        "b": {"type": "continuous", "min": 0.5, "max": 2},
        "c": {"type": "categorical", "values": ["x", 2, True]},
        "d": {"type": "integer", "min": 0, "max": 3},
        "e": {"type": "categorical", "values": ["y"]},
    }
    found = parameter_ranges(request(hyperparameter_ranges=ranges).hyperparameter_ranges)
    assert found == {
        "IntegerParameterRanges": [
            {"Name": "a", "MinValue": "1", "MaxValue": "9", "ScalingType": "Logarithmic"},
            {"Name": "d", "MinValue": "0", "MaxValue": "3", "ScalingType": "Auto"},
        ],
        "ContinuousParameterRanges": [
            {"Name": "b", "MinValue": "0.5", "MaxValue": "2", "ScalingType": "Auto"}
        ],
        "CategoricalParameterRanges": [
            {"Name": "c", "Values": ["x", "2", "true"]}, {"Name": "e", "Values": ["y"]},
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "archive"),
    [(None, ENVIRONMENT.training_source), ("s3://{artifact_bucket}/code.tar.gz",
                                          "s3://artifacts/code.tar.gz")],
)  # fmt: skip
def test_a_script_is_downloaded_from_the_templates_source_or_the_deployments(
    source: str | None, archive: str
) -> None:
    found = made(template(entry_point="train.py", source=source), hyperparameters={"a": "b"})
    assert found[TRAINING]["StaticHyperParameters"] == {
        "sagemaker_program": "train.py", "sagemaker_submit_directory": archive,
        "sagemaker_region": "eu-central-1", "a": "b",
    }  # fmt: skip


def test_the_places_of_a_template_are_filled_in_at_every_depth() -> None:
    environment = {"PLACES": "{artifact_bucket} {team} {request_id} {region} {other}", "N": 1}
    tags = [{"Key": "{team}", "Value": "{region}"}, "{team}"]
    of = template(tuning_job={TRAINING: {"Environment": environment}, "Any": tags})
    found = made(of, request_id="r9")
    assert found[TRAINING]["Environment"] == {
        "PLACES": "artifacts fraud r9 eu-central-1 {other}", "N": 1
    }  # fmt: skip
    assert found["Any"] == [{"Key": "fraud", "Value": "eu-central-1"}, "fraud"]


def test_objects_are_merged_and_every_other_value_is_replaced() -> None:
    of = template(
        tuning_job={CONFIG: {"RandomSeed": 1}, TRAINING: {"Environment": {"A": "1", "B": "2"},
                    "InputDataConfig": [{"ChannelName": "a"}, {"ChannelName": "b"}]}}
    )  # fmt: skip
    over = {CONFIG: {"RandomSeed": 2}, TRAINING: {"Environment": {"B": "3"},
            "InputDataConfig": [{"ChannelName": "c"}]}}  # fmt: skip
    found = made(of, overrides=over)
    assert found[CONFIG]["RandomSeed"] == 2
    assert found[TRAINING]["Environment"] == {"A": "1", "B": "3"}
    assert found[TRAINING]["InputDataConfig"] == [{"ChannelName": "c"}]


def test_several_definitions_share_what_they_do_not_name() -> None:
    two = [{"TuningObjective": AUC}, {"DefinitionName": "second", "RoleArn": "another"}]
    found = made(overrides={"TrainingJobDefinitions": two}, objective={
        "metric": "f1", "type": "Maximize"
    })  # fmt: skip
    assert found[CONFIG].keys() == {"Strategy", "ResourceLimits"}
    assert TRAINING not in found
    first, second = found["TrainingJobDefinitions"]
    assert (first["DefinitionName"], second["DefinitionName"]) == ("definition-0", "second")
    assert (first["TuningObjective"]["MetricName"], second["TuningObjective"]["MetricName"]) == (
        "auc", "f1"
    )  # fmt: skip
    assert (first["RoleArn"], second["RoleArn"]) == (ROLE, "another")
    names = [each["HyperParameterRanges"] for each in (first, second)]
    assert names == [made()[CONFIG]["ParameterRanges"]] * 2


def test_several_definitions_may_each_name_their_objective() -> None:
    two = [{"TuningObjective": AUC}, {"TuningObjective": AUC | {"MetricName": "f1"}}]
    found = made(overrides={"TrainingJobDefinitions": two})["TrainingJobDefinitions"]
    assert [each["TuningObjective"]["MetricName"] for each in found] == ["auc", "f1"]
    without = made(overrides={"TrainingJobDefinitions": [{}]})["TrainingJobDefinitions"]
    assert "TuningObjective" not in without[0]


@pytest.mark.parametrize("several", [{}, "text", [1], [{}, "text"]])
def test_several_definitions_are_a_list_of_objects(several: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        made(overrides={"TrainingJobDefinitions": several})
    assert (refused.value.field, refused.value.problem, refused.value.fix) == (
        "overrides.TrainingJobDefinitions", "not a list of objects", "Use a list of objects"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("field", "fix"),
    [
        ("HyperParameterTuningJobName", "The name follows from team and request_id; remove it"),
        ("Tags", "Use the tags field of the message"),
        ("RoleArn", "The deployment's role is used; remove it"),
        ("WarmStartConfig", "Name requests of your own team in warm_start_from"),
    ],
)
def test_what_belongs_to_the_deployment_cannot_be_overridden(field: str, fix: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        made(overrides={field: "mine"})
    assert (refused.value.field, refused.value.problem, refused.value.fix) == (
        f"overrides.{field}", "cannot be overridden", fix
    )  # fmt: skip


def by_type(instance_type: str) -> str:
    return f"for {instance_type}"


def instances(*types: str) -> dict[str, Any]:
    each = [{"InstanceType": name, "InstanceCount": 1} for name in types]
    return {"HyperParameterTuningResourceConfig": {"InstanceConfigs": each}}


@pytest.mark.parametrize(
    ("definition", "image"),
    [
        (instances("ml.m5.large", "ml.c5.xlarge"), "for ml.m5.large"),
        (instances("ml.m5.large", "ml.g5.xlarge", "ml.p4d.24xlarge"), "for ml.g5.xlarge"),
        ({}, "for ml.m5.large"),  # the missing instance type is the error, not its image
    ],
)
def test_an_image_serves_all_instance_types_that_sagemaker_may_use(
    definition: dict[str, Any], image: str
) -> None:
    assert image_of(definition, by_type) == image
    assert image_of(definition, "mine:1") == "mine:1"


@pytest.mark.parametrize("named", [{"TrainingImage": "own:1"}, {"AlgorithmName": "forest"}])
def test_an_image_or_an_algorithm_of_the_request_stays(named: dict[str, str]) -> None:
    without = instances("ml.g5.xlarge") | {"AlgorithmSpecification": {"TrainingInputMode": "File"}}
    with_own = without | {"AlgorithmSpecification": named}
    found = with_images({"TrainingJobDefinitions": [with_own, without]}, by_type)
    assert [each["AlgorithmSpecification"] for each in found["TrainingJobDefinitions"]] == [
        named, {"TrainingInputMode": "File", "TrainingImage": "for ml.g5.xlarge"}
    ]  # fmt: skip
    assert without["AlgorithmSpecification"] == {"TrainingInputMode": "File"}


def test_an_image_by_instance_type_is_added_later() -> None:
    assert made(image=by_type)[TRAINING]["AlgorithmSpecification"] == {"TrainingInputMode": "File"}
