"""Tables of strategies and of trials."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hpoq.cli.output import say
from hpoq.presentation import dollars, duration

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from hpoq.campaign.campaign_plan import CampaignPlan
    from hpoq.campaign.planning.compare import Comparison, Option


def strategies_table(comparison: Comparison) -> Table:
    """Return a table with one column per strategy, which fits narrow terminals."""
    from hpoq.cli.noted_table import table

    possible = [option for option in comparison.options if option.estimate]
    marks = {comparison.recommended: " *"}
    made = table("", *(f"{each.strategy}{marks.get(each.strategy, '')}" for each in possible))
    columns = [_column(option) for option in possible]
    for fact in columns[0]:
        made.add_row(fact, *(column[fact] for column in columns))
    return made


def _column(option: Option) -> dict[str, str]:
    from hpoq.campaign.planning.strategies.registry import STRATEGIES

    needed = option.estimate
    if needed is None:
        return {}
    low, high = duration(needed.hours_low * 3600), duration(needed.hours_high * 3600)
    sizes = sorted({needed.smallest, needed.largest})
    return {
        "tuning jobs": f"{needed.tuning_jobs:,}",
        "trials each": " to ".join(f"{size:,}" for size in sizes),
        "tuning jobs at once": f"{needed.at_once:,}",
        "waves": f"{needed.waves:,}",
        "instances": f"{needed.instances:,}",
        "wall clock": duration(needed.hours * 3600),
        "80% interval": low if low == high else f"{low} to {high}",
        "instance-hours": f"{needed.instance_hours:,.1f}",
        "cost": "price unknown" if needed.cost is None else dollars(needed.cost),
        "learns": STRATEGIES[option.strategy].learns,
        "bound by": needed.bound_by,
    }


def say_shortfalls(comparison: Comparison) -> None:
    """Print which strategies are impossible, and which miss a goal."""
    for option in comparison.options:
        if option.why_not:
            say(f"not {option.strategy}: {option.why_not}")
        for shortfall in option.shortfalls:
            say(f"{option.strategy} {shortfall}")


def comparison_values(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as plain values, for JSON."""
    from dataclasses import asdict

    return {
        "recommended": comparison.recommended,
        "why": comparison.why,
        "strategies": [
            {
                "strategy": option.strategy,
                "why_not": option.why_not,
                "shortfalls": list(option.shortfalls),
                "estimate": asdict(option.estimate) if option.estimate else None,
            }
            for option in comparison.options
        ],
    }


def best_trials(table: pd.DataFrame, top: int) -> Table:
    """Return the best usable trials as a table, best first."""
    from hpoq.campaign.results.table import METRIC, SEARCHED, TARGET
    from hpoq.cli.noted_table import table as empty

    names = [name for name in table.columns if name.startswith((METRIC, SEARCHED))]
    models = [name for name in ("model", TARGET) if name in table.columns]
    made = empty(
        ">rank", *models, "trial", ">wave", ">objective", ">minutes",
        *(f">{name.removeprefix(METRIC).removeprefix(SEARCHED)}" for name in names),
    )  # fmt: skip
    for row in table[table["usable"]].nsmallest(top, "rank").to_dict("records"):
        values = [row[name] for name in names]
        made.add_row(
            str(row["rank"]), *(row[name] for name in models), row["trial"],
            str(row["wave"]), f"{row['objective']:.6g}",
            f"{row['minutes']:.1f}",
            *map(_shown, values),
        )  # fmt: skip
    return made


def _shown(value: Any) -> str:
    """Return a hyperparameter or metric as text; empty for what a trial of another model has."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return "" if value is None else str(value)


def repeated_settings(plan: CampaignPlan, trials: pd.DataFrame) -> Table:
    """Return the settings that were trained with several seeds as a table, best mean first."""
    from hpoq.campaign.results.repeated import by_setting
    from hpoq.campaign.results.table import SEARCHED
    from hpoq.cli.noted_table import table as empty

    found = by_setting(plan, trials)
    names = [name for name in found.columns if name.startswith(SEARCHED)]
    made = empty(
        ">mean", ">std", ">lowest", ">highest", ">trials",
        *(f">{name.removeprefix(SEARCHED)}" for name in names),
    )  # fmt: skip
    for row in found.to_dict("records"):
        numbers = (f"{row[name]:.6g}" for name in ("mean", "std", "lowest", "highest"))
        values = (row[name] for name in names)
        made.add_row(
            *numbers, str(row["trials"]),
            *(f"{value:.4g}" if isinstance(value, float) else str(value) for value in values),
        )  # fmt: skip
    return made
