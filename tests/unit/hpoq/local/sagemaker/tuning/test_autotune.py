"""The values that Autotune chooses."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from hpoq.local.sagemaker.tuning.autotune import with_chosen_values
from tests.support.memory_endpoint import (
    describe,
    tuning_job,
)


def test_autotune_chooses_missing_values_and_shows_them(sagemaker: Any) -> None:
    hints = {"lr": "0.3", "sleep": "60", "fail": "", "rate": "0.9"}
    ranges = {"AutoParameters": [{"Name": k, "ValueHint": v} for k, v in hints.items()]}
    job = tuning_job("job-1", Strategy="Bayesian", ranges=ranges) | {
        "Autotune": {"Mode": "Enabled"}
    }
    del job["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    sagemaker.create_hyper_parameter_tuning_job(**job)

    found = describe(sagemaker, "job-1")
    config = found["HyperParameterTuningJobConfig"]
    assert found["Autotune"] == {"Mode": "Enabled"}
    bounds = {
        each["Name"]: (float(each["MinValue"]), float(each["MaxValue"]))
        for kind in ("IntegerParameterRanges", "ContinuousParameterRanges")
        for each in config["ParameterRanges"][kind]
    }
    assert bounds.keys() == {"lr", "sleep", "rate"}
    assert all(low < float(hints[name]) < high for name, (low, high) in bounds.items())
    assert bounds["rate"][1] < 1
    static = found["TrainingJobDefinition"]["StaticHyperParameters"]
    assert static["fail"] == ""
    assert config["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 30
    assert config["TrainingJobEarlyStoppingType"] == "Auto"
    criteria = config["TuningJobCompletionCriteria"]
    assert criteria["ConvergenceDetected"]["CompleteOnConvergence"] == "Enabled"
    assert found["TrainingJobDefinition"]["RetryStrategy"]["MaximumRetryAttempts"] == 3


def test_autotune_keeps_the_values_of_the_request(sagemaker: Any) -> None:
    job = tuning_job("job-1", TrainingJobEarlyStoppingType="Off", static={"sleep": "60"})
    sagemaker.create_hyper_parameter_tuning_job(**job, Autotune={"Mode": "Enabled"})
    config = describe(sagemaker, "job-1")["HyperParameterTuningJobConfig"]
    assert config["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 4
    assert config["TrainingJobEarlyStoppingType"] == "Off"


def chosen(hint: str) -> tuple[str, str, str, str] | None:
    """Return kind, bounds and scaling of the range for a hint; None if it became static."""
    ranges = {"AutoParameters": [{"Name": "p", "ValueHint": hint}]}
    made = with_chosen_values(tuning_job("j", ranges=ranges) | AUTOTUNE)
    found = made["HyperParameterTuningJobConfig"]["ParameterRanges"]
    if not found:
        assert made["TrainingJobDefinition"]["StaticHyperParameters"]["p"] == hint
        return None
    ((kind, (each,)),) = found.items()
    return kind[:3], each["MinValue"], each["MaxValue"], each["ScalingType"]


AUTOTUNE = {"Autotune": {"Mode": "Enabled"}}


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ("10", ("Int", "1", "100", "Logarithmic")),
        ("1", ("Int", "1", "10", "Logarithmic")),  # an integer stays positive
        ("-1", ("Int", "-10", "-1", "Linear")),
        ("-50", ("Int", "-500", "-5", "Linear")),
        ('"64"', ("Int", "6", "640", "Logarithmic")),
        ("1.0", ("Con", "0.1", "10.0", "Logarithmic")),  # as for numbers beyond 1
        ("2.0", ("Con", "0.2", "20.0", "Logarithmic")),
        ("0.5", ("Con", "0.0", "0.75", "Linear")),
        ("0.75", ("Con", "0.5", "0.875", "Linear")),
        ("0.25", ("Con", "0.025", "0.625", "Logarithmic")),  # not beyond half of the way to 1
        ("0.001", ("Con", "0.0001", "0.01", "Logarithmic")),
        ("-0.5", ("Con", "-5.0", "-0.05", "Linear")),
        ("0", None),
        ("0.0", None),
        ("1e16", None),
        ("adam", None),
        ("", None),
    ],
)
def test_a_range_is_from_a_tenth_of_its_hint_to_ten_times_it(
    hint: str, expected: tuple[str, str, str, str] | None
) -> None:
    assert chosen(hint) == expected


@pytest.mark.parametrize(("searched", "jobs"), [(1, 20), (2, 20), (3, 30), (20, 200), (21, 200)])
def test_the_number_of_training_jobs_follows_from_the_hyperparameters(
    searched: int, jobs: int
) -> None:
    auto = [{"Name": f"p{n}", "ValueHint": "1.5"} for n in range(searched)]
    job = tuning_job("j", ranges={"AutoParameters": auto}, parallel=1) | AUTOTUNE
    del job["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    made = with_chosen_values(job)
    assert made["HyperParameterTuningJobConfig"]["ResourceLimits"] == {
        "MaxNumberOfTrainingJobs": jobs, "MaxParallelTrainingJobs": 1
    }  # fmt: skip
    assert "AutoParameters" in job["HyperParameterTuningJobConfig"]["ParameterRanges"], "unchanged"


def test_as_many_training_jobs_as_run_at_once_are_the_least() -> None:
    job = tuning_job("j", parallel=50) | AUTOTUNE
    del job["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    limits = with_chosen_values(job)["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits["MaxNumberOfTrainingJobs"] == 50


@pytest.mark.parametrize(
    ("strategy", "absent"),
    [("Hyperband", "TrainingJobEarlyStoppingType"), ("Random", "nothing")],
)
def test_hyperband_keeps_its_own_early_stopping(strategy: str, absent: str) -> None:
    made = with_chosen_values(tuning_job("j", Strategy=strategy) | AUTOTUNE)
    assert absent not in made["HyperParameterTuningJobConfig"]


@pytest.mark.parametrize("mode", [{}, {"Autotune": {}}, {"Autotune": {"Mode": "Disabled"}}])
def test_without_autotune_a_request_is_unchanged(mode: dict[str, Any]) -> None:
    job = tuning_job("j") | mode
    assert with_chosen_values(job) is job


def test_a_static_value_of_the_request_wins_over_a_hint_that_is_no_number() -> None:
    ranges = {"AutoParameters": [{"Name": "p", "ValueHint": "adam"}]}
    made = with_chosen_values(tuning_job("j", ranges=ranges, static={"p": "sgd"}) | AUTOTUNE)
    assert made["TrainingJobDefinition"]["StaticHyperParameters"]["p"] == "sgd"


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ("1.0", ("Con", "0.1", "10.0", "Logarithmic")),  # not a share
        ("1e15", ("Con", "100000000000000.0", "1e+16", "Logarithmic")),
        ("1000000000000000", ("Int", "100000000000000", "10000000000000000", "Logarithmic")),
        ("-1000000000000001", None),
        ("-1e16", None),
        ("0.999", ("Con", "0.998", "0.9995", "Linear")),
        ("0.0625", ("Con", "0.00625", "0.53125", "Logarithmic")),
        ("-1.0", ("Con", "-10.0", "-0.1", "Linear")),
        ("5", ("Int", "1", "50", "Logarithmic")),
        ("-5", ("Int", "-50", "-1", "Linear")),
        ("1.5", ("Con", "0.15", "15.0", "Logarithmic")),
        ("X64", None),  # only quotation marks are no part of a number
        ("nan", None),
        ("inf", None),
    ],
)
def test_hints_at_the_edges_of_the_rule(
    hint: str, expected: tuple[str, str, str, str] | None
) -> None:
    assert chosen(hint) == expected


def hinted(**hints: str) -> dict[str, Any]:
    auto = [{"Name": name, "ValueHint": hint} for name, hint in hints.items()]
    return {"AutoParameters": auto}


LR = {"Name": "lr", "MinValue": "0.01", "MaxValue": "1"}


def test_chosen_ranges_are_added_to_those_of_the_request() -> None:
    ranges = {"ContinuousParameterRanges": [LR], **hinted(rate="2.0", decay="4.0", size="8")}
    made = with_chosen_values(tuning_job("j", ranges=ranges) | AUTOTUNE)
    found = made["HyperParameterTuningJobConfig"]["ParameterRanges"]
    names = {kind: [each["Name"] for each in of_kind] for kind, of_kind in found.items()}
    assert names == {
        "ContinuousParameterRanges": ["lr", "rate", "decay"],
        "IntegerParameterRanges": ["size"],
    }


def test_a_definition_without_static_hyperparameters_gets_those_that_are_no_numbers() -> None:
    job = tuning_job("j", ranges=hinted(optimizer="adam", loss="huber")) | AUTOTUNE
    del job["TrainingJobDefinition"]["StaticHyperParameters"]
    made = with_chosen_values(job)
    static = made["TrainingJobDefinition"]["StaticHyperParameters"]
    assert static == {"optimizer": "adam", "loss": "huber"}


def test_every_definition_gets_ranges_and_retries_of_its_own() -> None:
    job = tuning_job("j") | AUTOTUNE
    config, definition = job["HyperParameterTuningJobConfig"], job.pop("TrainingJobDefinition")
    del config["ParameterRanges"], config["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    hints = [hinted(a="1.5"), hinted(b="2.5", c="3.5", d="4.5", e="sgd")]
    own = {"RetryStrategy": {"MaximumRetryAttempts": 9}}
    job["TrainingJobDefinitions"] = [
        copy.deepcopy(definition) | {"HyperParameterRanges": each} | (own if n else {})
        for n, each in enumerate(hints)
    ]

    made = with_chosen_values(job)
    first, second = made["TrainingJobDefinitions"]
    (only,) = first["HyperParameterRanges"]["ContinuousParameterRanges"]
    assert only["Name"] == "a"
    assert "e" not in first["StaticHyperParameters"]
    assert second["StaticHyperParameters"]["e"] == "sgd"
    assert [each["RetryStrategy"]["MaximumRetryAttempts"] for each in (first, second)] == [3, 9]
    limits = made["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits["MaxNumberOfTrainingJobs"] == 30  # for the three numbers of the second


@pytest.mark.parametrize("strategy", ["Random", "Bayesian", "Hyperband", "Grid"])
def test_what_autotune_chooses_for_each_strategy(strategy: str) -> None:
    categories = {"CategoricalParameterRanges": [{"Name": "c", "Values": ["a", "b"]}]}
    job = tuning_job("j", Strategy=strategy, ranges=categories, parallel=1) | AUTOTUNE
    del job["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    config = with_chosen_values(job)["HyperParameterTuningJobConfig"]
    jobs = None if strategy == "Grid" else 20  # a grid has as many as it has points
    assert config["ResourceLimits"].get("MaxNumberOfTrainingJobs") == jobs
    stopping = None if strategy == "Hyperband" else "Auto"
    assert config.get("TrainingJobEarlyStoppingType") == stopping
    assert config["TuningJobCompletionCriteria"] == {
        "ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}
    }


def test_autotune_keeps_completion_criteria_and_retries_of_the_request() -> None:
    target = {"TargetObjectiveMetricValue": 0.5}
    job = tuning_job("j", TuningJobCompletionCriteria=target) | AUTOTUNE
    job["TrainingJobDefinition"]["RetryStrategy"] = {"MaximumRetryAttempts": 1}
    made = with_chosen_values(job)
    assert made["HyperParameterTuningJobConfig"]["TuningJobCompletionCriteria"] == target
    assert made["TrainingJobDefinition"]["RetryStrategy"] == {"MaximumRetryAttempts": 1}
