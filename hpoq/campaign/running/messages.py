"""A planned job as a request message. Pure: the same job gives the same message again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hpo_dispatcher.contract.request import Range
from hpoq.campaign.model import Plan, PlannedJob

TAG_CAMPAIGN = "campaign"
TAG_PLAN = "campaign-plan"  # the digest: another plan of the same name is told apart
_SEEDS = 2**31 - 1


def message(
    plan: Plan,
    job: PlannedJob,
    *,
    ranges: Mapping[str, Range] | None = None,
    parents: Sequence[PlannedJob] = (),
    after: Sequence[int] = (),
) -> dict[str, Any]:
    """The request of one tuning job.

    Args:
        plan: the campaign's.
        job: one of its jobs.
        ranges: instead of the campaign's own.
        parents: jobs to start warm from.
        after: numbers of the jobs that have to end first.
    """
    campaign = plan.campaign
    written: dict[str, Any] = {**campaign.request, "request_id": plan.request_id(job)}
    written["resource_limits"] = {
        "max_training_jobs": job.trials,
        "max_parallel_training_jobs": job.parallel,
    }
    tags = {TAG_CAMPAIGN: campaign.name, TAG_PLAN: plan.digest(job)}
    written["tags"] = {**campaign.request.get("tags", {}), **tags}
    if ranges is not None:
        written["hyperparameter_ranges"] = {
            name: each.model_dump(mode="json") for name, each in ranges.items()
        }
    if job.values is not None:
        written["hyperparameter_ranges"] = {
            name: {"type": "categorical", "values": list(values)}
            for name, values in job.values.items()
        }
    if parents:
        written["warm_start_from"] = [plan.request_id(parent) for parent in parents]
    if after:
        written["after"] = [plan.request_id(plan.jobs[number - 1]) for number in after]
    written["overrides"] = _with_seed(campaign.request.get("overrides", {}), plan, job)
    return written


def _with_seed(overrides: Mapping[str, Any], plan: Plan, job: PlannedJob) -> dict[str, Any]:
    """Searches that start alike would try the same; a grid has nothing to draw."""
    config = dict(overrides.get("HyperParameterTuningJobConfig", {}))
    if plan.campaign.search != "Grid":
        config["RandomSeed"] = (plan.campaign.seed + 7919 * job.number) % _SEEDS
    return {**overrides, "HyperParameterTuningJobConfig": config} if config else dict(overrides)
