"""The comparison of strategies: what each one takes, and which one to choose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from hpoq.campaign.campaign_plan import CampaignPlan, PlannedJob
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import Campaign, first_problem
from hpoq.campaign.planning.estimate import HIGH, PlanEstimate, estimate, slots_needed
from hpoq.campaign.planning.given_jobs import all_jobs
from hpoq.campaign.planning.prices import price_per_hour
from hpoq.campaign.planning.strategies.independent import IndependentStrategy
from hpoq.campaign.planning.strategies.registry import STRATEGIES, strategy_named
from hpoq.campaign.planning.strategies.strategy import Strategy
from hpoq.campaign.ranges import combinations

_MORE_SLOTS = 10  # tries, each with 2 % more
TIE = 1.02  # times the fastest; the estimates tell less apart by chance
NEARLY = 1.25  # times the fastest; a strategy that learns more is named if it takes no longer
SEARCHES_WITHOUT_MEMORY = ("Random", "Grid")


@dataclass(frozen=True, kw_only=True)
class Option:
    """One strategy with its plan and estimate, or the reason why it is impossible."""

    strategy: str
    plan: CampaignPlan | None = None
    estimate: PlanEstimate | None = None
    why_not: str = ""
    shortfalls: tuple[str, ...] = ()  # goals missed, by how much, and what would meet them

    @property
    def fits(self) -> bool:
        """Whether the plan can run within deadline and budget."""
        return self.plan is not None and not self.shortfalls


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The strategies side by side."""

    campaign: Campaign
    options: tuple[Option, ...]
    recommended: str
    why: str

    def option(self, strategy: str | None = None) -> Option:
        """Return the option of a strategy; default: the recommended one.

        Raises:
            InvalidPlan: the strategy is unknown.
        """
        wanted = strategy_named(strategy or self.recommended).name
        return next(each for each in self.options if each.strategy == wanted)

    def plan(self, strategy: str | None = None) -> CampaignPlan:
        """Return the plan of a strategy; default: the recommended one.

        Raises:
            InvalidPlan: the strategy is unknown or cannot run this campaign.
        """
        option = self.option(strategy)
        if option.plan is None:
            raise InvalidPlan(f"{option.strategy}: {option.why_not}. Use {self.recommended}")
        return option.plan


def campaign_of(**fields: Any) -> Campaign:
    """Return a checked campaign, with the price of a known instance type filled in.

    Raises:
        InvalidPlan: a field is wrong; the message names it.
    """
    try:
        campaign = Campaign(**fields)
    except ValidationError as error:
        raise InvalidPlan(first_problem(error)) from None
    if campaign.slots < 1:
        raise InvalidPlan(
            f"limits.instances: {campaign.limits.instances} of {campaign.instance_type} are fewer "
            f"than the {campaign.instances_per_trial} that one trial needs. Request a higher quota"
        )
    check_points(campaign)
    if campaign.price_per_hour is None:
        price = price_per_hour(campaign.instance_type)
        campaign = campaign.model_copy(update={"price_per_hour": price})
    if campaign.budget is not None and campaign.price_per_hour is None:
        raise InvalidPlan(
            f"budget: the price of {campaign.instance_type} is unknown. Give price_per_hour"
        )
    return campaign


def check_points(campaign: Campaign) -> None:
    """Check that the ranges have a point for each trial.

    Raises:
        InvalidPlan: some trials could only repeat others.
    """
    points = combinations(campaign.template_request.hyperparameter_ranges)
    searched = campaign.trials - campaign.repeated
    if searched > points:
        raise InvalidPlan(
            f"trials: {searched:,}, but the ranges have {int(points):,} different "
            f"combinations. Ask for at most {int(points):,}, or widen a range"
        )


def plan(**fields: Any) -> Comparison:
    """Plan a campaign by every strategy.

    Args:
        **fields: of ``Campaign``: name, trials, minutes_per_trial and request are required.

    Returns:
        All strategies with their estimates, and the recommended one.

    Raises:
        InvalidPlan: no strategy can run the campaign, or a field is wrong.
    """
    return compare(campaign_of(**fields))


def compare(campaign: Campaign) -> Comparison:
    """Plan a checked campaign by every strategy.

    Raises:
        InvalidPlan: no strategy can run the campaign.
    """
    options = tuple(_option(campaign, strategy) for strategy in STRATEGIES.values())
    recommended, why = _recommend(campaign, {each.strategy: each for each in options})
    return Comparison(campaign=campaign, options=options, recommended=recommended, why=why)


def planned(campaign: Campaign, strategy: str) -> CampaignPlan:
    """Return the plan of one strategy.

    Raises:
        InvalidPlan: the strategy is unknown or cannot run this campaign.
    """
    jobs = tuple(all_jobs(campaign, strategy_named(strategy)))
    return CampaignPlan(campaign=campaign, strategy=strategy, jobs=jobs, generations=(len(jobs),))


def extended(plan: CampaignPlan, trials: int) -> CampaignPlan:
    """Return the plan with more trials; existing jobs stay unchanged.

    Raises:
        InvalidPlan: no trials can be added, or the number is less than 1.
    """
    if trials < 1:
        raise InvalidPlan(f"cannot add {trials} trials. Give at least 1")
    if plan.campaign.search == "Grid":
        raise InvalidPlan("every point of the grid is planned already. Plan a new, wider grid")
    more = strategy_named(plan.strategy).more_jobs(plan.campaign, plan.jobs, trials)
    jobs: tuple[PlannedJob, ...] = (*plan.jobs, *more)
    campaign = plan.campaign.model_copy(update={"trials": plan.campaign.trials + trials})
    check_points(campaign)
    return CampaignPlan(
        campaign=campaign,
        strategy=plan.strategy,
        jobs=jobs,
        generations=(*plan.generations, len(jobs)),
    )


def _option(campaign: Campaign, strategy: Strategy) -> Option:
    try:
        made = planned(campaign, strategy.name)
    except InvalidPlan as error:
        return Option(strategy=strategy.name, why_not=str(error))
    needed = estimate(made)
    return Option(
        strategy=strategy.name,
        plan=made,
        estimate=needed,
        shortfalls=tuple(_shortfalls(campaign, strategy.name, needed)),
    )


def _shortfalls(campaign: Campaign, strategy: str, needed: PlanEstimate) -> list[str]:
    found = []
    deadline, budget = campaign.deadline_hours, campaign.budget
    if deadline is not None and needed.hours_high > deadline:
        found.append(_too_late(campaign, strategy, needed, deadline))
    if budget is not None and needed.cost is not None and needed.cost > budget:
        affordable = int(campaign.trials * budget / needed.cost)
        found.append(
            f"costs ${needed.cost:,.2f}, ${needed.cost - budget:,.2f} over the budget of "
            f"${budget:,.2f}; {affordable:,} trials would fit"
        )
    return found


def _too_late(campaign: Campaign, strategy: str, needed: PlanEstimate, deadline: float) -> str:
    late = needed.hours_high - deadline
    remedies = []
    trials = _trials_by(campaign, strategy, deadline)
    if trials:
        remedies.append(f"{trials:,} trials")
    slots = _slots_by(campaign, strategy, deadline)
    if slots and needed.parallel < slots:
        remedies.append(f"{slots:,} trials in parallel instead of {needed.parallel:,}")
    would = " or ".join(remedies) or "only shorter trials"
    return (
        f"takes up to {needed.hours_high:,.1f} h ({HIGH:.0%} confidence), {late:,.1f} h over the "
        f"deadline of {deadline:,.1f} h; {would} would meet it"
    )


def _slots_by(campaign: Campaign, strategy: str, deadline: float) -> int | None:
    """Return about how many trials at once finish before the deadline; None if none would.

    The number without the waits of tuning jobs is the least possible; a little more may be needed.
    """
    slots = slots_needed(campaign, deadline)
    for _ in range(_MORE_SLOTS):
        if slots > campaign.trials:
            return None
        instances = math.ceil(slots) * campaign.instances_per_trial
        limits = campaign.limits.model_copy(update={"instances": instances})
        wider = campaign.model_copy(update={"limits": limits})
        try:
            if estimate(planned(wider, strategy)).hours_high <= deadline:
                return math.ceil(slots)
        except InvalidPlan:
            return None
        slots *= 1.02
    return None


def _trials_by(campaign: Campaign, strategy: str, deadline: float) -> int:
    """Return about how many trials one strategy finishes before the deadline, within 0.2 %."""
    ideal = deadline * 60 / campaign.minutes_per_trial * campaign.slots
    low, high = 0, min(campaign.trials, int(ideal) + 1)
    while high - low > high // 500:
        middle = (low + high + 1) // 2
        fewer = campaign.model_copy(update={"trials": middle})
        try:
            fits = estimate(planned(fewer, strategy)).hours_high <= deadline
        except InvalidPlan:
            fits = False
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _recommend(campaign: Campaign, options: Mapping[str, Option]) -> tuple[str, str]:
    """Return the fastest strategy that meets the goals; of equals, the preferred one."""
    possible = {name: each.estimate for name, each in options.items() if each.estimate}
    if not possible:  # every campaign could be independent tuning jobs, so their problem counts
        raise InvalidPlan(options[IndependentStrategy.name].why_not)
    fitting = {name: each.hours for name, each in possible.items() if options[name].fits}
    if not fitting:
        nearest = min(possible, key=lambda name: possible[name].hours_high)
        problem = options[nearest].shortfalls[0]
        return nearest, f"no strategy meets the goals; this one comes closest: {problem}"
    fastest = min(fitting.values())
    chosen = _preferred(fitting, fastest * TIE)
    if campaign.search in SEARCHES_WITHOUT_MEMORY:
        return chosen.name, f"{campaign.search} learns nothing, and no other takes less time"
    slower = _preferred(fitting, fastest * NEARLY)
    if slower is chosen:
        return chosen.name, chosen.advantage
    hours = fitting[slower.name] - fitting[chosen.name]
    longer = f"{hours:,.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"
    return (
        chosen.name,
        f"{chosen.advantage}. {slower.name} takes {longer} longer, but {slower.advantage}",
    )


def _preferred(hours: Mapping[str, float], most: float) -> Strategy:
    """Return the preferred one of the strategies that take at most so many hours."""
    near = (STRATEGIES[name] for name, each in hours.items() if each <= most)
    return min(near, key=lambda each: each.preference)
