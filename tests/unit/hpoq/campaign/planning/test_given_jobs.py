"""Points to start from and repeated seeds, in the plan of every strategy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.fabricated import REQUEST
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import Campaign
from hpoq.campaign.planning.compare import campaign_of, extended, planned
from hpoq.campaign.planning.strategies.registry import STRATEGIES
from hpoq.campaign.ray_space import settings_per_job

LR = {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}}
ASKED = {"objective": {"metric": "auc", "type": "Maximize"}, "hyperparameter_ranges": LR}
POINTS = [{"lr": 0.01}, {"lr": 0.02}]
SEEDS = {"hyperparameter": "seed", "seeds": [1, 2, 3], "settings": 4}
SEARCH = dict.fromkeys(STRATEGIES, "Bayesian") | {"hyperband": "Hyperband"}


def campaign(search: str = "Bayesian", **changes: Any) -> Campaign:
    fields: dict[str, Any] = {
        "name": "c", "trials": 300, "minutes_per_trial": 1, "limits": {"instances": 20},
        "request": {**ASKED, "strategy": search}, "points": POINTS, "repeats": SEEDS,
    }  # fmt: skip
    return campaign_of(**fields | changes)


def made(strategy: str, **changes: Any) -> CampaignPlan:
    return planned(campaign(SEARCH[strategy], **changes), strategy)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_points_start_first_and_repeats_are_the_last_wave_of_exactly_the_trials(
    strategy: str, tmp_path: Path
) -> None:
    plan = made(strategy)
    assert sum(job.trials for job in plan.jobs) == 300
    if plan.jobs[0].instances:
        assert all(not job.point for job in plan.jobs), "Ray's own search starts from the points"
    else:
        assert [job.point for job in plan.jobs[:3]] == [1, 2, 0]
        assert [(job.trials, job.wave) for job in plan.jobs[:2]] == [(1, 1)] * 2
    last = plan.wave(plan.waves)
    assert [rank for job in last for rank in job.repeats] == [1, 2, 3, 4]
    assert sum(job.trials for job in last) == 12
    plan.save(tmp_path / "c.plan.json")
    assert CampaignPlan.load(tmp_path / "c.plan.json") == plan


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_such_a_plan_can_be_extended(strategy: str) -> None:
    plan = made(strategy)
    longer = extended(plan, 40)
    assert sum(job.trials for job in longer.jobs) == 340
    assert [longer.digest(job) for job in plan.jobs] == [plan.digest(job) for job in plan.jobs]


def test_a_plan_without_them_has_the_digest_that_earlier_versions_gave_it() -> None:
    """The digest is a tag of existing tuning jobs, by which a campaign is resumed."""
    plain = planned(
        campaign_of(name="c", trials=30, minutes_per_trial=5, request=REQUEST), "single"
    )
    assert plain.digest(plain.jobs[0]) == "4ee53c3b10a25ba4"
    other = planned(campaign(points=POINTS[:1]), "single")
    assert other.digest(other.jobs[0]) != made("single").digest(made("single").jobs[0])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"points": [{"lr": 1.0}]}, "points: number 1: lr: 1.0 is outside of 0.001 to 0.1"),
        ({"points": [{"lr": 0.01}, {}]}, "points: number 2: lr is missing"),
        ({"points": [{"lr": 0.01, "depth": 3}]}, "points: number 1: depth is not searched"),
        ({"points": [{"lr": "0.01"}]}, "points: number 1: lr: '0.01' is not a number"),
        ({"repeats": {**SEEDS, "hyperparameter": "lr"}}, "repeats: lr is searched"),
        ({"repeats": {**SEEDS, "seeds": [1, 1]}}, "repeats: a seed is listed twice"),
        ({"trials": 14}, "trials: 14, but 14 are points and repeats. Ask for more"),
        (
            {
                "request": {
                    **ASKED, "strategy": "Grid",
                    "hyperparameter_ranges": {"lr": {"type": "categorical", "values": [1, 2]}},
                }
            },
            "points and repeats: a Grid trains all its settings",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_them_is_one_line(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidPlan) as raised:
        campaign(**changes)
    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_edited_plan_that_trains_other_trials_is_refused() -> None:
    plan = made("single")
    fields = plan.model_dump()
    for changed, problem in (
        ({"point": 3}, "point 3, but the campaign has 2"),
        ({"point": 0, "repeats": (1,)}, "1 trials of 1 settings with 3 seeds"),
    ):
        jobs = [{**fields["jobs"][0], **changed}, *fields["jobs"][1:]]
        with pytest.raises(ValueError, match=problem):
            CampaignPlan.model_validate({**fields, "jobs": jobs})


def test_ray_repeats_as_many_settings_in_a_job_as_fit_into_a_hyperparameter() -> None:
    ranges = {f"hyperparameter-{n}": LR["lr"] for n in range(12)}
    points = [dict.fromkeys(ranges, 0.01)]
    plan = made(
        "ray", request={**ASKED, "strategy": "Bayesian", "hyperparameter_ranges": ranges},
        points=points, repeats={**SEEDS, "settings": 10},
    )  # fmt: skip
    last = plan.wave(plan.waves)
    assert len(last) > 1
    assert [rank for job in last for rank in job.repeats] == list(range(1, 11))
    assert sum(job.instances for job in last) <= 20


@pytest.mark.parametrize("more", [0, 1])
def test_ray_repeats_as_many_settings_at_once_as_its_training_jobs_can_be_given(more: int) -> None:
    """A training job gets its settings as one hyperparameter, and needs an instance."""
    most = 2 * settings_per_job(campaign().template_request.hyperparameter_ranges)
    repeats = {**SEEDS, "seeds": [1, 2], "settings": most + more}
    asked: dict[str, Any] = {"trials": 900, "limits": {"instances": 2}, "repeats": repeats}
    if more:
        problem = f"Ray can repeat {most} settings at once, not {most + 1}"
        with pytest.raises(InvalidPlan, match=f"^{problem}"):
            made("ray", **asked)
    else:
        plan = made("ray", **asked)
        last = plan.wave(plan.waves)
        assert [(len(job.repeats), job.instances) for job in last] == [(most // 2, 1)] * 2
