"""The request messages of planned jobs. Pure: the same job always gives the same message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hpo_dispatcher.contract.names import TAG_CAMPAIGN, TAG_PLAN
from hpo_dispatcher.contract.request import CategoricalRange, Range
from hpo_dispatcher.tuning_job.short_form import parameter_ranges
from hpoq.campaign.api_form import CONFIG
from hpoq.campaign.campaign_plan import CampaignPlan, PlannedJob

GRID = "Grid"
_SEEDS = 2**31 - 1
_SEED_STEP = 7919  # a prime, so that the seeds of jobs differ


def message(
    plan: CampaignPlan,
    job: PlannedJob,
    *,
    ranges: Mapping[str, Range] | None = None,
    parents: Sequence[PlannedJob] = (),
    after: Sequence[int] = (),
    target: str = "",
) -> dict[str, Any]:
    """Return the request message of one tuning job.

    A job with given settings is a Grid of them, without early stopping.

    Args:
        plan: plan of the campaign.
        job: one of its jobs.
        ranges: ranges to search instead of the campaign's own; of a job with given settings, these.
        parents: jobs to warm-start from.
        after: numbers of the jobs that must end first.
        target: where it must run; empty: where the request may.
    """
    campaign = plan.campaign
    if "api_request" in campaign.request:
        made = _in_api_form(plan, job, ranges=ranges, parents=parents, after=after)
        return made | ({"targets": [target]} if target else {})
    written: dict[str, Any] = {**campaign.request, "request_id": plan.request_id(job)}
    trials, parallel = _training_jobs(job)
    written["resource_limits"] = {
        "max_training_jobs": trials,
        "max_parallel_training_jobs": parallel,
    }
    tags = {TAG_CAMPAIGN: campaign.name, TAG_PLAN: plan.digest(job)}
    written["tags"] = {**campaign.request.get("tags", {}), **tags}
    if ranges is not None:
        written["hyperparameter_ranges"] = {
            name: each.model_dump(mode="json") for name, each in ranges.items()
        }
    if is_grid_of_settings(job):
        written["strategy"] = GRID
        fixed = campaign.request.get("hyperparameters", {})
        written["hyperparameters"] = {n: v for n, v in fixed.items() if n not in (ranges or ())}
    if job.values is not None:
        written["hyperparameter_ranges"] = {
            name: {"type": "categorical", "values": list(values)}
            for name, values in job.values.items()
        }
    if target:
        written["targets"] = [target]
    if parents:
        written["warm_start_from"] = [plan.request_id(parent) for parent in parents]
    if after:
        written["after"] = [plan.request_id(plan.job(number)) for number in after]
    written["overrides"] = _with_seed(campaign.request.get("overrides", {}), plan, job)
    return written


def _in_api_form(
    plan: CampaignPlan,
    job: PlannedJob,
    *,
    ranges: Mapping[str, Range] | None,
    parents: Sequence[PlannedJob],
    after: Sequence[int],
) -> dict[str, Any]:
    """Return the message of a campaign whose request is in API form."""
    asked = plan.campaign.request
    api_request: Mapping[str, Any] = asked["api_request"]
    config = dict(api_request[CONFIG])
    trials, parallel = _training_jobs(job)
    config["ResourceLimits"] = config.get("ResourceLimits", {}) | {
        "MaxNumberOfTrainingJobs": trials,
        "MaxParallelTrainingJobs": parallel,
    }
    if job.values is not None:
        ranges = {
            name: CategoricalRange(type="categorical", values=values)
            for name, values in job.values.items()
        }
    if ranges is not None:
        config["ParameterRanges"] = parameter_ranges(ranges)
    definition = dict(api_request["TrainingJobDefinition"])
    if is_grid_of_settings(job):
        config = _as_grid(config) | {"Strategy": GRID}
        fixed = definition.get("StaticHyperParameters", {})
        kept = {name: text for name, text in fixed.items() if name not in (ranges or ())}
        definition["StaticHyperParameters"] = kept
    elif plan.campaign.search != GRID:
        config["RandomSeed"] = seed_of(plan, job)
    tags = {TAG_CAMPAIGN: plan.campaign.name, TAG_PLAN: plan.digest(job)}
    written = {
        **asked,
        "request_id": plan.request_id(job),
        "tags": {**asked.get("tags", {}), **tags},
        "api_request": {**api_request, CONFIG: config, "TrainingJobDefinition": definition},
    }
    if parents:
        written["warm_start_from"] = [plan.request_id(parent) for parent in parents]
    if after:
        written["after"] = [plan.request_id(plan.job(number)) for number in after]
    return written


def is_grid_of_settings(job: PlannedJob) -> bool:
    """Return whether SageMaker trains given settings; Ray's jobs get theirs otherwise."""
    return not job.searches and not job.instances


def _as_grid(config: Mapping[str, Any]) -> dict[str, Any]:
    kept = {n: each for n, each in config.items() if n not in ("StrategyConfig", "RandomSeed")}
    return kept | {"TrainingJobEarlyStoppingType": "Off"}


def _training_jobs(job: PlannedJob) -> tuple[int, int]:
    """Return how many training jobs a tuning job runs, and how many at once."""
    return (1, 1) if job.instances else (job.trials, job.parallel)


def seed_of(plan: CampaignPlan, job: PlannedJob) -> int:
    """Return the seed of a job; no two jobs of a campaign have the same."""
    return (plan.campaign.seed + _SEED_STEP * job.number) % _SEEDS


def _with_seed(overrides: Mapping[str, Any], plan: CampaignPlan, job: PlannedJob) -> dict[str, Any]:
    """Give each job its own seed, so that no two searches draw the same; a grid draws nothing."""
    config = dict(overrides.get("HyperParameterTuningJobConfig", {}))
    if is_grid_of_settings(job):
        config = _as_grid(config)
    elif plan.campaign.search != GRID:
        config["RandomSeed"] = seed_of(plan, job)
    return {**overrides, "HyperParameterTuningJobConfig": config} if config else dict(overrides)
