"""Tests of the request whose single training job searches with Ray."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hpo_dispatcher.contract.errors import InvalidRequest
from hpoq.campaign.backends.ray_request import as_ray_request
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.planning.compare import campaign_of, planned

BUNDLED = "s3://assets/training.tar.gz"
OWN = "s3://bucket/teams/fraud/code/own.tar.gz"


def plan(**changes: Any) -> CampaignPlan:
    request = {
        "hyperparameter_ranges": {
            "lr": {"type": "continuous", "min": 0.001, "max": 1.0, "scaling": "Logarithmic"}
        },
        "objective": {"metric": "auc", "type": "Maximize"},
    }
    fields = {"name": "c", "trials": 1_000, "minutes_per_trial": 6.0, "request": request}
    return planned(campaign_of(**fields | {"limits": {"instances": 10}} | changes), "ray")


def asked(source: str = OWN, **definition: Any) -> dict[str, Any]:
    return {
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian", "RandomSeed": 7, "TrainingJobEarlyStoppingType": "Auto",
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
        },
        "TrainingJobDefinition": {
            "AlgorithmSpecification": {
                "TrainingImage": "image", "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "auc", "Regex": "auc=([0-9.]+)"}],
            },
            "StaticHyperParameters": {
                "sagemaker_program": "train.py", "sagemaker_submit_directory": source,
                "sagemaker_region": "eu-central-1", "epochs": "3", "kind": '"a"',
            },
            "InputDataConfig": [{"ChannelName": "train"}],
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/teams/fraud/output/"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            **definition,
        },
    }  # fmt: skip


def built(made: CampaignPlan | None = None, **definition: Any) -> dict[str, Any]:
    made = made or plan()
    return as_ray_request(asked(**definition), made, made.jobs[0], training_source=BUNDLED)


def decoded(text: str) -> Any:
    """Decode a hyperparameter as the container and then the script do."""
    return json.loads(json.loads(text))


def test_the_bundled_search_runs_the_script_of_the_team_from_a_channel() -> None:
    definition = built()["TrainingJobDefinition"]
    static = definition["StaticHyperParameters"]
    assert static["sagemaker_program"] == "train_ray_script.py"
    assert static["sagemaker_submit_directory"] == BUNDLED
    assert static["script"] == "train.py"
    assert decoded(static["fixed"]) == {"epochs": 3, "kind": "a"}
    assert decoded(static["space"])["lr"]["max"] == 1.0
    assert decoded(static["metrics"]) == {"auc": "auc=([0-9.]+)"}
    assert (static["trials"], static["algorithm"]) == ("1000", "optuna")
    _, script = definition["InputDataConfig"]
    assert script["DataSource"]["S3DataSource"]["S3Uri"] == OWN


def test_bundled_scripts_need_no_channel() -> None:
    definition = built(source=BUNDLED)["TrainingJobDefinition"]
    assert [each["ChannelName"] for each in definition["InputDataConfig"]] == ["train"]


def test_sagemaker_runs_one_training_job_and_searches_nothing() -> None:
    made = built()
    config = made["HyperParameterTuningJobConfig"]
    assert config["ResourceLimits"] == {
        "MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1,
    }  # fmt: skip
    assert config["ParameterRanges"] == {
        "CategoricalParameterRanges": [{"Name": "search-seed", "Values": ["7"]}]
    }
    assert made["TrainingJobDefinition"]["ResourceConfig"]["InstanceCount"] == 10
    place = made["TrainingJobDefinition"]["CheckpointConfig"]["S3Uri"]
    assert place == "s3://bucket/teams/fraud/output/ray/c-00001/"


def test_the_training_job_may_run_as_long_as_the_whole_search() -> None:
    """1,000 trials of 6 minutes on 10 instances: 10 hours, and three times as long at most."""
    assert built()["TrainingJobDefinition"]["StoppingCondition"] == {
        "MaxRuntimeInSeconds": 3 * 10 * 3600 + 3600
    }
    longest = built(plan(trials=100_000))["TrainingJobDefinition"]["StoppingCondition"]
    assert longest == {"MaxRuntimeInSeconds": 432_000}, "5 days, the quota of a new account"


@pytest.mark.parametrize(
    ("definition", "problem"),
    [
        ({"StaticHyperParameters": {"eta": "1"}}, "runs no script"),
        (
            {"AlgorithmSpecification": {"MetricDefinitions": [{"Name": "f1", "Regex": "f1=(.)"}]}},
            "no regular expression for auc",
        ),
        (
            {
                "StaticHyperParameters": {
                    "sagemaker_program": "train.py", "sagemaker_submit_directory": OWN,
                    "words": "w" * 2490,
                }
            },
            "hyperparameters of Ray: fixed: 2508 characters, 2500 at most",
        ),
    ],
)  # fmt: skip
def test_what_ray_cannot_run_is_one_line(definition: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        built(**definition)
    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)
