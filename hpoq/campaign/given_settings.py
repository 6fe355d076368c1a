"""The settings of jobs that do not choose their own: points to start from, and repeats. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hpo_dispatcher.contract.request import CategoricalRange, Range, wire_value
from hpoq.campaign.campaign_plan import CampaignPlan, PlannedJob
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.results.trial import Trial, ranked

Setting = Mapping[str, str]  # values as SageMaker passes them


def settings_of(plan: CampaignPlan, job: PlannedJob, before: Iterable[Trial]) -> list[Setting]:
    """Return the settings that a job trains; none for a job that searches.

    Args:
        plan: plan of the campaign.
        job: one of its jobs.
        before: the trials of all waves before.

    Raises:
        InvalidPlan: no trial has an objective, so there is no setting to repeat.
    """
    if job.point:
        point = plan.campaign.points[job.point - 1]
        return [{name: wire_value(value) for name, value in point.items()}]
    if not job.repeats:
        return []
    best = _best_settings(plan, before)
    if not best:
        raise InvalidPlan(
            f"{plan.request_id(job)}: no trial has an objective, so there is no setting to repeat. "
            "See `hpoq campaign results` for the reasons"
        )
    return [best[(rank - 1) % len(best)] for rank in job.repeats]


def ranges_of(plan: CampaignPlan, job: PlannedJob, setting: Setting) -> dict[str, Range]:
    """Return the ranges of a tuning job that trains one setting, with each seed if it repeats."""
    found: dict[str, Range] = {
        name: CategoricalRange(type="categorical", values=(text,)) for name, text in setting.items()
    }
    repeats = plan.campaign.repeats
    if job.repeats and repeats:
        found[repeats.hyperparameter] = repeats.as_range
    return found


def _best_settings(plan: CampaignPlan, trials: Iterable[Trial]) -> list[Setting]:
    """Return different settings, best first."""
    names = list(plan.campaign.template_request.hyperparameter_ranges)
    found: dict[tuple[str, ...], Setting] = {}
    for trial in ranked(trials, maximize=plan.campaign.maximize):
        setting = {name: _plain(trial.hyperparameters.get(name, "")) for name in names}
        found.setdefault(tuple(setting.values()), setting)
    return list(found.values())


def _plain(text: str) -> str:
    """Return a value without the quotes that SDKs add to text."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
