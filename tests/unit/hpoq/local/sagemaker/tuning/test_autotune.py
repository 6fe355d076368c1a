"""The values that Autotune chooses."""

from __future__ import annotations

from typing import Any

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
