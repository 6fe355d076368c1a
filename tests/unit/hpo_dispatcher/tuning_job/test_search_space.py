"""The search space of a request: its bounds, its points, and Grid."""

from __future__ import annotations

from typing import Any

import pytest

from hpo_dispatcher.contract.errors import InvalidRequest, NotAllowed
from hpo_dispatcher.contract.settings import Guardrails
from hpo_dispatcher.contract.templates import Template
from hpo_dispatcher.tuning_job.api.search_space import (
    combinations_of,
    searched_names,
    training_jobs_of,
)
from hpo_dispatcher.tuning_job.guardrails import check_guardrails
from hpo_dispatcher.tuning_job.service_limits import check_documented_limits
from hpo_dispatcher.tuning_job.usage import most_instance_seconds
from tests.support.tuning_requests import TEMPLATE, api_request, job

THREE = {"optimizer": {"type": "categorical", "values": ["adam", "sgd", "lion"]}}
TWO_BY_THREE = {**THREE, "dropout": {"type": "categorical", "values": [0, 0.5]}}


# Combinations


@pytest.mark.parametrize(
    ("ranges", "points"),
    [
        (THREE, 3),
        ({"layers": {"type": "integer", "min": 1, "max": 10}}, 10),
        ({**THREE, "layers": {"type": "integer", "min": 1, "max": 4}}, 12),
        ({**THREE, "lr": {"type": "continuous", "min": 0.1, "max": 1}}, float("inf")),
    ],
)
def test_the_combinations_of_a_search_space(ranges: dict[str, Any], points: float) -> None:
    assert combinations_of(job(hyperparameter_ranges=ranges)) == points


def limits_of(**fields: Any) -> tuple[int, int]:
    limits = job(**fields)["HyperParameterTuningJobConfig"]["ResourceLimits"]
    return limits["MaxNumberOfTrainingJobs"], limits["MaxParallelTrainingJobs"]


def test_a_default_is_lowered_to_the_number_of_combinations() -> None:
    two = {"optimizer": {"type": "categorical", "values": ["adam", "sgd"]}}
    assert limits_of(hyperparameter_ranges=two) == (2, 2)
    one = {"optimizer": {"type": "categorical", "values": ["adam"]}}
    assert limits_of(hyperparameter_ranges=one) == (1, 1)


@pytest.mark.parametrize(
    "asked",
    [
        {"resource_limits": {"max_training_jobs": 4}},
        {
            "overrides": {
                "HyperParameterTuningJobConfig": {"ResourceLimits": {"MaxNumberOfTrainingJobs": 4}}
            }
        },
    ],
)
def test_a_number_that_a_message_asks_for_is_refused_and_not_lowered(asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="4 training jobs, but the search space has 3"):
        job(hyperparameter_ranges=THREE, **asked)


def test_ranges_in_overrides_count_as_well() -> None:
    lr = {"Name": "lr", "MinValue": "0.1", "MaxValue": "1"}
    wider = {"HyperParameterTuningJobConfig": {
        "ParameterRanges": {"ContinuousParameterRanges": [lr]}
    }}  # fmt: skip
    assert limits_of(hyperparameter_ranges=THREE, overrides=wider)[0] == 20


def test_the_spaces_of_several_definitions_add_up() -> None:
    several = {"TrainingJobDefinitions": [{}, {}]}
    assert limits_of(hyperparameter_ranges=THREE, overrides=several)[0] == 6


# Bounds of ranges in API spelling


@pytest.mark.parametrize(
    ("bounds", "problem"),
    [
        ({"MinValue": "9", "MaxValue": "1"}, "the minimum 9 is greater than the maximum 1"),
        ({"MinValue": "abc", "MaxValue": "1"}, "'abc' to '1' is not a range of numbers"),
        ({"MinValue": "nan", "MaxValue": "1"}, "the minimum nan is greater"),
        ({"MinValue": "0", "MaxValue": "1", "ScalingType": "Logarithmic"}, "values above 0"),
        ({"MinValue": "0", "MaxValue": "1", "ScalingType": "ReverseLogarithmic"}, "below 1"),
    ],
)
@pytest.mark.parametrize("kind", ["IntegerParameterRanges", "ContinuousParameterRanges"])
def test_a_range_without_usable_values_is_refused(
    kind: str, bounds: dict[str, str], problem: str
) -> None:
    ranges = {"ParameterRanges": {kind: [{"Name": "n", **bounds}]}}
    with pytest.raises(InvalidRequest, match=problem) as caught:
        job(hyperparameter_ranges=THREE, overrides={"HyperParameterTuningJobConfig": ranges})
    assert caught.value.field.endswith(f"{kind}.n")


@pytest.mark.parametrize("kind", ["IntegerParameterRanges", "ContinuousParameterRanges"])
def test_a_range_of_one_value_is_a_range(kind: str) -> None:
    """Only a minimum above the maximum is refused."""
    ranges = {"ParameterRanges": {kind: [{"Name": "n", "MinValue": "1", "MaxValue": "1"}]}}
    made = job(hyperparameter_ranges=THREE, overrides={"HyperParameterTuningJobConfig": ranges})
    assert made["HyperParameterTuningJobConfig"]["ParameterRanges"][kind][0]["MaxValue"] == "1"


# Grid: "Only categorical parameters are supported when using the grid search strategy. You do not
# need to specify the MaxNumberOfTrainingJobs. The number of training jobs created by the tuning job
# is automatically calculated to be the total number of distinct categorical combinations possible.
# If specified, the value of MaxNumberOfTrainingJobs should equal the total number of distinct
# categorical combinations possible" ("How hyperparameter tuning works" in the developer guide).

BY_OVERRIDE = {"overrides": {"HyperParameterTuningJobConfig": {"Strategy": "Grid"}}}


def grid_template(**fields: Any) -> Template:
    return TEMPLATE.model_copy(update=fields)


def of_template() -> Template:
    return grid_template(request={**TEMPLATE.request, "strategy": "Grid"})


def in_api_spelling() -> Template:
    """Return a template that names the strategy among the fields of the API."""
    request = {name: each for name, each in TEMPLATE.request.items() if name != "strategy"}
    config = {"HyperParameterTuningJobConfig": {"Strategy": "Grid"}}
    return grid_template(request=request, tuning_job={**TEMPLATE.tuning_job, **config})


# Each way to ask for a Grid.
GRIDS = [
    pytest.param({"strategy": "Grid"}, id="message"),
    pytest.param(BY_OVERRIDE, id="overrides"),
    pytest.param({"template": of_template()}, id="template"),
    pytest.param({"template": in_api_spelling()}, id="template in API spelling"),
]


@pytest.mark.parametrize("grid", GRIDS)
def test_a_grid_tries_every_combination_however_it_is_asked_for(grid: dict[str, Any]) -> None:
    made = job(hyperparameter_ranges=TWO_BY_THREE, **grid)
    assert made["HyperParameterTuningJobConfig"]["Strategy"] == "Grid"
    assert limits_of(hyperparameter_ranges=TWO_BY_THREE, **grid) == (6, 2)


def test_a_large_grid_has_more_training_jobs_than_the_default() -> None:
    values = {name: {"type": "categorical", "values": list(range(9))} for name in "ab"}
    assert limits_of(hyperparameter_ranges=values, strategy="Grid") == (81, 2)


def test_values_that_are_given_twice_are_one_point() -> None:
    twice = {"optimizer": {"Name": "optimizer", "Values": ["adam", "sgd", "adam"]}}
    config = {"ParameterRanges": {"CategoricalParameterRanges": list(twice.values())}}
    made = job(
        hyperparameter_ranges=THREE,
        strategy="Grid",
        overrides={"HyperParameterTuningJobConfig": config},
    )
    assert training_jobs_of(made) == 2


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(
    "numbers",
    [{"type": "continuous", "min": 0.1, "max": 1}, {"type": "integer", "min": 1, "max": 3}],
)
def test_a_grid_of_numbers_is_refused_however_it_is_asked_for(
    grid: dict[str, Any], numbers: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest, match="Grid searches categorical ranges only") as caught:
        job(hyperparameter_ranges={**THREE, "n": numbers}, **grid)
    assert caught.value.field == "hyperparameter_ranges.n"


@pytest.mark.parametrize("grid", GRIDS)
def test_more_training_jobs_than_a_grid_has_combinations_are_refused(grid: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="7 training jobs, but the search space has 6"):
        job(hyperparameter_ranges=TWO_BY_THREE, resource_limits={"max_training_jobs": 7}, **grid)


def test_fewer_than_a_grid_has_are_sent_as_asked_and_counted_as_sagemaker_calculates() -> None:
    made = job(
        hyperparameter_ranges=TWO_BY_THREE, strategy="Grid",
        resource_limits={"max_training_jobs": 4},
    )  # fmt: skip
    assert made["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 4
    assert training_jobs_of(made) == 6


def test_a_grid_beyond_the_limit_of_a_tuning_job_is_refused() -> None:
    values = {name: {"type": "categorical", "values": list(range(28))} for name in "ab"}
    with pytest.raises(InvalidRequest, match="784 training jobs exceed the limit of 750"):
        job(hyperparameter_ranges=values, strategy="Grid")


def test_sagemaker_calculates_the_number_of_a_grid_over_several_definitions() -> None:
    made = job(
        hyperparameter_ranges=THREE, strategy="Grid", overrides={"TrainingJobDefinitions": [{}, {}]}
    )
    assert made["HyperParameterTuningJobConfig"]["ResourceLimits"] == {"MaxParallelTrainingJobs": 2}
    assert training_jobs_of(made) == 6


def test_one_of_several_definitions_that_searches_numbers_is_refused_in_a_grid() -> None:
    numbers = {"IntegerParameterRanges": [{"Name": "n", "MinValue": "1", "MaxValue": "2"}]}
    several = {"TrainingJobDefinitions": [{}, {"HyperParameterRanges": numbers}]}
    with pytest.raises(InvalidRequest, match="categorical ranges only"):
        job(hyperparameter_ranges=THREE, strategy="Grid", overrides=several)


# Requests in API form are sent as they are, and are checked and counted alike.


def in_api_form(*spaces: dict[str, Any], **limits: int) -> dict[str, Any]:
    """Return a Grid with one training job definition for each search space."""
    sent = api_request()
    config = sent["HyperParameterTuningJobConfig"] | {
        "Strategy": "Grid",
        "ParameterRanges": {},
        "ResourceLimits": {"MaxParallelTrainingJobs": 1, **limits},
    }
    training = sent.pop("TrainingJobDefinition")
    several = [{**training, "HyperParameterRanges": space} for space in spaces]
    return {**sent, "HyperParameterTuningJobConfig": config, "TrainingJobDefinitions": several}


def categorical(*values: str) -> dict[str, Any]:
    return {"CategoricalParameterRanges": [{"Name": "c", "Values": list(values)}]}


AUTO = {"AutoParameters": [{"Name": "c", "ValueHint": "1"}]}


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        (in_api_form(categorical("a", "b")), 2),
        (in_api_form(categorical("a", "b", "a")), 2),
        (in_api_form(categorical("a", "b"), categorical("a", "b", "c")), 5),
        (in_api_form(categorical("a", "b"), MaxNumberOfTrainingJobs=2), 2),
        (in_api_form(categorical("a", "b"), MaxNumberOfTrainingJobs=1), 2),
    ],
)
def test_a_grid_in_api_form_is_taken_and_counted(asked: dict[str, Any], count: int) -> None:
    check_documented_limits(asked, 0)
    assert training_jobs_of(asked) == count
    seconds = asked["TrainingJobDefinitions"][0]["StoppingCondition"]["MaxRuntimeInSeconds"]
    assert most_instance_seconds(asked) == count * seconds


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (in_api_form(AUTO), "categorical ranges only"),
        (in_api_form(categorical("a"), AUTO), "categorical ranges only"),
        (in_api_form(categorical("a", "b"), MaxNumberOfTrainingJobs=3), "has 2 combinations"),
        (
            in_api_form(categorical("a"), categorical("b"), MaxNumberOfTrainingJobs=3),
            "has 2 combinations",
        ),
        (in_api_form(categorical(*map(str, range(751)))), "751 training jobs exceed the limit"),
    ],
)
def test_a_grid_in_api_form_that_sagemaker_does_not_search_is_refused(
    asked: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        check_documented_limits(asked, 0)


def test_a_guardrail_counts_the_combinations_of_a_grid_whatever_number_it_names() -> None:
    asked = in_api_form(categorical("a", "b", "c"), MaxNumberOfTrainingJobs=1)
    with pytest.raises(NotAllowed, match="3, but the deployment allows at most 2") as caught:
        check_guardrails(asked, Guardrails(max_training_jobs=2))
    assert "List fewer values" in caught.value.fix
    check_guardrails(asked, Guardrails(max_training_jobs=3))


WIDE = {"Name": "w", "MinValue": "0", "MaxValue": "1"}
ONE_POINT = {"Name": "p", "MinValue": "0.5", "MaxValue": "0.5"}
FOUR = {"Name": "i", "MinValue": "-1", "MaxValue": "2"}
TEXTS = {"Name": "i", "MinValue": "a", "MaxValue": "2"}


@pytest.mark.parametrize(
    ("space", "points"),
    [
        ({}, float("inf")),  # SageMaker chooses the ranges
        (AUTO, float("inf")),
        (categorical("a", "b") | AUTO, float("inf")),
        ({"CategoricalParameterRanges": [], "IntegerParameterRanges": []}, float("inf")),
        (categorical("a", "b") | {"AutoParameters": []}, 2),
        (categorical("a", "b") | {"ContinuousParameterRanges": [WIDE]}, float("inf")),
        (categorical("a", "b") | {"ContinuousParameterRanges": [ONE_POINT]}, 2),
        ({"ContinuousParameterRanges": [ONE_POINT]}, 1),
        ({"ContinuousParameterRanges": [ONE_POINT, WIDE]}, float("inf")),
        ({"IntegerParameterRanges": [FOUR]}, 4),
        (categorical("a", "b") | {"IntegerParameterRanges": [FOUR, FOUR]}, 32),
        ({"IntegerParameterRanges": [FOUR, TEXTS]}, float("inf")),
        ({"IntegerParameterRanges": [FOUR | {"MaxValue": "inf"}]}, float("inf")),
        ({"IntegerParameterRanges": [FOUR | {"MaxValue": "2.0"}]}, 4),
    ],
)
def test_the_points_of_a_space_are_all_combinations_or_infinitely_many(
    space: dict[str, Any], points: float
) -> None:
    assert combinations_of(in_api_form(space)) == points
    both = in_api_form(space, categorical("a", "b", "c"))
    # Ranges that a definition has not are those of all definitions.
    assert combinations_of(both) == points + 3


def test_the_names_of_all_spaces_are_searched_each_once() -> None:
    first = categorical("a") | {"IntegerParameterRanges": [FOUR], "ContinuousParameterRanges": []}
    second = {"ContinuousParameterRanges": [WIDE], "IntegerParameterRanges": [FOUR]} | AUTO
    assert searched_names(in_api_form(first, second)) == {"c", "i", "w"}
    shared = in_api_form({})
    shared["HyperParameterTuningJobConfig"]["ParameterRanges"] = categorical("a")
    assert searched_names(shared) == {"c"}
