from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from benchmarks.campaigns import MINUTES, SLOTS, campaign, list_schedule, makespan
from hpo_dispatcher.contract.entry import Status
from hpoq.campaign.backends.job_state import JobState
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.grid import partition
from hpoq.campaign.planning.compare import campaign_of, extended, plan, planned
from hpoq.campaign.planning.estimate import estimate, longest_residual
from hpoq.campaign.planning.startup import RAY_MINUTES, continuing
from hpoq.campaign.planning.strategies.registry import STRATEGIES
from hpoq.campaign.running.schedule import due, predecessors, slots_of
from script_search.halving import Halving

OBJECTIVE = {"metric": "auc", "type": "Maximize"}
RANGES = {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}}


def asked(trials: int = 10_000, **changes: Any) -> dict[str, Any]:
    request: dict[str, Any] = {
        "strategy": changes.pop("search", "Bayesian"),
        "hyperparameter_ranges": RANGES,
    }
    request["objective"] = OBJECTIVE
    fields = {"name": "c", "trials": trials, "minutes_per_trial": 6.0, "request": request}
    return {**fields, "limits": {"instances": 100}, **changes}


limits = st.fixed_dictionaries(
    {
        "tuning_jobs": st.integers(1, 100),
        "parallel_training_jobs": st.integers(1, 100),
        "training_jobs": st.integers(1, 750),
        "training_jobs_random": st.integers(1, 10_000),
        "instances": st.none() | st.integers(1, 5_000),
    }
)


@settings(max_examples=150, deadline=None)
@given(
    trials=st.integers(1, 60_000),
    given_limits=limits,
    strategy=st.sampled_from(sorted(STRATEGIES)),
    search=st.sampled_from(["Bayesian", "Random", "Hyperband"]),
)
def test_every_plan_runs_exactly_the_requested_trials_within_every_limit(
    trials: int, given_limits: dict[str, Any], strategy: Any, search: str
) -> None:
    # a limit of one trial a tuning job is legal, but makes plans too long for a quick test
    assume(trials / given_limits["training_jobs"] < 3_000)
    campaign = campaign_of(**asked(trials, search=search, limits=given_limits))
    try:
        made = planned(campaign, strategy)
    except InvalidPlan:
        assert strategy != "independent"
        return
    most = campaign.limits.max_trials(search)
    assert sum(job.trials for job in made.jobs) == trials
    ids = [made.request_id(job) for job in made.jobs]
    assert len(set(ids)) == len(ids)
    if strategy == "ray":
        assert sum(job.instances for job in made.jobs) <= campaign.slots
        assert len(made.jobs) <= campaign.limits.tuning_jobs
        return
    for job in made.jobs:
        assert 1 <= job.parallel <= min(job.trials, campaign.limits.parallel_training_jobs)
        before = sorted(each.trials for each in made.wave(job.wave - 1))
        inherited = sum(before[-job.parents :]) if job.parents else 0
        assert job.parents <= 5
        assert job.trials + inherited <= most


@settings(max_examples=60, deadline=None)
@given(
    trials=st.integers(1, 5_000),
    given_limits=limits,
    strategy=st.sampled_from(["independent", "narrowing"]),
)
def test_jobs_handed_over_in_a_queue_never_hold_more_than_the_slots(
    trials: int, given_limits: dict[str, Any], strategy: Any
) -> None:
    given_limits["training_jobs"] = max(20, given_limits["training_jobs"])
    campaign = campaign_of(**asked(trials, limits=given_limits))
    try:
        made = planned(campaign, strategy)
    except InvalidPlan:
        return
    for wave in range(1, made.waves + 1):
        after = predecessors(made, wave)
        running: set[int] = set()
        left, ended = [job.number for job in made.wave(wave)], set()
        while left or running:
            ready = [number for number in left if set(after[number]) <= ended]
            running |= set(ready)
            left = [number for number in left if number not in ready]
            assert sum(made.jobs[n - 1].parallel for n in running) <= made.slots
            assert len(running) <= campaign.limits.tuning_jobs
            last = max(running)  # the worst order: the last started job ends first
            running.remove(last)
            ended.add(last)


@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    most=st.integers(1, 40),
)
def test_a_grid_is_cut_without_overlap_or_loss(sizes: list[int], most: int) -> None:
    grid = {f"p{i}": tuple(range(size)) for i, size in enumerate(sizes)}
    parts = list(partition(grid, most))
    points = [
        point for part in parts for point in itertools.product(*(part[name] for name in grid))
    ]
    assert sorted(points) == sorted(itertools.product(*grid.values()))
    assert all(math.prod(len(v) for v in part.values()) <= most for part in parts)


def test_a_single_job_is_recommended_if_it_holds_all_trials() -> None:
    ten = {"limits": {"instances": 10}}
    assert plan(**asked(749, **ten)).recommended == "single"
    assert plan(**asked(751, **ten)).recommended != "single"


@pytest.mark.parametrize(
    ("changes", "recommended"),
    [
        # one tuning job runs 10 at a time: 7.5 hours instead of 45 minutes on 100 instances
        ({"trials": 749}, "independent"),
        ({"trials": 749, "search": "Random"}, "independent"),
        ({"trials": 200, "minutes_per_trial": 1.0}, "independent"),
        ({"trials": 200, "minutes_per_trial": 1.0, "search": "Random"}, "independent"),
        # where all take as long, the one that learns from every trial
        ({"trials": 200, "limits": {"instances": 10}}, "single"),
        # starting 10,000 trials takes longer than running them
        (
            {
                "trials": 10_000,
                "minutes_per_trial": 0.1,
                "startup_minutes": 3.0,
                "search": "Random",
            },
            "ray",
        ),
    ],
)
def test_the_recommended_strategy_is_as_fast_as_the_fastest(
    changes: dict[str, Any], recommended: str
) -> None:
    comparison = plan(**asked(**changes))
    assert comparison.recommended == recommended
    hours = {each.strategy: each.estimate.hours for each in comparison.options if each.estimate}
    assert hours[recommended] <= min(hours.values()) * 1.02
    if changes.get("search") == "Random":
        assert comparison.why == "Random learns nothing, and no other takes less time"


def test_a_strategy_that_learns_more_is_named_if_it_takes_little_longer() -> None:
    comparison = plan(**asked(5_000))
    hours = {each.strategy: each.estimate.hours for each in comparison.options if each.estimate}
    longer = hours["narrowing"] - hours[comparison.recommended]
    assert 0 < longer <= hours[comparison.recommended] / 4
    assert f". narrowing takes {60 * longer:.0f} min longer, but ranges shrink" in comparison.why
    assert "longer" not in plan(**asked(200, limits={"instances": 10})).why


def test_more_trials_than_the_ranges_have_points_are_refused_before_any_wave() -> None:
    ranges = {
        "depth": {"type": "integer", "min": 1, "max": 5},
        "kind": {"type": "categorical", "values": ["a", "b", "c"]},
    }
    wanted = asked(15)
    wanted["request"]["hyperparameter_ranges"] = ranges
    made = plan(**wanted).plan("independent")
    for refused in (lambda: plan(**wanted | {"trials": 16}), lambda: extended(made, 1)):
        with pytest.raises(InvalidPlan, match=r"16, but the ranges have 15 different combin"):
            refused()


def test_hyperband_jobs_have_trials_that_start_after_others() -> None:
    """A trial is compared with earlier ones: SageMaker stops none that start at once."""
    for trials in (3, 12, 50, 299, 1_000, 10_000):
        made = planned(campaign_of(**asked(trials, search="Hyperband")), "hyperband")
        assert sum(job.trials for job in made.jobs) == trials
        assert all(job.trials >= 3 * job.parallel for job in made.jobs)
    with pytest.raises(InvalidPlan, match="at least 3"):
        planned(campaign_of(**asked(2, search="Hyperband")), "hyperband")


def test_a_campaign_that_no_strategy_can_run_has_one_reason() -> None:
    wanted = asked(100, search="Grid")
    with pytest.raises(InvalidPlan) as raised:
        plan(**wanted)
    assert str(raised.value).startswith("Grid needs categorical ranges only")
    assert ";" not in str(raised.value)


def test_a_random_search_may_hold_ten_thousand_where_aws_has_raised_the_quota() -> None:
    raised = {"limits": {"instances": 100, "training_jobs_random": 10_000}}
    assert plan(**asked(10_000, search="Random", **raised)).option("single").plan is not None
    for wanted in (asked(10_000, search="Random"), asked(10_000, **raised)):
        assert "750" in plan(**wanted).option("single").why_not


def test_one_more_trial_changes_the_estimate_little() -> None:
    less, more = (plan(**asked(n)).option("independent").estimate for n in (10_000, 10_001))
    assert less and more
    assert more.hours / less.hours < 1.001


def test_jobs_start_wide_and_large_then_become_half_as_wide_then_single_slots() -> None:
    made = planned(campaign_of(**asked(20_000)), "independent")
    first, later = made.jobs[:10], [job for job in made.jobs[10:] if job.parallel > 1]
    assert {(job.trials, job.parallel) for job in first} == {(750, 10)}
    assert {job.parallel for job in later} == {5}
    narrow = [job.trials for job in made.jobs if job.parallel == 1]
    assert narrow == sorted(narrow, reverse=True)
    assert sum(narrow) <= 0.3 * 20_000
    assert narrow[-100:] == [1] * 100


def test_the_account_is_nearly_as_full_as_without_tuning_jobs() -> None:
    made = planned(campaign(2_000, 0.5), "independent")
    ours = sum(makespan(made, 0.5, seed, due) for seed in range(5))
    assert ours / sum(list_schedule(2_000, 0.5, seed) for seed in range(5)) < 1.02


def test_instance_quotas_bind_before_tuning_jobs() -> None:
    made = plan(**asked(10_000, limits={"instances": 40})).option("independent").estimate
    assert made is not None
    assert made.parallel == 40
    assert made.bound_by == "40 instances of ml.m5.large"


def test_a_missed_deadline_says_by_how_much_and_what_would_meet_it() -> None:
    comparison = plan(**asked(10_000, deadline_hours=9.0))
    option = comparison.option("independent")
    assert option.estimate is not None
    (shortfall,) = option.shortfalls
    assert f"{option.estimate.hours_high - 9:.1f} h over the deadline" in shortfall
    trials = int(shortfall.split(" trials")[0].split()[-1].replace(",", ""))
    retry = plan(**asked(trials, deadline_hours=9.0)).option("independent")
    assert retry.fits
    more = plan(**asked(math.ceil(trials * 1.005), deadline_hours=9.0)).option("independent")
    assert not more.fits, "it names the most trials that fit, to half a percent"
    parallel = int(shortfall.split(" trials in parallel")[0].split()[-1].replace(",", ""))
    wider = asked(10_000, deadline_hours=9.0, limits={"instances": parallel})
    assert plan(**wider).option("independent").fits


def test_trials_of_two_instances_need_twice_the_instances_to_meet_a_deadline() -> None:
    fields = asked(10_000, deadline_hours=9.0, instances_per_trial=2, limits={"instances": 200})
    (shortfall,) = plan(**fields).option("independent").shortfalls
    parallel = int(shortfall.split(" trials in parallel")[0].split()[-1].replace(",", ""))
    wider = {**fields, "limits": {"instances": 2 * parallel}}
    assert plan(**wider).option("independent").fits
    narrower = {**fields, "limits": {"instances": 2 * math.floor(parallel / 1.03)}}
    assert not plan(**narrower).option("independent").fits


def test_a_missed_budget_says_by_how_much_and_what_would_fit() -> None:
    option = plan(**asked(10_000, budget=100.0)).option("independent")
    (shortfall,) = option.shortfalls  # 1,000 instance-hours at 0.115 USD
    assert "$115.00, $15.00 over the budget" in shortfall
    assert "8,695 trials" in shortfall


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"trials": 0}, "trials"),
        ({"minutes_per_trial": 0}, "minutes_per_trial"),
        ({"name": "No Name"}, "name"),
        ({"request": {}}, "hyperparameter_ranges"),
        ({"request": {"hyperparameter_ranges": RANGES, "request_id": "x"}}, "request_id"),
        ({"request": {"hyperparameter_ranges": RANGES}}, "objective"),
        ({"limits": {"instances": 1}, "instances_per_trial": 2}, "limits.instances"),
        ({"budget": 5, "instance_type": "ml.unknown.large"}, "price"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_an_error_names_the_wrong_field(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidPlan, match=named):
        plan(**{**asked(), **changes})


def test_an_impossible_strategy_names_another_one() -> None:
    with pytest.raises(InvalidPlan, match=r"at most 750 trials.*Use"):
        plan(**asked()).plan("single")


def test_a_grid_of_another_size_is_rejected() -> None:
    ranges = {n: {"type": "categorical", "values": [1, 2, 3]} for n in "abcdefg"}
    request = {"strategy": "Grid", "hyperparameter_ranges": ranges, "objective": OBJECTIVE}
    comparison = plan(**asked(3**7, request=request))
    assert comparison.recommended == "independent"
    assert sum(job.trials for job in comparison.plan().jobs) == 3**7
    with pytest.raises(InvalidPlan, match="2187"):
        plan(**asked(2000, request=request))


def test_a_plan_can_be_saved_and_loaded(tmp_path: Path) -> None:
    made = extended(planned(campaign_of(**asked(3_000)), "warm-waves"), 500)
    made.save(tmp_path / "plan.json")
    assert CampaignPlan.load(tmp_path / "plan.json") == made


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda plan: plan["jobs"][0].update(trials=1), "the jobs hold"),
        (lambda plan: plan["jobs"].pop(), "the jobs hold"),
        (lambda plan: plan["jobs"][3].update(number=3), "not numbered"),
        (lambda plan: plan["jobs"][0].update(parallel=11), "in parallel"),
        (lambda plan: plan["jobs"][0].update(wave=2), "waves"),
        (lambda plan: [job.update(wave=job.get("wave", 1) + 1) for job in plan["jobs"]], "from 1"),
        (lambda plan: plan["jobs"][0].update(parents=1), "parents"),
        (lambda plan: plan.update(generations=[]), "generations"),
        (lambda plan: plan["campaign"]["request"].update(color="red"), "color"),
    ],
)
def test_a_plan_edited_by_hand_is_checked(tmp_path: Path, edit: Any, problem: str) -> None:
    path = tmp_path / "plan.json"
    planned(campaign_of(**asked(3_000)), "narrowing").save(path)
    fields = json.loads(path.read_text())
    edit(fields)
    path.write_text(json.dumps(fields))
    with pytest.raises(InvalidPlan, match=problem):
        CampaignPlan.load(path)


def grid_plan(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    ranges = {n: {"type": "categorical", "values": [0, 1, 2, "two"]} for n in "abcd"}
    request = {"strategy": "Grid", "hyperparameter_ranges": ranges, "objective": OBJECTIVE}
    made = planned(campaign_of(**asked(256, request=request)), "independent")
    made.save(tmp_path / "grid.json")
    assert CampaignPlan.load(tmp_path / "grid.json") == made
    fields: dict[str, Any] = json.loads((tmp_path / "grid.json").read_text())
    return tmp_path / "grid.json", fields


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (
            lambda jobs: jobs[0].update(values=jobs[1]["values"]),
            "miss or repeat points",
        ),
        (lambda jobs: jobs[0].pop("values"), "256 points"),
        (lambda jobs: jobs[0]["values"].update(a=[7]), "outside the grid"),
        (lambda jobs: jobs[0]["values"].pop("a"), "outside the grid"),
        (lambda jobs: jobs[0].update(trials=1, parallel=1), "the jobs hold"),
    ],
)
def test_a_grid_edited_by_hand_still_tries_each_point_once(
    tmp_path: Path, edit: Any, problem: str
) -> None:
    path, fields = grid_plan(tmp_path)
    edit(fields["jobs"])
    path.write_text(json.dumps(fields))
    with pytest.raises(InvalidPlan, match=problem):
        CampaignPlan.load(path)


def test_only_grid_searches_have_values_per_job(tmp_path: Path) -> None:
    made = planned(campaign_of(**asked(300)), "independent")
    made.save(path := tmp_path / "plan.json")
    fields = json.loads(path.read_text())
    fields["jobs"][0]["values"] = {"lr": [0.1]}
    path.write_text(json.dumps(fields))
    with pytest.raises(InvalidPlan, match="the search is Bayesian"):
        CampaignPlan.load(path)


def test_an_extension_leaves_existing_jobs_unchanged() -> None:
    for strategy in ("independent", "narrowing", "warm-waves"):
        made = planned(campaign_of(**asked(3_000)), strategy)  # type: ignore[arg-type]
        more = extended(extended(made, 77), 1_234)
        assert more.jobs[: len(made.jobs)] == made.jobs
        assert [more.digest(job) for job in made.jobs] == [made.digest(job) for job in made.jobs]
        assert sum(job.trials for job in more.jobs) == 3_000 + 77 + 1_234


def test_an_extension_follows_the_strategy() -> None:
    bands = planned(campaign_of(**asked(3_000, search="Hyperband")), "hyperband")
    assert min(job.trials for job in extended(bands, 1_000).jobs) == 100
    one = planned(campaign_of(**asked(700)), "single")
    assert [job.trials for job in extended(one, 600).jobs] == [700, 600]
    assert sum(job.trials for job in extended(one, 900).jobs) == 1_600


def test_another_search_has_another_digest() -> None:
    one = planned(campaign_of(**asked(3_000)), "independent")
    other = planned(campaign_of(**asked(3_000, seed=1)), "independent")
    assert one.digest(one.jobs[0]) != other.digest(other.jobs[0])


def test_a_draining_job_gives_its_free_slots_to_the_next() -> None:
    made = planned(campaign_of(**asked(3_000)), "independent")
    first = due(made, {})
    assert sum(job.parallel for job in first) == 100
    done = made.jobs[0].trials - 3
    drains = JobState(number=1, status=Status.IN_PROGRESS, completed=done, running=3)
    assert slots_of(made.jobs[0], drains) == 3
    full = [JobState(number=j.number, status=Status.IN_PROGRESS, running=10) for j in first[1:]]
    states = {state.number: state for state in (drains, *full)}
    started = due(made, states)
    assert sum(job.parallel for job in started) <= 7


def test_a_wave_waits_for_all_jobs_of_the_wave_before() -> None:
    made = planned(campaign_of(**asked(3_000)), "narrowing")
    first = made.wave(1)
    states = {j.number: JobState(number=j.number, status=Status.COMPLETED) for j in first}
    assert {job.wave for job in due(made, states)} == {2}
    last = first[-1].number
    states[last] = JobState(number=last, status=Status.IN_PROGRESS, running=1)
    assert due(made, states) == []


def test_the_tail_grows_with_spread_and_parallelism() -> None:
    assert longest_residual(1, 0.0, 0.5) == 1.0
    assert longest_residual(100, 0.5, 0.5) < longest_residual(100, 1.0, 0.5)
    assert longest_residual(10, 1.0, 0.5) < longest_residual(100, 1.0, 0.5)


@pytest.mark.parametrize("strategy", ["independent", "narrowing", "warm-waves"])
def test_the_estimate_agrees_with_simulation(strategy: str) -> None:
    made = planned(campaign(2_000, 0.5), strategy)
    bound = 2_000 * MINUTES / SLOTS / 60
    simulated = sorted(makespan(made, 0.5, seed, due) * bound for seed in range(9))
    taken = estimate(made)
    assert taken.hours == pytest.approx(simulated[4], rel=0.04)
    inside = sum(taken.hours_low <= hours <= taken.hours_high for hours in simulated)
    assert inside >= 5  # the interval holds 80 %: fewer than five of nine are unlikely (2 %)


def test_ray_uses_few_training_jobs_of_at_most_twenty_instances() -> None:
    made = planned(campaign_of(**asked(10_000)), "ray")
    assert [(job.instances, job.parallel, job.trials) for job in made.jobs] == [(20, 20, 2_000)] * 5
    shared = planned(campaign_of(**asked(10, trials_per_instance=4)), "ray")
    assert [(job.instances, job.parallel, job.trials) for job in shared.jobs] == [(3, 10, 10)]
    assert shared.slots == 10


def test_ray_starts_once_where_tuning_jobs_start_every_trial() -> None:
    """5,000 one-minute trials of 3 minutes to start: 100 rounds of 100 slots."""
    wanted = asked(5_000, minutes_per_trial=1.0, startup_minutes=3.0, spread=0.0)
    options = plan(**wanted)
    ray, independent = (options.option(name).estimate for name in ("ray", "independent"))
    assert ray and independent
    assert 60 * ray.hours == pytest.approx(50 + 3.5, abs=1)
    # each tuning job starts on fresh instances, and each later trial takes a twentieth as long
    assert 60 * independent.hours > 50 * 1.15 + 3


def test_ray_keeps_its_instances_until_the_last_trial_ends() -> None:
    options = plan(**asked(200, spread=0.8))
    ray, independent = (options.option(name).estimate for name in ("ray", "independent"))
    assert ray and independent
    assert ray.instance_hours == pytest.approx(ray.hours * 100)
    assert ray.cost and independent.cost
    assert ray.cost > independent.cost


def test_ray_saves_what_poor_trials_do_not_train() -> None:
    """Of 16 reports: 1 by all, 3 by a quarter, 12 by a sixteenth: 1 + 0.75 + 0.75 of 16.

    The last trials train to their end, which takes up to one trial's time longer.
    """
    saved = plan(**asked(10_000, spread=0.0, reports_per_trial=16)).option("ray").estimate
    assert saved
    trial_times = (60 * saved.hours - RAY_MINUTES) / 6.0
    assert 100 * 2.5 / 16 < trial_times < 100 * 2.5 / 16 * 1.02 + 1


def test_few_trials_save_less_because_the_first_ones_all_continue() -> None:
    """With stopping, the first three of each rung continue (asynchronous halving)."""
    assert continuing(3) == 3
    assert continuing(4) == 3.25
    assert continuing(8) == pytest.approx(3 + 1 / 4 + 1 / 5 + 1 / 6 + 1 / 7 + 2 / 8)
    assert continuing(100_000) / 100_000 == pytest.approx(0.25, abs=0.001)
    halving, draw = Halving(1, 4, maximize=True), random.Random(1)
    simulated = sum(halving.continues(1, draw.random()) for _ in range(1_000))
    assert continuing(1_000) == pytest.approx(simulated, rel=0.1)


@pytest.mark.parametrize(
    ("changes", "why_not"),
    [
        ({"instances_per_trial": 2}, "each trial needs several"),
        ({"search": "Grid"}, "use another strategy"),
        ({"runs_script": False}, "the training job runs none"),
    ],
)
def test_ray_says_what_it_cannot_run(changes: dict[str, Any], why_not: str) -> None:
    with pytest.raises(InvalidPlan, match=f"(?i){why_not}"):
        planned(campaign_of(**asked(100, **changes)), "ray")


@pytest.mark.parametrize("static", [{}, {"num_round": "20"}, {"sagemaker_program": "train.py"}])
def test_ray_is_possible_if_a_request_in_api_form_runs_a_script(static: dict[str, str]) -> None:
    """Also if nobody says so: SageMaker's own algorithms have no sagemaker_program."""
    ranges = {"Name": "lr", "MinValue": "0.001", "MaxValue": "0.1"}
    request = {
        "api_request": {
            "HyperParameterTuningJobConfig": {
                "Strategy": "Bayesian",
                "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "auc"},
                "ParameterRanges": {"ContinuousParameterRanges": [ranges]},
            },
            "TrainingJobDefinition": {"StaticHyperParameters": static},
        }
    }
    option = plan(**{**asked(100), "request": request}).option("ray")
    assert (option.plan is not None) == ("sagemaker_program" in static)


def test_ray_says_that_the_space_is_too_large_for_a_hyperparameter() -> None:
    wanted = asked(100)
    values = [f"a-long-value-{number}" for number in range(30)]
    wanted["request"]["hyperparameter_ranges"] = {
        f"p{number}": {"type": "categorical", "values": values} for number in range(5)
    }
    with pytest.raises(InvalidPlan, match="characters, 2500 at most"):
        planned(campaign_of(**wanted), "ray")


def grid_of(values: int) -> dict[str, Any]:
    ranges = {name: {"type": "categorical", "values": [*range(values)]} for name in "abc"}
    return {"strategy": "Grid", "hyperparameter_ranges": ranges, "objective": OBJECTIVE}


def test_a_grid_is_cut_into_at_least_two_parts_for_each_lane_and_not_many_more() -> None:
    made = planned(campaign_of(**asked(1000, request=grid_of(10))), "independent")
    assert {job.parallel for job in made.jobs} == {10}
    assert 2 * 10 <= len(made.jobs) <= 3 * 10


def test_a_grid_has_no_point_left_to_add() -> None:
    made = planned(campaign_of(**asked(8, request=grid_of(2))), "independent")
    with pytest.raises(InvalidPlan) as raised:
        extended(made, 1)
    assert str(raised.value) == (
        "every point of the grid is planned already. Plan a new, wider grid"
    )


def test_trials_that_repeat_settings_need_no_point_of_their_own() -> None:
    request = {
        "strategy": "Random", "objective": OBJECTIVE,
        "hyperparameter_ranges": {"n": {"type": "integer", "min": 1, "max": 10}},
    }  # fmt: skip
    repeats = {"hyperparameter": "seed", "seeds": [1, 2, 3], "settings": 2}
    campaign_of(**asked(16, request=request, repeats=repeats))
    with pytest.raises(InvalidPlan, match="11, but the ranges have 10 different"):
        campaign_of(**asked(17, request=request, repeats=repeats))


@pytest.mark.parametrize(
    ("targets", "possible"), [(["home"], True), (["research"], False), (["home", "eu"], False)]
)
def test_ray_runs_only_if_the_request_runs_at_home(targets: list[str], possible: bool) -> None:
    request = {
        "strategy": "Random", "hyperparameter_ranges": RANGES, "objective": OBJECTIVE,
        "targets": targets,
    }  # fmt: skip
    option = plan(**asked(100, request=request)).option("ray")
    assert (option.plan is not None) == possible
    assert option.why_not == (
        ""
        if possible
        else 'Ray\'s training jobs name places at home. Set targets of the request to ["home"]'
    )


@pytest.mark.parametrize("sigma", [0.3, 0.8])
def test_the_remaining_time_of_a_trial_that_may_stop_early_is_as_drawn(sigma: float) -> None:
    """At a random moment, a trial runs as likely as it is long, and is anywhere in its time."""
    parts = ((0.75, 0.25), (0.25, 1.0))
    draw = random.Random(2)
    lengths = [
        draw.choices([part for _, part in parts], [each for each, _ in parts])[0]
        * draw.lognormvariate(-sigma * sigma / 2, sigma)
        for _ in range(40_000)
    ]
    left = sorted(each * draw.random() for each in draw.choices(lengths, lengths, k=40_000))
    for quantile in (0.5, 0.9):
        expected = left[int(quantile * len(left))]
        assert longest_residual(1, sigma, quantile, parts) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("strategy", "minutes"), [("ray", RAY_MINUTES / 2), ("independent", 0.0)])
def test_the_range_of_a_plan_holds_a_shorter_and_a_longer_start_of_ray(
    strategy: str, minutes: float
) -> None:
    """Nothing measures it: it takes seconds where Ray is installed."""
    fields = asked(24, spread=0.0, startup_minutes=0.0, limits={"instances": 2})
    made = plan(**fields).option(strategy).estimate
    assert made is not None
    assert 60 * (made.hours - made.hours_low) == pytest.approx(minutes)
    assert 60 * (made.hours_high - made.hours) == pytest.approx(minutes)
