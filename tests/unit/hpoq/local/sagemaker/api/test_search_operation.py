"""The Search operation."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpo_dispatcher.aws.sagemaker import SEARCHED_AT_ONCE, SageMakerTuning
from tests.support.memory_endpoint import MemoryPorts, tuning_job


@pytest.fixture
def tuned(sagemaker: Any, memory: MemoryPorts) -> Any:
    """Return a client of two tuning jobs with three training jobs each; the second has a tag."""
    for name, tags in (("first", {}), ("second", {"Tags": [{"Key": "team", "Value": "fraud"}]})):
        sagemaker.create_hyper_parameter_tuning_job(**tuning_job(name, jobs=3), **tags)
        assert memory.await_status(name, "Completed", "Failed") == "Completed"
    return sagemaker


def names(sagemaker: Any, resource: str, **request: Any) -> list[str]:
    """Return the names that Search finds, across all pages."""
    pages = sagemaker.get_paginator("search").paginate(
        Resource=resource, **request, PaginationConfig={"PageSize": 2}
    )
    return [result[resource][f"{resource}Name"] for page in pages for result in page["Results"]]


def where(*filters: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"SearchExpression": {"Filters": list(filters), **more}}


def is_(name: str, operator: str, value: str = "") -> dict[str, str]:
    return {"Name": name, "Operator": operator} | ({"Value": value} if value else {})


def test_search_filters_sorts_and_pages_training_jobs(tuned: Any) -> None:
    best = tuned.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="first")
    objective = best["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    everything = names(tuned, "TrainingJob", SortBy="CreationTime", SortOrder="Ascending")
    assert len(everything) == len(set(everything)) == 6
    assert everything[0].startswith("first-001")
    by_metric = names(tuned, "TrainingJob", SortBy="Metrics.auc", SortOrder="Descending")
    best_of_all = tuned.search(Resource="TrainingJob", SortBy="Metrics.auc")["Results"][0]
    assert best_of_all["TrainingJob"]["TrainingJobName"] == by_metric[0]
    assert best_of_all["TrainingJob"]["FinalMetricDataList"][0]["Value"] >= objective

    arn = best["HyperParameterTuningJobArn"]
    own = names(tuned, "TrainingJob", **where(is_("TuningJobArn", "Equals", arn)))
    assert sorted(own) == sorted(name for name in everything if name.startswith("first-"))
    assert tuned.search(Resource="TrainingJob", MaxResults=1)["TotalHits"]["Value"] == 6


def test_operators_apply_to_properties_metrics_and_hyperparameters(tuned: Any) -> None:
    expected = [
        ([is_("TrainingJobStatus", "Equals", "Completed")], 6),
        ([is_("TrainingJobStatus", "NotEquals", "Completed")], 0),
        ([{"Name": "TrainingJobName", "Value": "nobody"}], 0),
        ([is_("TrainingJobName", "Contains", "second-")], 3),
        ([is_("Metrics.auc", "GreaterThan", "2")], 0),
        ([is_("Metrics.auc", "LessThanOrEqualTo", "1"), is_("Metrics.loss", "NotExists")], 6),
        ([is_("HyperParameters.lr", "LessThan", "0.0")], 0),
        ([is_("HyperParameters.lr", "GreaterThanOrEqualTo", "0.01")], 6),
        ([is_("HyperParameters.lr", "Equals", "0")], 6),  # a whole number: 0.3 counts as 0
        ([is_("ResourceConfig.InstanceType", "In", "ml.p3.2xlarge,ml.m5.large")], 6),
        ([is_("CreationTime", "GreaterThan", "2020-01-01T00:00:00")], 6),
        ([is_("CreationTime", "LessThan", "2020-01-01T00:00:00Z")], 0),
        ([is_("FailureReason", "Exists")], 0),
    ]
    found = [
        (filters, len(names(tuned, "TrainingJob", **where(*filters)))) for filters, _ in expected
    ]
    assert found == expected


def test_search_supports_tags_expressions_and_nested_filters(tuned: Any) -> None:
    job = "HyperParameterTuningJob"
    assert names(tuned, job, **where(is_("Tags.team", "Equals", "fraud"))) == ["second"]
    strategy = is_("HyperParameterTuningJobConfig.Strategy", "Equals", "Random")
    assert sorted(names(tuned, job, **where(strategy))) == ["first", "second"]
    either = where(
        {"Name": "Tags.team", "Value": "fraud"},
        is_("HyperParameterTuningJobName", "Equals", "first"),
        Operator="Or",
    )
    assert sorted(names(tuned, job, **either)) == ["first", "second"]
    both = {"SearchExpression": {"SubExpressions": [
        {"Filters": [strategy]}, {"Filters": [is_("Tags.team", "NotExists")]}
    ]}}  # fmt: skip
    assert names(tuned, job, **both) == ["first"]

    def of_channel(name: str) -> dict[str, Any]:
        nested = {
            "NestedPropertyName": "InputDataConfig",
            "Filters": [
                is_("InputDataConfig.ChannelName", "Equals", name),
                is_("InputDataConfig.DataSource.S3DataSource.S3Uri", "Contains", "bucket/data"),
            ],
        }
        return {"SearchExpression": {"NestedFilters": [nested]}}

    assert len(names(tuned, "TrainingJob", **of_channel("train"))) == 6
    assert names(tuned, "TrainingJob", **of_channel("test")) == []


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        ({"Resource": "Endpoint"}, "Search for Endpoint is not supported"),
        ({"Resource": "TrainingJob", **where(is_("Nme", "Exists"))}, "Unknown property name: Nme"),
        ({"Resource": "TrainingJob", "SortBy": "Color"}, "Unknown property name: Color"),
        ({"Resource": "TrainingJob", **where(is_("TrainingJobName", "Equals"))}, "needs a Value"),
        (
            {"Resource": "TrainingJob", **where(*[is_("TrainingJobName", "Contains", "a")] * 2)},
            "'CONTAINS' operator usage limit of 1 exceeded",
        ),
    ],
)
def test_an_invalid_search_is_rejected(
    sagemaker: Any, request_: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ClientError, match=problem) as caught:
        sagemaker.search(**request_)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_the_dispatcher_finds_ended_jobs_with_the_fields_of_their_descriptions(
    tuned: Any, memory: MemoryPorts
) -> None:
    failing = tuning_job("failing", jobs=1, static={"fail": "no such column"})
    running = tuning_job("running", jobs=1, static={"sleep": "600"})
    for job in (failing, running):
        tuned.create_hyper_parameter_tuning_job(**job)
    memory.await_status("failing", "Failed")
    searches: list[str] = []
    tuned.meta.events.register("before-call.sagemaker.Search", lambda **_: searches.append(""))
    tuning = SageMakerTuning(tuned)
    asked = ["first", "running", "second", "failing", "nobody"]

    found = tuning.search_ended(asked)

    assert found == {name: tuning.describe(name) for name in ("first", "second", "failing")}
    assert found["failing"].failure_reason.startswith("No training job succeeded.")
    assert found["first"].best
    tuning.search_ended([f"fraud-{number:026}" for number in range(SEARCHED_AT_ONCE + 1)])
    assert len(searches) == 1 + 2, "a filter's value is at most 1,024 characters long"
