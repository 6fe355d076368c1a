"""What the description of SageMaker's API refuses: by type, bounds, pattern and name of a field."""

from __future__ import annotations

import copy
import json
from collections import OrderedDict
from enum import StrEnum
from typing import Any

import pytest

from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.tuning_job.api.schema import (
    SOURCE_ARCHIVE,
    check_api_request,
    definitions,
    instance_choices,
    instance_types,
    on_definitions,
    problems_in,
    source_archive,
)
from tests.support.tuning_requests import job

CONFIG = "HyperParameterTuningJobConfig"
TRAINING = "TrainingJobDefinition"
LIMITS = f"{CONFIG}.ResourceLimits"
TARGET = f"{CONFIG}.TuningJobCompletionCriteria.TargetObjectiveMetricValue"
OBJECTIVE = f"{CONFIG}.HyperParameterTuningJobObjective"
VALID = job()


class Choice(StrEnum):
    """A text that is a member of an enumeration, as programs have it."""

    RANDOM = "Random"


MISSING = object()


def changed(path: str, value: object) -> dict[str, Any]:
    """Return a valid request with another value at a path, which may be new."""
    made = copy.deepcopy(VALID)
    *parents, last = path.split(".")
    place: Any = made
    for each in parents:
        place = place[int(each)] if isinstance(place, list) else place.setdefault(each, {})
    if value is MISSING:
        del place[last]
    else:
        place[last] = value
    return made


def test_a_valid_request_has_no_problems_and_costs_no_search_for_them() -> None:
    assert problems_in(VALID) == ()
    check_api_request(VALID)
    assert problems_in(VALID) == (), "as often as it is checked"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{LIMITS}.MaxNumberOfTrainingJobs", 1),
        (f"{LIMITS}.MaxNumberOfTrainingJobs", 2**31 - 1),
        (f"{LIMITS}.MaxRuntimeInSeconds", 120),
        (f"{LIMITS}.MaxRuntimeInSeconds", 15_768_000),
        (TARGET, 1),
        (TARGET, -0.5),
        (f"{OBJECTIVE}.MetricName", "a"),
        (f"{OBJECTIVE}.MetricName", "m" * 255),
        (f"{TRAINING}.StaticHyperParameters", {}),
        (f"{TRAINING}.StaticHyperParameters", {str(n): "" for n in range(100)}),
        (f"{TRAINING}.StaticHyperParameters", {"k" * 256: "line\nline"}),
        (f"{TRAINING}.Environment", {"_A1": " any\ttext\n"}),
        (f"{TRAINING}.EnableNetworkIsolation", False),
        (f"{TRAINING}.InputDataConfig.0.ShuffleConfig", {"Seed": -(2**63)}),
        (f"{TRAINING}.InputDataConfig.0.ShuffleConfig", {"Seed": 2**63 - 1}),
        (f"{CONFIG}.Strategy", Choice.RANDOM),
        (f"{TRAINING}.Environment", OrderedDict(A="b")),
        ("Tags", ()),
        ("Tags", [{"Key": "größe 2", "Value": ""}]),
        ("Tags", [{"Key": str(n), "Value": "v"} for n in range(50)]),
    ],
)
def test_what_is_within_the_description_is_accepted(path: str, value: object) -> None:
    assert [*problems_in(changed(path, value))] == []


@pytest.mark.parametrize(
    ("path", "value", "problem", "fix"),
    [
        # types
        (LIMITS, [], "[] has the wrong type", "The API expects the type structure"),
        (f"{LIMITS}.MaxNumberOfTrainingJobs", "9", "'9' has the wrong type",
         "The API expects the type integer"),
        (f"{LIMITS}.MaxNumberOfTrainingJobs", True, "True has the wrong type",
         "The API expects the type integer"),
        (f"{LIMITS}.MaxNumberOfTrainingJobs", 1.5, "1.5 has the wrong type",
         "The API expects the type integer"),
        (TARGET, "0.9", "'0.9' has the wrong type", "The API expects the type float"),
        (TARGET, False, "False has the wrong type", "The API expects the type float"),
        (f"{OBJECTIVE}.MetricName", 7, "7 has the wrong type", "The API expects the type string"),
        (f"{TRAINING}.StaticHyperParameters", ["a"], "['a'] has the wrong type",
         "The API expects the type map"),
        (f"{TRAINING}.EnableNetworkIsolation", 1, "1 has the wrong type",
         "The API expects the type boolean"),
        ("Tags", {"a": "b"}, "{'a': 'b'} has the wrong type", "The API expects the type list"),
        ("Tags", "ab", "'ab' has the wrong type", "The API expects the type list"),
        # bounds
        (f"{LIMITS}.MaxNumberOfTrainingJobs", 0, "0 is less than 1", "Use at least 1"),
        (f"{LIMITS}.MaxRuntimeInSeconds", 119, "119 is less than 120", "Use at least 120"),
        (f"{LIMITS}.MaxRuntimeInSeconds", 15_768_001, "15768001 is more than 15768000",
         "Use at most 15768000"),
        (f"{LIMITS}.MaxNumberOfTrainingJobs", 2**31, "the number has more than 31 bits",
         "Use a smaller number"),
        (f"{LIMITS}.MaxNumberOfTrainingJobs", -(2**31) - 1, "the number has more than 31 bits",
         "Use a smaller number"),
        (f"{OBJECTIVE}.MetricName", "", "0 characters is less than 1", "Use at least 1"),
        (f"{OBJECTIVE}.MetricName", "m" * 256, "256 characters is more than 255",
         "Use at most 255"),
        (f"{TRAINING}.StaticHyperParameters", {str(n): "" for n in range(101)},
         "101 entries is more than 100", "Use at most 100"),
        (f"{TRAINING}.InputDataConfig", [], "0 entries is less than 1", "Use at least 1"),
        ("Tags", [{"Key": str(n), "Value": "v"} for n in range(51)],
         "51 entries is more than 50", "Use at most 50"),
        # choices and patterns
        (f"{CONFIG}.Strategy", "Bayes", "the API does not accept 'Bayes'",
         "Did you mean Bayesian?"),
        (f"{CONFIG}.Strategy", "zzz", "the API does not accept 'zzz'",
         "Use one of Bayesian, Random, Hyperband, Grid"),
        (f"{TRAINING}.ResourceConfig.InstanceType", "m5.large",
         "the API does not accept 'm5.large'", "Did you mean ml.m5.large?"),
        ("HyperParameterTuningJobName", "under_score", "'under_score' is not allowed",
         "It must match [a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}"),
        # names
        (f"{TRAINING}.RoleArn", MISSING, "missing",
         "Add it; in the short form, to overrides or to the template"),
        (f"{OBJECTIVE}.Metric", "a", "the API has no such field", "Did you mean MetricName?"),
        (f"{OBJECTIVE}.zzzzzz", "a", "the API has no such field", "Use Type, MetricName"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_field_the_problem_and_the_fix(
    path: str, value: object, problem: str, fix: str
) -> None:
    assert [*problems_in(changed(path, value))] == [(path, problem, fix)]
    with pytest.raises(InvalidRequest) as refused:
        check_api_request(changed(path, value))
    assert (refused.value.field, refused.value.problem, refused.value.fix) == (path, problem, fix)


@pytest.mark.parametrize(
    ("path", "value", "below"),
    [
        ("Tags", [{"Key": "a", "Value": "b"}, {"Key": "", "Value": "b"}], "1.Key"),
        ("Tags", [{"Value": "b"}], "0.Key"),
        (f"{TRAINING}.Environment", {"A": "b", "1": "b"}, "1"),
        (f"{TRAINING}.Environment", {"A": "b", "B": 2}, "B"),
        (f"{TRAINING}.InputDataConfig.0.DataSource", {"S3DataSource": {"S3Uri": "x"}},
         "S3DataSource.S3DataType"),
    ],
)  # fmt: skip
def test_a_problem_inside_a_list_or_a_map_has_its_whole_path(
    path: str, value: object, below: str
) -> None:
    (field, *_), *_ = problems_in(changed(path, value))
    assert field == f"{path}.{below}"


def test_every_problem_is_found_and_none_hides_another() -> None:
    several = changed(f"{LIMITS}.MaxNumberOfTrainingJobs", 0)
    several["HyperParameterTuningJobName"] = "under_score"
    several["Tags"] = [{"Key": "", "Value": "b"}, {"Key": "a"}]
    del several[CONFIG]["Strategy"]
    assert {path for path, _, _ in problems_in(several)} == {
        f"{LIMITS}.MaxNumberOfTrainingJobs", "HyperParameterTuningJobName", "Tags.0.Key",
        "Tags.1.Value", f"{CONFIG}.Strategy",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("resources", "choices"),
    [
        ({}, []),
        ({"ResourceConfig": {}}, []),
        ({"ResourceConfig": {"InstanceType": "a"}}, [{"a": 1}]),
        ({"ResourceConfig": {"InstanceType": "a", "InstanceCount": 3}}, [{"a": 3}]),
        (
            {"ResourceConfig": {"InstanceGroups": [
                {"InstanceType": "a", "InstanceCount": 2},
                {"InstanceType": "b", "InstanceCount": 1},
                {"InstanceType": "a", "InstanceCount": 4},
            ]}},
            [{"a": 6, "b": 1}],
        ),
        ({"ResourceConfig": {"InstanceGroups": []}}, []),
        (
            {"ResourceConfig": {"InstanceCount": 5, "InstancePreferences": [
                {"InstanceType": "a", "InstanceCount": 2}, {"InstanceType": "b"},
            ]}},
            [{"a": 2}, {"b": 5}],
        ),
        (
            {"HyperParameterTuningResourceConfig": {"InstanceConfigs": [
                {"InstanceType": "a", "InstanceCount": 2},
                {"InstanceType": "b", "InstanceCount": 4},
            ]}},
            [{"a": 2}, {"b": 4}],
        ),
        ({"HyperParameterTuningResourceConfig": {"InstanceType": "a", "InstanceCount": 2}},
         [{"a": 2}]),
    ],
)  # fmt: skip
def test_the_groups_of_a_cluster_run_together_and_of_preferences_one_is_used(
    resources: dict[str, Any], choices: list[dict[str, int]]
) -> None:
    assert [dict(each) for each in instance_choices(resources)] == choices
    assert instance_types(resources) == [each for choice in choices for each in choice]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("s3://a/code.tar.gz", "s3://a/code.tar.gz"),
        (json.dumps("s3://a/code.tar.gz"), "s3://a/code.tar.gz"),
        ('"not closed', '"not closed'),
        ('{"a": 1}', '{"a": 1}'),
        ("", ""),
    ],
)
def test_the_place_of_the_code_is_read_with_and_without_encoding(written: str, read: str) -> None:
    assert source_archive({"StaticHyperParameters": {SOURCE_ARCHIVE: written}}) == read


@pytest.mark.parametrize("definition", [{}, {"StaticHyperParameters": {}}])
def test_a_training_job_may_have_no_code(definition: dict[str, Any]) -> None:
    assert source_archive(definition) == ""


@pytest.mark.parametrize(
    ("api_request", "names"),
    [
        ({}, []),
        ({TRAINING: {"n": 1}}, [1]),
        ({"TrainingJobDefinitions": [{"n": 1}, {"n": 2}]}, [1, 2]),
    ],
)
def test_each_definition_is_changed_in_either_field_and_the_request_stays_as_it_is(
    api_request: dict[str, Any], names: list[int]
) -> None:
    before = copy.deepcopy(api_request)
    assert [each["n"] for each in definitions(api_request)] == names
    made = on_definitions(api_request, lambda each: {"n": each["n"] + 10})
    assert [each["n"] for each in definitions(made)] == [n + 10 for n in names]
    assert made.keys() == api_request.keys()
    assert api_request == before
