"""``plan``: which strategies there are, what each takes, and which one to take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import Campaign, Plan, PlannedJob, StrategyName, explained
from hpoq.campaign.planning.estimate import HIGH, Estimate, estimate, slots_needed
from hpoq.campaign.planning.prices import price_per_hour
from hpoq.campaign.planning.strategies import STRATEGIES, extension


@dataclass(frozen=True, kw_only=True)
class Option:
    """One strategy: its plan with what it takes, or why it is out of the question."""

    strategy: StrategyName
    plan: Plan | None = None
    estimate: Estimate | None = None
    why_not: str = ""
    shortfalls: tuple[str, ...] = ()  # how a goal is missed, by how much, and what would meet it

    @property
    def fits(self) -> bool:
        """It can be run, within deadline and budget."""
        return self.plan is not None and not self.shortfalls


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The strategies side by side."""

    campaign: Campaign
    options: tuple[Option, ...]
    recommended: StrategyName
    why: str

    def option(self, strategy: StrategyName | None = None) -> Option:
        """One of them; the recommended one unless named."""
        wanted = strategy or self.recommended
        return next(each for each in self.options if each.strategy == wanted)

    def plan(self, strategy: StrategyName | None = None) -> Plan:
        """The plan of a strategy.

        Raises:
            InvalidPlan: the strategy cannot serve this campaign.
        """
        option = self.option(strategy)
        if option.plan is None:
            raise InvalidPlan(f"{option.strategy}: {option.why_not}. Use {self.recommended}")
        return option.plan


def campaign_of(**fields: Any) -> Campaign:
    """A checked campaign; the price of a known instance type is filled in.

    Raises:
        InvalidPlan: naming the field and what is wrong with it.
    """
    try:
        campaign = Campaign(**fields)
    except ValidationError as error:
        raise InvalidPlan(explained(error)) from None
    if campaign.slots < 1:
        raise InvalidPlan(
            f"limits.instances: {campaign.limits.instances} of {campaign.instance_type} are fewer "
            f"than the {campaign.instances_per_trial} of one trial. Ask for a higher quota"
        )
    if campaign.price_per_hour is None:
        price = price_per_hour(campaign.instance_type)
        campaign = campaign.model_copy(update={"price_per_hour": price})
    if campaign.budget is not None and campaign.price_per_hour is None:
        raise InvalidPlan(
            f"budget: the price of {campaign.instance_type} is not known. Give price_per_hour"
        )
    return campaign


def plan(**fields: Any) -> Comparison:
    """Plan a campaign by every strategy.

    Args:
        **fields: of ``Campaign``: name, trials, minutes_per_trial and request are required.

    Returns:
        All strategies with their estimates, and the recommended one.

    Raises:
        InvalidPlan: no strategy can serve it, or a field is wrong.
    """
    return compare(campaign_of(**fields))


def compare(campaign: Campaign) -> Comparison:
    """As ``plan``, of a checked campaign."""
    options = tuple(_option(campaign, strategy) for strategy in STRATEGIES)
    recommended, why = _recommend(campaign, {each.strategy: each for each in options})
    return Comparison(campaign=campaign, options=options, recommended=recommended, why=why)


def planned(campaign: Campaign, strategy: StrategyName) -> Plan:
    """The plan of one strategy.

    Raises:
        InvalidPlan: the strategy cannot serve this campaign.
    """
    jobs = tuple(STRATEGIES[strategy](campaign))
    return Plan(campaign=campaign, strategy=strategy, jobs=jobs, generations=(len(jobs),))


def extended(plan: Plan, trials: int) -> Plan:
    """The plan with more trials; the jobs there are stay as they are.

    Raises:
        InvalidPlan: there is nothing to add, or nothing can be added.
    """
    if trials < 1:
        raise InvalidPlan(f"{trials} more trials. Give at least 1")
    more = extension(plan.campaign, plan.strategy, plan.jobs, trials)
    jobs: tuple[PlannedJob, ...] = (*plan.jobs, *more)
    campaign = plan.campaign.model_copy(update={"trials": plan.campaign.trials + trials})
    return Plan(
        campaign=campaign,
        strategy=plan.strategy,
        jobs=jobs,
        generations=(*plan.generations, len(jobs)),
    )


def _option(campaign: Campaign, strategy: StrategyName) -> Option:
    try:
        made = planned(campaign, strategy)
    except InvalidPlan as error:
        return Option(strategy=strategy, why_not=str(error))
    taken = estimate(made)
    return Option(
        strategy=strategy,
        plan=made,
        estimate=taken,
        shortfalls=tuple(_shortfalls(campaign, strategy, taken)),
    )


def _shortfalls(campaign: Campaign, strategy: StrategyName, taken: Estimate) -> list[str]:
    found = []
    deadline, budget = campaign.deadline_hours, campaign.budget
    if deadline is not None and taken.hours_high > deadline:
        found.append(_too_late(campaign, strategy, taken, deadline))
    if budget is not None and taken.cost is not None and taken.cost > budget:
        affordable = int(campaign.trials * budget / taken.cost)
        found.append(
            f"costs ${taken.cost:,.2f}, ${taken.cost - budget:,.2f} over the budget of "
            f"${budget:,.2f}; {affordable:,} trials would keep to it"
        )
    return found


def _too_late(campaign: Campaign, strategy: StrategyName, taken: Estimate, deadline: float) -> str:
    late = taken.hours_high - deadline
    remedies = []
    trials = _trials_by(campaign, strategy, deadline)
    if trials:
        remedies.append(f"{trials:,} trials")
    slots = slots_needed(campaign, deadline)
    if taken.parallel < slots <= campaign.trials:
        remedies.append(f"{int(slots):,} trials in parallel instead of {taken.parallel:,}")
    would = " or ".join(remedies) or "only shorter trials"
    return (
        f"takes up to {taken.hours_high:,.1f} h ({HIGH:.0%} of the time), {late:,.1f} h over the "
        f"deadline of {deadline:,.1f} h; {would} would meet it"
    )


def _trials_by(campaign: Campaign, strategy: StrategyName, deadline: float) -> int:
    """The most trials that one strategy finishes by then."""
    ideal = deadline * 60 / campaign.minutes_per_trial * campaign.slots
    low, high = 0, min(campaign.trials, int(ideal) + 1)
    while high - low > high // 500:  # nobody needs it exactly
        middle = (low + high + 1) // 2
        fewer = campaign.model_copy(update={"trials": middle})
        try:
            fits = estimate(planned(fewer, strategy)).hours_high <= deadline
        except InvalidPlan:
            fits = False
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _recommend(
    campaign: Campaign, options: Mapping[StrategyName, Option]
) -> tuple[StrategyName, str]:
    possible = [each for each in options.values() if each.plan]
    if not possible:
        problems = dict.fromkeys(each.why_not for each in options.values())
        raise InvalidPlan("; ".join(problems))
    order: list[tuple[StrategyName, str]] = [
        ("hyperband", "the request asks for Hyperband, which spends little on poor trials"),
        ("single", "one tuning job holds all trials and learns from each of them"),
        ("narrowing", "ranges shrink around the best of all trials, past warm start's limits"),
        ("warm-waves", "each wave learns from the best five tuning jobs before"),
        ("independent", "it is the fastest, and there is nothing to learn between tuning jobs"),
    ]
    for strategy, why in order:
        if options[strategy].fits:
            return strategy, why
    nearest = min(possible, key=_missed_by)
    return nearest.strategy, f"none meets the goals; this comes nearest: {nearest.shortfalls[0]}"


def _missed_by(option: Option) -> float:
    return option.estimate.hours_high if option.estimate else float("inf")
