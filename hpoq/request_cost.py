"""The most that requests can use, and its cost at the deployment's prices, before submission."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hpo_dispatcher.contract.documents.capacity import BudgetUse
from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.entry import HOUR
from hpo_dispatcher.contract.message import parse_fields
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.tuning_job.usage import most_cost, most_instance_seconds, most_used
from hpoq.preview import preview


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """An upper bound: instances x maximum run time x training jobs."""

    instance_hours: float
    cost: float | None  # USD; None where the deployment has no price for it
    instance_types: tuple[str, ...]
    unpriced: tuple[str, ...]  # types without a price


def estimate(settings: SettingsDocument, team: str, message: dict[str, Any]) -> Estimate | None:
    """Estimate one message; return None for a message that is not a tuning request.

    Raises:
        InvalidRequest: the dispatcher would reject the message.
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
    """Return the sum of estimates."""
    costs = [each.cost for each in estimates if each.cost is not None]
    return Estimate(
        instance_hours=sum(each.instance_hours for each in estimates),
        cost=sum(costs) if len(costs) == len(estimates) else None,
        instance_types=tuple(sorted({t for each in estimates for t in each.instance_types})),
        unpriced=tuple(sorted({t for each in estimates for t in each.unpriced})),
    )


def in_words(of: Estimate) -> str:
    """Return an estimate as one line of text."""
    types = ", ".join(of.instance_types)
    text = f"at most {of.instance_hours:.4g} instance-hours of {types}"
    if of.cost is not None:
        return f"{text}, {of.cost:.2f} USD"
    return f"{text}; no price is set for {', '.join(of.unpriced)}"


def budget_in_words(team: str, budget: BudgetUse, wanted_hours: float) -> str:
    """Compare a request with what is left of its team's budget, in one line of text."""
    text = (
        f"budget of team {team}: {max(0.0, budget.left):.4g} of {budget.instance_hours:.4g} "
        f"instance-hours are left in {budget.month}"
    )
    return text + ("; requests beyond them will wait" if wanted_hours > budget.left else "")
