"""What requests can use at most, and cost by the deployment's prices, before they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hpo_dispatcher.contract.request import TuningRequest, parse_fields
from hpo_dispatcher.tuning_job.usage import HOUR, most_cost, most_instance_seconds, most_used
from hpoq.client import DeployedSettings
from hpoq.preview import preview


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """An upper bound: instances x run time at most x training jobs."""

    instance_hours: float
    cost: float | None  # USD; None where the deployment has no price for it
    instance_types: tuple[str, ...]
    unpriced: tuple[str, ...]  # types without a price


def estimate(settings: DeployedSettings, team: str, message: dict[str, Any]) -> Estimate | None:
    """What one message asks for; None for one that asks for no tuning job.

    Raises:
        InvalidRequest: the dispatcher would put it into the dead-letter queue.
    """
    if not isinstance(parse_fields(message, "message-id"), TuningRequest):
        return None
    api_request = preview(settings, team, message)
    uses, prices = most_used(api_request), settings.deployment.prices
    types = tuple(sorted({each for use in uses for each in use}))
    return Estimate(
        instance_hours=most_instance_seconds(api_request) / HOUR,
        cost=most_cost(uses, prices),
        instance_types=types,
        unpriced=tuple(each for each in types if each not in prices),
    )


def together(estimates: Sequence[Estimate]) -> Estimate:
    """All of them."""
    costs = [each.cost for each in estimates if each.cost is not None]
    return Estimate(
        instance_hours=sum(each.instance_hours for each in estimates),
        cost=sum(costs) if len(costs) == len(estimates) else None,
        instance_types=tuple(sorted({t for each in estimates for t in each.instance_types})),
        unpriced=tuple(sorted({t for each in estimates for t in each.unpriced})),
    )


def in_words(of: Estimate) -> str:
    """One line."""
    types = ", ".join(of.instance_types)
    text = f"at most {of.instance_hours:.4g} instance-hours of {types}"
    if of.cost is not None:
        return f"{text}, {of.cost:.2f} USD"
    return f"{text}; no price is set for {', '.join(of.unpriced)}"


def budget_in_words(team: str, budget: dict[str, Any], wanted_hours: float) -> str:
    """What a team's budget makes of it; ``budget`` as in the capacity document."""
    left = budget["instance_hours"] - budget["spent"] - budget["set_aside"]
    text = (
        f"budget of team {team}: {max(0.0, left):.4g} of {budget['instance_hours']:.4g} "
        f"instance-hours are left in {budget['month']}"
    )
    return text + ("; what exceeds them will wait" if wanted_hours > left else "")
