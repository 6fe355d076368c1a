"""How a comparison of strategies and the best trials of a campaign look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpoq.cli.output import duration, say

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from hpoq.campaign.planning.compare import Comparison, Option


def strategies_table(comparison: Comparison) -> Table:
    """A column a strategy: narrow terminals have room for that."""
    from hpoq.cli.tables import table

    possible = [option for option in comparison.options if option.estimate]
    marks = {comparison.recommended: " *"}
    made = table("", *(f"{each.strategy}{marks.get(each.strategy, '')}" for each in possible))
    columns = [_column(option) for option in possible]
    for fact in columns[0]:
        made.add_row(fact, *(column[fact] for column in columns))
    return made


def _column(option: Option) -> dict[str, str]:
    from hpoq.campaign.planning.strategies import LEARNING

    taken = option.estimate
    if taken is None:
        return {}
    low, high = duration(taken.hours_low * 3600), duration(taken.hours_high * 3600)
    sizes = sorted({taken.smallest, taken.largest})
    return {
        "tuning jobs": f"{taken.tuning_jobs:,}",
        "trials each": " to ".join(f"{size:,}" for size in sizes),
        "tuning jobs at once": f"{taken.at_once:,}",
        "waves": f"{taken.waves:,}",
        "instances": f"{taken.instances:,}",
        "wall clock": duration(taken.hours * 3600),
        "eight times in ten": low if low == high else f"{low} to {high}",
        "instance-hours": f"{taken.instance_hours:,.1f}",
        "cost": "price unknown" if taken.cost is None else f"${taken.cost:,.2f}",
        "learns": LEARNING[option.strategy],
        "bound by": taken.bound_by,
    }


def say_why_not(comparison: Comparison) -> None:
    """Which strategies fall out, and which miss a goal."""
    for option in comparison.options:
        if option.why_not:
            say(f"not {option.strategy}: {option.why_not}")
        for shortfall in option.shortfalls:
            say(f"{option.strategy} {shortfall}")


def values_of(comparison: Comparison) -> dict[str, Any]:
    """The same as plain values, for JSON."""
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
    """The first few of the results that hold an objective, best first."""
    from hpoq.campaign.results.table import SEARCHED
    from hpoq.cli.tables import table as empty

    names = [name for name in table.columns if name.startswith(SEARCHED)]
    made = empty(
        ">rank", "trial", ">wave", ">objective", ">minutes",
        *(f">{name.removeprefix(SEARCHED)}" for name in names),
    )  # fmt: skip
    for row in table[table["usable"]].nsmallest(top, "rank").to_dict("records"):
        values = [row[name] for name in names]
        made.add_row(
            str(row["rank"]), row["trial"], str(row["wave"]), f"{row['objective']:.5f}",
            f"{row['minutes']:.1f}",
            *(f"{value:.4g}" if isinstance(value, float) else str(value) for value in values),
        )  # fmt: skip
    return made
