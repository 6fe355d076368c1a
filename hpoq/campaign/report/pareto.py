"""The section of the Pareto front: the objective against each further metric."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any

from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.model import MEASURED, Direction
from hpoq.campaign.report.figures import GREY, ORANGE, dot, html, sampled, shown_range, styled
from hpoq.campaign.report.parts import cell, table_of
from hpoq.campaign.results.pareto import OBJECTIVE, column_of, directions, front
from hpoq.campaign.results.table import METRIC, SEARCHED

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 2_000  # dots of a figure
LISTED = 20  # trials of the front
TITLES = {"minutes": "minutes of training", "cost": "USD"}
WIDE = 1_000.0  # ratio of the greatest to the least value from which on an axis is logarithmic


def section(plan: CampaignPlan, table: pd.DataFrame) -> str:
    """Return the section; empty if the campaign has no further metrics."""
    further = plan.campaign.further_metrics
    if not further:
        return ""
    missing = [name for name in further if not bool(table[column_of(name)].notna().any())]
    measured = {name: each for name, each in further.items() if name not in missing}
    parts = [f"<p>{escape(_missing(name))}</p>" for name in missing]
    if measured:
        drawn = "".join(html(_figure(plan, table, n, each)) for n, each in measured.items())
        parts += [f"<div class='panels wide'>{drawn}</div>", _list(plan, table, missing)]
    note = (
        "No other trial is better than one on the front in one metric without being worse in "
        "another one."
    )
    return f"<section><h2>Pareto front</h2><p>{note}</p>{''.join(parts)}</section>"


def _missing(name: str) -> str:
    if name in MEASURED:
        return f"{name}: no trial has one yet."
    return (
        f"{name}: no trial has a value. The script must print it, and the template must name it in "
        "MetricDefinitions."
    )


def _figure(plan: CampaignPlan, table: pd.DataFrame, metric: str, direction: Direction) -> Any:
    """Draw the objective against one further metric, with the front of the two."""
    import plotly.graph_objects as go

    column = column_of(metric)
    wanted = {name: directions(plan.campaign)[name] for name in (OBJECTIVE, column)}
    usable = table[table["usable"]].dropna(subset=[column])
    shown = sampled(usable, SHOWN)
    figure = go.Figure()
    figure.add_scatter(
        x=shown[column], y=shown[OBJECTIVE], mode="markers", name="trial", text=shown["trial"],
        marker={**dot(len(shown)), "color": GREY},
    )  # fmt: skip
    best = front(table, wanted).sort_values(column)
    figure.add_scatter(
        x=best[column], y=best[OBJECTIVE], mode="lines+markers", name="Pareto front",
        text=best["trial"], marker={"size": 8, "color": ORANGE},
        # What can be reached between two trials is what the cheaper one has reached.
        line={"shape": "hv" if direction == "Minimize" else "vh", "color": ORANGE, "width": 2},
    )  # fmt: skip
    figure.update_yaxes(
        title=plan.campaign.metric,
        range=shown_range(usable[OBJECTIVE], maximize=plan.campaign.maximize),
        automargin=True,
    )
    figure.update_xaxes(title=TITLES.get(metric, metric), **_x_axis(usable[column], direction))
    figure.update_layout(height=380)
    return styled(figure)


def _x_axis(values: pd.Series[Any], direction: Direction) -> dict[str, Any]:
    least, greatest = float(values.min()), float(values.max())
    if least > 0 and greatest / least >= WIDE:
        room = 0.02 * math.log10(greatest / least)
        ends = [math.log10(least) - room, math.log10(greatest) + room]
        return {"type": "log", "range": ends, "nticks": 6}
    return {"range": shown_range(values, maximize=direction == "Maximize"), "nticks": 6}


def _list(plan: CampaignPlan, table: pd.DataFrame, missing: list[str]) -> str:
    """Return a table of the front over all metrics that trials have."""
    wanted = {
        name: each
        for name, each in directions(plan.campaign).items()
        if name not in {column_of(each) for each in missing}
    }
    found = front(table, wanted)
    metrics = [name for name in wanted if name != OBJECTIVE]
    searched = [str(name) for name in table.columns if str(name).startswith(SEARCHED)]
    titles = ["trial", plan.campaign.metric, *(name.removeprefix(METRIC) for name in metrics)]
    titles += [name.removeprefix(SEARCHED) for name in searched]
    rows = [
        [row["trial"], *(cell(row[name]) for name in (OBJECTIVE, *metrics, *searched))]
        for row in found.head(LISTED).to_dict("records")
    ]
    more = f", of which the first {LISTED} are listed" if len(found) > LISTED else ""
    return f"<p>{len(found):,} trials are on the front of all metrics{more}.</p>" + table_of(
        titles, rows
    )
