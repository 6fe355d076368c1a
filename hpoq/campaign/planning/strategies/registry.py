"""The list of strategies.

To add one, write a module with a ``Strategy`` and list it here. The planner, the command line and
the report read this list and know no strategy by name.
"""

from __future__ import annotations

from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.planning.strategies.hyperband import HyperbandStrategy
from hpoq.campaign.planning.strategies.independent import IndependentStrategy
from hpoq.campaign.planning.strategies.narrowing import NarrowingStrategy
from hpoq.campaign.planning.strategies.ray import RayStrategy
from hpoq.campaign.planning.strategies.single import SingleStrategy
from hpoq.campaign.planning.strategies.strategy import Strategy
from hpoq.campaign.planning.strategies.warm_waves import WarmWavesStrategy

STRATEGIES: dict[str, Strategy] = {
    each.name: each
    for each in (
        SingleStrategy(),
        IndependentStrategy(),
        WarmWavesStrategy(),
        NarrowingStrategy(),
        HyperbandStrategy(),
        RayStrategy(),
    )
}


def strategy_named(name: str) -> Strategy:
    """Return the strategy of a name.

    Raises:
        InvalidPlan: the name is not listed.
    """
    if name not in STRATEGIES:
        raise InvalidPlan(f"unknown strategy {name!r}. Use one of {', '.join(STRATEGIES)}")
    return STRATEGIES[name]
