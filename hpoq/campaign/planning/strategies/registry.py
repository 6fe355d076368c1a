"""The list of strategies.

To add one, write a module with a ``Strategy`` and list it here. The planner, the command line and
the report read this list and know no strategy by name.
"""

from __future__ import annotations

from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.planning.strategies.hyperband import Hyperband
from hpoq.campaign.planning.strategies.independent import Independent
from hpoq.campaign.planning.strategies.narrowing import Narrowing
from hpoq.campaign.planning.strategies.single import Single
from hpoq.campaign.planning.strategies.strategy import Strategy
from hpoq.campaign.planning.strategies.warm_waves import WarmWaves

STRATEGIES: dict[str, Strategy] = {
    each.name: each for each in (Single(), Independent(), WarmWaves(), Narrowing(), Hyperband())
}


def strategy_named(name: str) -> Strategy:
    """Return the strategy of a name.

    Raises:
        InvalidPlan: the name is not listed.
    """
    if name not in STRATEGIES:
        raise InvalidPlan(f"unknown strategy {name!r}. Use one of {', '.join(STRATEGIES)}")
    return STRATEGIES[name]
