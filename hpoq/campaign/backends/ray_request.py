"""Turns the request of a tuning job into one whose single training job searches with Ray. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.tuning_job.script_search import SEED
from hpoq.campaign.api_form import CONFIG
from hpoq.campaign.campaign_plan import CampaignPlan, PlannedJob
from hpoq.campaign.given_settings import Setting
from hpoq.campaign.ray_space import as_hyperparameter, space_of

ApiRequest = Mapping[str, Any]

SCRIPT = "train_ray_script.py"  # among the bundled scripts
CHANNEL = "script"  # brings the archive of the team's script
_PROGRAM, _ARCHIVE = "sagemaker_program", "sagemaker_submit_directory"
_RUNTIME_FACTOR = 3  # of the planned run time, after which SageMaker stops a training job
_ALGORITHMS = {"Bayesian": "optuna"}  # other searches draw at random


def as_ray_request(
    api_request: ApiRequest,
    plan: CampaignPlan,
    job: PlannedJob,
    *,
    training_source: str,
    settings: Sequence[Setting] = (),
) -> dict[str, Any]:
    """Return the request of one Ray job.

    Args:
        api_request: a CreateHyperParameterTuningJob request that runs a script.
        plan: the plan of the campaign.
        job: one of its jobs.
        training_source: the archive of the bundled scripts.
        settings: those that the job repeats with each seed, if it does.

    Raises:
        InvalidRequest: the request runs no script, or does not fit into hyperparameters.
    """
    definition = dict(api_request["TrainingJobDefinition"])
    seed = int(api_request[CONFIG].get("RandomSeed", 0))
    static = {name: _decoded(text) for name, text in definition["StaticHyperParameters"].items()}
    script, source = static.pop(_PROGRAM, None), static.pop(_ARCHIVE, None)
    if not script or not source:
        raise InvalidRequest(
            "TrainingJobDefinition",
            "runs no script (sagemaker_program), which Ray could start",
            "Use a template with an entry_point, or another strategy",
        )
    hyperparameters = {
        _PROGRAM: SCRIPT,
        _ARCHIVE: training_source,
        **{name: str(text) for name, text in static.items() if name.startswith("sagemaker_")},
        "script": str(script),
        **_search(plan, job, definition),
        **_given(plan, job, settings),
        "fixed": as_hyperparameter(_fixed(static, plan, job)),
    }
    _check_lengths(hyperparameters)
    if source != training_source:
        channels = [*definition.get("InputDataConfig", ()), _channel(str(source))]
        definition["InputDataConfig"] = channels
    place = str(definition["OutputDataConfig"]["S3OutputPath"]).rstrip("/")
    return {
        **api_request,
        CONFIG: _config(api_request[CONFIG], seed),
        "TrainingJobDefinition": {
            **definition,
            "StaticHyperParameters": hyperparameters,
            "CheckpointConfig": {"S3Uri": f"{place}/ray/{plan.request_id(job)}/"},
            "StoppingCondition": _stopping(
                definition.get("StoppingCondition", {}), _minutes(plan, job)
            ),
            **_with_instances(definition, job.instances),
        },
    }


def _search(plan: CampaignPlan, job: PlannedJob, definition: Mapping[str, Any]) -> dict[str, str]:
    campaign = plan.campaign
    metrics = {
        each["Name"]: each["Regex"]
        for each in definition["AlgorithmSpecification"].get("MetricDefinitions", ())
    }
    if campaign.metric not in metrics:
        raise InvalidRequest(
            "AlgorithmSpecification.MetricDefinitions",
            f"no regular expression for {campaign.metric}",
            "Add one, which Ray finds the objective with",
        )
    # Metrics beside the objective only if they fit.
    written = as_hyperparameter(metrics)
    if len(written) > aws_limits.HYPERPARAMETER_VALUE_LENGTH:
        written = as_hyperparameter({campaign.metric: metrics[campaign.metric]})
    return {
        "space": space_of(campaign.template_request.hyperparameter_ranges),
        "metrics": written,
        "objective": campaign.metric,
        "direction": "Maximize" if campaign.maximize else "Minimize",
        "trials": str(job.trials),
        "trials-per-host": str(campaign.trials_per_instance),
        "algorithm": _ALGORITHMS.get(campaign.search, "random"),
        **({"function": campaign.function} if campaign.function else {}),
    }


def _given(plan: CampaignPlan, job: PlannedJob, settings: Sequence[Setting]) -> dict[str, str]:
    """Return the hyperparameters of a job that has points to start from, or settings to repeat."""
    campaign = plan.campaign
    if job.repeats and campaign.repeats:
        seeds = {campaign.repeats.hyperparameter: list(campaign.repeats.seeds)}
        return {
            "space": space_of(campaign.ranges),
            "points": as_hyperparameter(settings),
            "repeats": as_hyperparameter(seeds),
            "algorithm": "random",
            "scheduler": "none",
        }
    if campaign.points and job.number == 1:
        return {"points": as_hyperparameter(campaign.points)}
    return {}


def _fixed(static: Mapping[str, Any], plan: CampaignPlan, job: PlannedJob) -> dict[str, Any]:
    """Return the hyperparameters that all trials of a job have in common."""
    repeats = plan.campaign.repeats if job.repeats else None
    return {
        name: value
        for name, value in static.items()
        if not name.startswith("sagemaker_") and not (repeats and name == repeats.hyperparameter)
    }


def _config(config: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return a configuration that runs one training job and searches nothing."""
    kept = {name: value for name, value in config.items() if name != "StrategyConfig"}
    limits = {
        name: value
        for name, value in config.get("ResourceLimits", {}).items()
        if name == "MaxRuntimeInSeconds"
    }
    one = {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1}
    return {
        **kept,
        "Strategy": "Random",
        "ResourceLimits": {**limits, **one},
        "ParameterRanges": {"CategoricalParameterRanges": [{"Name": SEED, "Values": [str(seed)]}]},
        "TrainingJobEarlyStoppingType": "Off",
    }


def _minutes(plan: CampaignPlan, job: PlannedJob) -> float:
    """Return about how long a job runs."""
    campaign = plan.campaign
    return campaign.startup_minutes + math.ceil(job.trials / job.parallel) * (
        campaign.minutes_per_trial
    )


def _with_instances(definition: Mapping[str, Any], count: int) -> dict[str, Any]:
    for name in ("ResourceConfig", "HyperParameterTuningResourceConfig"):
        if name in definition:
            return {name: {**definition[name], "InstanceCount": count}}
    return {}


def _stopping(given: Mapping[str, Any], minutes: float) -> dict[str, Any]:
    """Return a stopping condition for the whole search instead of one trial."""
    needed = math.ceil(_RUNTIME_FACTOR * minutes * 60) + 3600
    longest = max(
        int(given.get("MaxRuntimeInSeconds", 0)),
        min(needed, aws_limits.DEFAULT_TRAINING_RUNTIME_SECONDS),
    )
    changed = {**given, "MaxRuntimeInSeconds": longest}
    if "MaxWaitTimeInSeconds" in given:  # spot: at least the run time
        changed["MaxWaitTimeInSeconds"] = max(int(given["MaxWaitTimeInSeconds"]), longest)
    return changed


def _channel(archive: str) -> dict[str, Any]:
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": archive,
        "S3DataDistributionType": "FullyReplicated",
    }
    return {"ChannelName": CHANNEL, "DataSource": {"S3DataSource": source}}


def _check_lengths(hyperparameters: Mapping[str, str]) -> None:
    limit = aws_limits.HYPERPARAMETER_VALUE_LENGTH
    for name, text in hyperparameters.items():
        if len(text) > limit:
            raise InvalidRequest(
                f"hyperparameters of Ray: {name}",
                f"{len(text)} characters, {limit} at most",
                "Use shorter or fewer values, or another strategy",
            )


def _decoded(text: str) -> Any:
    """Parse a hyperparameter as the training toolkit does: as JSON if it is valid, else as text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
