"""Tuning jobs of built-in algorithms, as AWS documents them (built_in_algorithms.yaml)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.conformance_requests import NAME, TUNING, base_of
from tests.support.conformance_service import Answer, Service

ALGORITHMS = yaml.safe_load(Path(__file__).with_name("built_in_algorithms.yaml").read_text())
METRICS = [(each, *metric) for each in ALGORITHMS for metric in each["metrics"].items()]


def tuning_job(algorithm: dict[str, Any], metric: str, direction: str) -> dict[str, Any]:
    request = base_of(TUNING)
    config = request["HyperParameterTuningJobConfig"]
    config["HyperParameterTuningJobObjective"] = {"MetricName": metric, "Type": direction}
    config["ParameterRanges"] = algorithm["ranges"]
    definition = request["TrainingJobDefinition"]
    definition["StaticHyperParameters"] = dict(algorithm["hyperparameters"])
    specification = definition["AlgorithmSpecification"]
    del specification["MetricDefinitions"]
    specification["TrainingImage"] = algorithm["image"]
    return request


def created(service: Service, request: dict[str, Any]) -> Answer:
    """Create a tuning job, stop it at once, and return its description or the error."""
    answer = service.call(TUNING, request)
    if answer.code:
        return answer
    name = {NAME[TUNING]: request[NAME[TUNING]]}
    service.call("StopHyperParameterTuningJob", name)
    return service.call("DescribeHyperParameterTuningJob", name)


@pytest.mark.parametrize(
    ("algorithm", "metric", "direction"),
    METRICS,
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_each_documented_metric_is_an_objective(
    service: Service, algorithm: dict[str, Any], metric: str, direction: str
) -> None:
    answer = created(service, tuning_job(algorithm, metric, direction))
    assert not answer.code, answer


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda each: each["algorithm"])
def test_an_image_brings_its_metric_definitions(
    service: Service, algorithm: dict[str, Any]
) -> None:
    metric, direction = next(iter(algorithm["metrics"].items()))
    answer = created(service, tuning_job(algorithm, metric, direction))
    assert not answer.code, answer
    specification = answer.body["TrainingJobDefinition"]["AlgorithmSpecification"]
    found = {each["Name"]: each["Regex"] for each in specification["MetricDefinitions"]}
    assert {name: found.get(name) for name in algorithm["patterns"]} == algorithm["patterns"]
    assert algorithm["metrics"].keys() <= found.keys()


# amazon-sagemaker-examples issue 463 quotes the answer.
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda each: each["algorithm"])
def test_a_metric_of_another_algorithm_is_refused(
    service: Service, algorithm: dict[str, Any]
) -> None:
    answer = created(service, tuning_job(algorithm, "validation:logloss", "Minimize"))
    assert answer.code == "ValidationException"
    assert "[validation:logloss], isn't valid for the training algorithm" in answer.message
