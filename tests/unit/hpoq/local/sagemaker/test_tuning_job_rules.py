"""Search spaces, strategies and definitions of tuning jobs that SageMaker rejects."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest

from hpoq.local.sagemaker.errors import ApiError
from hpoq.local.sagemaker.rules import (
    check_combinations,
    check_grid,
    check_training_job,
    check_tuning_job,
)
from tests.support.memory_endpoint import channel, training_job, tuning_job

CONFIG, LIMITS = "HyperParameterTuningJobConfig", "ResourceLimits"
INTEGERS = {"IntegerParameterRanges": [{"Name": "n", "MinValue": "1", "MaxValue": "2"}]}
CATEGORIES = {"CategoricalParameterRanges": [{"Name": "c", "Values": ["a", "b"]}]}


def several() -> dict[str, Any]:
    """Return a tuning job with the definitions one and two."""
    job = tuning_job("job-1", jobs=6)
    definition, config = job.pop("TrainingJobDefinition"), job[CONFIG]
    definition["TuningObjective"] = config.pop("HyperParameterTuningJobObjective")
    definition["HyperParameterRanges"] = config.pop("ParameterRanges")
    named = [copy.deepcopy(definition) | {"DefinitionName": name} for name in ("one", "two")]
    return job | {"TrainingJobDefinitions": named}


def numbers(count: int) -> dict[str, Any]:
    each = {"MinValue": "0", "MaxValue": "1"}
    return {"ContinuousParameterRanges": [{"Name": f"p{n}", **each} for n in range(count)]}


def refusal(problem: str | None) -> contextlib.AbstractContextManager[Any]:
    """Expect this problem, or none."""
    if problem is None:
        return contextlib.nullcontext()
    return pytest.raises(ApiError, match=problem)


# API_HyperbandStrategyConfig.html: "The maximum value is 20,000."
@pytest.mark.parametrize(
    ("resources", "is_refused"),
    [
        ({}, False),
        ({"MinResource": 30_000}, False),
        ({"MaxResource": 20_000}, False),
        ({"MinResource": 1, "MaxResource": 20_001}, True),
    ],
)
def test_hyperband_has_a_largest_resource(resources: dict[str, int], *, is_refused: bool) -> None:
    given = {"HyperbandStrategyConfig": resources}
    job = tuning_job("job-1", Strategy="Hyperband", StrategyConfig=given)
    with refusal("MaxResource 20001 is more than 20000" if is_refused else None):
        check_tuning_job(job)


HINT = {"AutoParameters": [{"Name": "n", "ValueHint": "5"}]}


@pytest.mark.parametrize(
    ("strategy", "ranges", "is_refused"),
    [
        ("Grid", CATEGORIES, False),
        ("Grid", CATEGORIES | {"AutoParameters": []}, False),
        ("Grid", HINT, True),
        ("Grid", CATEGORIES | HINT, True),
        ("Random", HINT, False),
        ("Bayesian", CATEGORIES | HINT, False),
    ],
)
def test_autotune_chooses_no_ranges_of_a_grid(
    strategy: str, ranges: dict[str, Any], *, is_refused: bool
) -> None:
    shared = tuning_job("job-1", Strategy=strategy, ranges=ranges)
    own = several()
    own["HyperParameterTuningJobConfig"]["Strategy"] = strategy
    own["TrainingJobDefinitions"][0]["HyperParameterRanges"] = CATEGORIES
    own["TrainingJobDefinitions"][1]["HyperParameterRanges"] = ranges
    for job in (shared, own):
        with refusal("searches categorical hyperparameters" if is_refused else None):
            check_grid(job)


@pytest.mark.parametrize(
    ("ranges", "is_refused"),
    [(CATEGORIES, False), (CATEGORIES | INTEGERS, True), (INTEGERS, True), ({}, True)],
)
def test_a_grid_searches_only_categories(ranges: dict[str, Any], *, is_refused: bool) -> None:
    job = tuning_job("job-1", Strategy="Grid", ranges=ranges)
    with refusal("searches categorical hyperparameters" if is_refused else None):
        check_tuning_job(job)


def without(job: dict[str, Any], *path: str) -> dict[str, Any]:
    """Return a request without the field at the end of a path."""
    inner = job
    for field in path[:-1]:
        inner = inner[field]
    del inner[path[-1]]
    return job


def test_a_tuning_job_may_set_no_number_of_training_jobs() -> None:
    job = without(tuning_job("job-1", parallel=100), CONFIG, LIMITS, "MaxNumberOfTrainingJobs")
    check_tuning_job(job)
    check_combinations(job)
    job[CONFIG][LIMITS]["MaxParallelTrainingJobs"] = 101
    with refusal("MaxParallelTrainingJobs 101 is more than 100"):
        check_tuning_job(job)


def test_every_parent_of_a_warm_start_has_a_name() -> None:
    named = {"HyperParameterTuningJobName": "parent"}
    for parents, is_refused in (([], False), ([named], False), ([named, {}], True)):
        warm = {"WarmStartType": "TransferLearning", "ParentHyperParameterTuningJobs": parents}
        with refusal("needs a HyperParameterTuningJobName" if is_refused else None):
            check_tuning_job(tuning_job("job-1") | {"WarmStartConfig": warm})
    check_tuning_job(tuning_job("job-1") | {"WarmStartConfig": {}})


def own_ranges(job: dict[str, Any]) -> None:
    job["TrainingJobDefinitions"][1]["HyperParameterRanges"] = numbers(31)


def own_objective(job: dict[str, Any]) -> None:
    job["TrainingJobDefinitions"][1]["TuningObjective"] = {"Type": "Minimize", "MetricName": "f1"}


def own_images(job: dict[str, Any]) -> None:
    job["TrainingJobDefinitions"][1]["AlgorithmSpecification"].pop("TrainingImage")


def own_channels(job: dict[str, Any]) -> None:
    job["TrainingJobDefinitions"][1]["InputDataConfig"] = [channel("..", "s3://bucket/data")]


def own_instances(job: dict[str, Any]) -> None:
    job["TrainingJobDefinitions"][1]["ResourceConfig"] = {"InstanceCount": 1}


def own_environment(job: dict[str, Any]) -> None:
    job["TrainingJobDefinitions"][0]["Environment"] = {f"V{n}": "" for n in range(49)}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda _: None, None),
        (own_ranges, "31 hyperparameters are searched; at most 30 can be"),
        (own_objective, r"\[f1\], isn't valid for the training algorithm"),
        (own_images, "exactly one of TrainingImage and AlgorithmName"),
        (own_channels, r"channel name \.\. is not valid"),
        (own_instances, "needs an InstanceType"),
        (own_environment, "49 environment variables together"),
        (lambda job: job["TrainingJobDefinitions"][1].pop("HyperParameterRanges"),
         "two needs its own HyperParameterRanges"),
    ],
)  # fmt: skip
def test_every_definition_is_checked(change: Any, problem: str | None) -> None:
    job = several()
    change(job)
    with refusal(problem):
        check_tuning_job(job)


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ([], None),
        (["a", "A"], None),  # tag keys are case-sensitive
        (["a", "b", "aws:c"], "tag key aws:c begins with aws:"),
        (["a", "b", "b"], "tag key b is used 2 times"),
    ],
)
@pytest.mark.parametrize("check", [check_tuning_job, check_training_job])
def test_tag_keys_are_distinct_and_the_team_s_own(
    check: Any, tags: list[str], problem: str | None
) -> None:
    job = tuning_job("job-1") if check is check_tuning_job else training_job("job-1")
    with refusal(problem):
        check(job | {"Tags": [{"Key": key, "Value": ""} for key in tags]})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"ResourceConfig": {"InstanceCount": 1}}, "needs an InstanceType"),
        ({"AlgorithmSpecification": {}}, "exactly one of TrainingImage and AlgorithmName"),
    ],
)
def test_a_training_job_has_the_rules_of_a_definition(change: dict[str, Any], problem: str) -> None:
    with refusal(problem):
        check_training_job(training_job("job-1") | change)


def test_points_of_several_definitions_add_up() -> None:
    job = several()
    job["TrainingJobDefinitions"][0]["HyperParameterRanges"] = INTEGERS
    job["TrainingJobDefinitions"][1]["HyperParameterRanges"] = INTEGERS | CATEGORIES
    job[CONFIG][LIMITS]["MaxNumberOfTrainingJobs"] = 6
    check_combinations(job)
    job[CONFIG][LIMITS]["MaxNumberOfTrainingJobs"] = 7
    with refusal(r"ranges \[6\.0\] must be .* MaxNumberOfJobs, \[7\]"):
        check_combinations(job)


def with_metrics(*names: str) -> dict[str, Any]:
    job = tuning_job("job-1")
    metrics = [{"Name": name, "Regex": name} for name in names]
    job["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"] = metrics
    return job


def test_the_objective_is_one_of_the_metrics() -> None:
    check_tuning_job(with_metrics("loss", "auc"))
    with refusal(r"\[auc\], isn't valid .* Choose one of: loss, f1"):
        check_tuning_job(with_metrics("loss", "f1"))
    algorithm = ("TrainingJobDefinition", "AlgorithmSpecification", "MetricDefinitions")
    with refusal("A metric is required"):
        check_tuning_job(without(with_metrics(), *algorithm))
