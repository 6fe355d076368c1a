"""A template whose script searches by itself: one training job, counted like any other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_dispatcher.contract.errors import InvalidRequest, NotAllowed
from hpo_dispatcher.contract.message import parse_message
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.contract.settings import Guardrails
from hpo_dispatcher.contract.templates import read_templates
from hpo_dispatcher.tuning_job.script_search import SEED, as_one_training_job
from hpo_dispatcher.tuning_job.usage import instances_of
from ray_tune.space import space
from tests.support.tuning_requests import TEMPLATE, job

RAY = read_templates()["credit-default-ray"]
RANGES: dict[str, Any] = {
    "lr": {"type": "continuous", "min": 0.001, "max": 0.1, "scaling": "Logarithmic"},
    "batch-size": {"type": "integer", "min": 64, "max": 1024},
    "hidden": {"type": "categorical", "values": ["32", "64-32"]},
}


def ray(**fields: Any) -> dict[str, Any]:
    return job(template=RAY, **{"hyperparameter_ranges": RANGES, **fields})


def static(built: dict[str, Any]) -> dict[str, str]:
    values: dict[str, str] = built["TrainingJobDefinition"]["StaticHyperParameters"]
    return values


def test_the_whole_search_is_one_training_job_on_the_instances_asked_for() -> None:
    resources = {"ResourceConfig": {"InstanceCount": 4}}
    built = ray(overrides={"TrainingJobDefinition": resources})
    limits = built["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits == {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1}
    assert instances_of(built) == {"ml.m5.xlarge": 4}


def test_the_script_gets_the_ranges_as_the_message_has_them_and_sagemaker_only_a_seed() -> None:
    built = ray(hyperparameters={"trials": 500})
    decoded_once_by_the_container = json.loads(static(built)["space"])
    searched = space(decoded_once_by_the_container)
    assert searched["lr"] == RANGES["lr"]
    assert searched["hidden"]["values"] == RANGES["hidden"]["values"]
    assert space(static(built)["space"]) == searched, "nor does a container that decodes nothing"
    assert static(built)["trials"] == "500"
    assert built["HyperParameterTuningJobConfig"]["ParameterRanges"] == {
        "CategoricalParameterRanges": [{"Name": SEED, "Values": ["0"]}]
    }


def test_the_ranges_may_be_as_long_as_a_hyperparameter_and_no_longer() -> None:
    """ "Length Constraints: ... Maximum length of 2500": HyperParameters, CreateTrainingJob."""

    def ranges(length: int) -> dict[str, Any]:
        return {"x": {"type": "categorical", "values": ["x" * length]}}

    others = len(static(ray(hyperparameter_ranges=ranges(1)))["space"]) - 1
    longest = static(ray(hyperparameter_ranges=ranges(2500 - others)))["space"]
    assert len(longest) == 2500
    with pytest.raises(InvalidRequest, match="2501 characters as JSON, 2500 at most"):
        ray(hyperparameter_ranges=ranges(2501 - others))


def test_a_seed_of_ones_own_is_the_one_value_searched() -> None:
    built = ray(hyperparameters={"search-seed": 7})
    ranges = built["HyperParameterTuningJobConfig"]["ParameterRanges"]
    assert ranges == {"CategoricalParameterRanges": [{"Name": SEED, "Values": ["7"]}]}
    assert SEED not in static(built)


def test_an_interrupted_search_has_a_place_of_its_own_to_go_on_from() -> None:
    place = ray()["TrainingJobDefinition"]["CheckpointConfig"]["S3Uri"]
    assert place == "s3://artifacts/teams/fraud/checkpoints/r1/"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"resource_limits": {"max_training_jobs": 20}}, "resource_limits.max_training_jobs"),
        ({"strategy": "Bayesian"}, "strategy"),
        ({"warm_start_from": ["earlier"]}, "warm_start_from"),
        ({"hyperparameters": {"space": "{}"}}, "hyperparameters.space"),
        (
            {"hyperparameter_ranges": {SEED: {"type": "integer", "min": 0, "max": 9}}},
            f"hyperparameter_ranges.{SEED}",
        ),
        (
            {
                "hyperparameter_ranges": {
                    "x" * 60 + str(n): {"type": "integer", "min": 0, "max": 9} for n in range(30)
                }
            },
            "hyperparameter_ranges",
        ),
    ],
)
def test_what_the_script_does_itself_cannot_be_asked_of_sagemaker(
    fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ray(**fields)
    assert caught.value.field == field


def test_guardrails_bind_it_like_any_other() -> None:
    with pytest.raises(NotAllowed):
        job(
            Guardrails(max_instance_count=2),
            template=RAY,
            overrides={"TrainingJobDefinition": {"ResourceConfig": {"InstanceCount": 3}}},
        )


@given(st.integers(1, 500), st.sampled_from(["Random", "Bayesian"]))
def test_other_templates_are_left_as_they_are(jobs: int, strategy: str) -> None:
    body = {"hyperparameter_ranges": RANGES, "strategy": strategy}
    message = parse_message(
        json.dumps(body | {"resource_limits": {"max_training_jobs": jobs}}), "m"
    )
    assert isinstance(message, TuningRequest)
    assert as_one_training_job(message, TEMPLATE) is message
