"""Which values of a template fill the fields that a request omits, and which give way."""

from __future__ import annotations

from typing import Any

import pytest

from hpo_dispatcher.contract.request import Objective, ResourceLimits
from hpo_dispatcher.contract.templates import Template
from hpo_dispatcher.tuning_job.defaults import with_template_defaults, with_training_jobs_that_exist
from tests.support.tuning_requests import request

AUC = {"metric": "auc", "type": "Maximize"}
LOSS = {"metric": "loss", "type": "Minimize"}
OF_TEMPLATE: dict[str, Any] = {
    "hyperparameters": {"epochs": 3, "lr": 0.5},
    "objective": AUC,
    "strategy": "Random",
    "resource_limits": {"max_training_jobs": 8, "max_parallel_training_jobs": 4},
    "tags": {"project": "churn", "stage": "test"},
}


def template(**fields: Any) -> Template:
    return Template(description="any", image="any", request=fields)


def test_a_request_that_only_names_ranges_takes_all_fields_of_its_template() -> None:
    filled = with_template_defaults(request(), template(**OF_TEMPLATE))
    assert filled.hyperparameters == {"epochs": 3}, "lr is searched"
    assert filled.objective == Objective(metric="auc", type="Maximize")
    assert filled.strategy == "Random"
    assert filled.resource_limits == ResourceLimits(
        max_training_jobs=8, max_parallel_training_jobs=4
    )
    assert filled.tags == {"project": "churn", "stage": "test"}
    assert filled.hyperparameter_ranges == request().hyperparameter_ranges


def test_what_a_request_names_wins_by_name_of_hyperparameter_limit_and_tag() -> None:
    asked: dict[str, Any] = {
        "hyperparameters": {"epochs": 9, "depth": 2}, "objective": LOSS, "strategy": "Bayesian",
        "resource_limits": {"max_training_jobs": 2, "max_runtime_in_seconds": 600},
        "tags": {"stage": "live"},
    }  # fmt: skip
    filled = with_template_defaults(request(**asked), template(**OF_TEMPLATE))
    assert filled.hyperparameters == {"epochs": 9, "depth": 2}
    assert filled.objective == Objective(metric="loss", type="Minimize")
    assert filled.strategy == "Bayesian"
    assert filled.resource_limits == ResourceLimits(
        max_training_jobs=2, max_parallel_training_jobs=4, max_runtime_in_seconds=600
    )
    assert filled.tags == {"project": "churn", "stage": "live"}


@pytest.mark.parametrize("asked", [{}, {"strategy": "Grid", "tags": {"a": "b"}, "objective": LOSS}])
def test_a_template_without_defaults_changes_nothing(asked: dict[str, Any]) -> None:
    assert with_template_defaults(request(**asked), template()) == request(**asked)


TWO = {"Name": "a", "Values": ["x", "y"]}
THREE = {"Name": "b", "Values": ["x", "y", "z"]}
WIDE = {"Name": "c", "MinValue": "0", "MaxValue": "1"}


def api_request(
    strategy: str, ranges: dict[str, Any], count: int = 1, **limits: int
) -> dict[str, Any]:
    of_definition = {"HyperParameterRanges": ranges}
    config = {"Strategy": strategy, "ResourceLimits": limits, "RandomSeed": 7}
    return {
        "HyperParameterTuningJobConfig": config, "Tags": [],
        "TrainingJobDefinitions": [of_definition] * count,
    }  # fmt: skip


def limits_with(made: dict[str, Any], **asked: Any) -> dict[str, Any]:
    found = with_training_jobs_that_exist(made, request(**asked))
    config = found["HyperParameterTuningJobConfig"]
    assert {**found, "HyperParameterTuningJobConfig": config | {"ResourceLimits": {}}} == {
        **made, "HyperParameterTuningJobConfig": {
            **made["HyperParameterTuningJobConfig"], "ResourceLimits": {}
        },
    }  # fmt: skip
    limits: dict[str, Any] = config["ResourceLimits"]
    return limits


def most(total: int | None, parallel: int) -> dict[str, int]:
    given = {"MaxNumberOfTrainingJobs": total, "MaxParallelTrainingJobs": parallel}
    return {name: n for name, n in given.items() if n is not None}


SIX = {"CategoricalParameterRanges": [TWO, THREE]}


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (api_request("Random", SIX, **most(20, 4)), most(6, 4)),
        (api_request("Random", SIX, **most(5, 4)), most(5, 4)),
        (api_request("Random", SIX, **most(20, 8)), most(6, 6)),
        (api_request("Random", SIX, 2, **most(20, 4)), most(12, 4)),
        (api_request("Grid", SIX, **most(5, 4)), most(6, 4)),
        (api_request("Grid", SIX, **most(20, 9)), most(6, 6)),
        (api_request("Grid", SIX, 2, **most(5, 20)), most(None, 12)),
        (
            api_request("Random", {"ContinuousParameterRanges": [WIDE]}, **most(20, 30)),
            most(20, 20),
        ),
        (api_request("Grid", SIX, **most(None, 30)), most(None, 30)),
    ],
)
def test_a_number_of_training_jobs_that_nobody_asked_for_fits_the_search_space(
    made: dict[str, Any], expected: dict[str, int]
) -> None:
    before = dict(made["HyperParameterTuningJobConfig"]["ResourceLimits"])
    assert limits_with(made) == expected
    assert made["HyperParameterTuningJobConfig"]["ResourceLimits"] == before


def overridden(**limits: int) -> dict[str, Any]:
    return {"overrides": {"HyperParameterTuningJobConfig": {"ResourceLimits": limits}}}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"resource_limits": {"max_training_jobs": 20}}, most(20, 8)),
        (overridden(MaxNumberOfTrainingJobs=20), most(20, 8)),
        ({"resource_limits": {"max_training_jobs": 7}}, most(20, 8)),
        ({"resource_limits": {"max_parallel_training_jobs": 8}}, most(6, 8)),
        (overridden(MaxParallelTrainingJobs=8), most(6, 8)),
        ({"overrides": {"Autotune": {"Mode": "Enabled"}}}, most(6, 6)),
    ],
)
def test_a_number_that_the_message_names_is_kept(
    asked: dict[str, Any], expected: dict[str, int]
) -> None:
    assert limits_with(api_request("Random", SIX, **most(20, 8)), **asked) == expected


def test_ranges_of_all_definitions_count_also_where_they_are_shared() -> None:
    shared = api_request("Random", {}, 2, **most(20, 2))
    shared["HyperParameterTuningJobConfig"]["ParameterRanges"] = SIX
    assert limits_with(shared) == most(12, 2)
