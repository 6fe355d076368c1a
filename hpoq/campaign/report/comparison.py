"""Campaigns side by side: what each reached, per hour and per dollar."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import cycle
from typing import TYPE_CHECKING, Any

from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.report import series
from hpoq.campaign.report.axes import time_unit
from hpoq.campaign.results.table import best
from hpoq.presentation import dollars, duration

if TYPE_CHECKING:
    import pandas as pd

Campaigns = Sequence[tuple[CampaignPlan, "pd.DataFrame"]]
COLORS = ("#2563eb", "#ea580c", "#059669", "#9333ea", "#6b7280")
MARKS = (0.1, 0.25, 0.5, 1.0)  # shares of the shortest campaign's time, at which all are compared


def check_comparable(campaigns: Campaigns) -> None:
    """Check that the campaigns optimize the same metric.

    Raises:
        InvalidPlan: they do not.
    """
    first = campaigns[0][0].campaign
    for plan, _ in campaigns[1:]:
        other = plan.campaign
        if (other.metric, other.maximize) != (first.metric, first.maximize):
            raise InvalidPlan(
                f"{other.name} optimizes {other.metric}, but {first.name} {first.metric}. "
                "Compare campaigns of one objective"
            )


def section(campaigns: Campaigns) -> str:
    """Return the section of the page; the first campaign is the page's own."""
    parts = [_table(campaigns), _figure(campaigns, "hours")]
    if all(bool(table["cost"].notna().any()) for _, table in campaigns):
        parts.append(_figure(campaigns, "spent"))
    return f"<section><h2>Campaigns compared</h2>{''.join(parts)}</section>"


def reached(campaigns: Campaigns, over: str) -> list[tuple[float, list[float | None]]]:
    """Return the best objective of each campaign at the same hours or cost.

    Args:
        campaigns: plans and tables.
        over: ``hours`` or ``spent``.

    Returns:
        Pairs of an amount and the objectives, None before the first usable trial.
    """
    curves = [series.best_so_far(table, plan.campaign) for plan, table in campaigns]
    if any(curve.empty for curve in curves):
        return []
    shortest = min(float(curve[over].max()) for curve in curves)
    found = []
    for share in MARKS:
        amount = shortest * share
        row = [curve[curve[over] <= amount]["so_far"] for curve in curves]
        found.append((amount, [None if each.empty else float(each.iloc[-1]) for each in row]))
    return found


def _table(campaigns: Campaigns) -> str:
    names = [escape(plan.campaign.name) for plan, _ in campaigns]
    rows = [
        ("strategy", [plan.strategy for plan, _ in campaigns]),
        ("trials with a result", [f"{int(table['usable'].sum()):,}" for _, table in campaigns]),
        ("best objective", [_best(table) for _, table in campaigns]),
        ("cost", [_cost(table) for _, table in campaigns]),
    ]
    rows += [
        (f"best after {_time(amount)}", [_number(value) for value in values])
        for amount, values in reached(campaigns, "hours")
    ]
    if all(bool(table["cost"].notna().any()) for _, table in campaigns):
        rows += [
            (f"best after {dollars(amount)}", [_number(value) for value in values])
            for amount, values in reached(campaigns, "spent")
        ]
    head = "<th></th>" + "".join(f"<th class=n>{name}</th>" for name in names)
    body = "".join(
        f"<tr><td>{escape(title)}</td>"
        + "".join(f"<td class=n>{escape(value)}</td>" for value in values)
        + "</tr>"
        for title, values in rows
    )
    return f"<div class=scroll tabindex=0><table><tr>{head}</tr>{body}</table></div>"


def _best(table: pd.DataFrame) -> str:
    found = best(table)
    return "none yet" if found is None else f"{found['objective']:.6g}"


def _cost(table: pd.DataFrame) -> str:
    known = bool(table["cost"].notna().any())
    return dollars(float(table["cost"].sum())) if known else "price unknown"


def _number(value: float | None) -> str:
    return "none yet" if value is None else f"{value:.6g}"


def _time(hours: float) -> str:
    return f"{hours:.3g} h" if hours >= 0.1 else duration(hours * 3600)


def _figure(campaigns: Campaigns, over: str) -> str:
    import plotly.graph_objects as go

    from hpoq.campaign.report.figures import html, styled

    figure: Any = go.Figure()
    curves = [series.best_so_far(table, plan.campaign) for plan, table in campaigns]
    title = "USD spent on trials that have ended"
    if over == "hours":
        longest = max((float(each["hours"].max()) for each in curves if len(each)), default=1.0)
        unit, of_an_hour = time_unit(longest)
        curves = [each.assign(hours=each["hours"] / of_an_hour) for each in curves]
        title = f"{unit} since the start"
    for (plan, _), found, color in zip(campaigns, curves, cycle(COLORS)):
        steps = found[found["so_far"].diff() != 0]
        ends = found.tail(1)
        figure.add_scatter(
            x=[*steps[over], *ends[over]], y=[*steps["so_far"], *ends["so_far"]], mode="lines",
            line={"shape": "hv", "color": color, "width": 2.5}, name=plan.campaign.name,
        )  # fmt: skip
    figure.update_xaxes(title=title, rangemode="tozero")
    figure.update_layout(showlegend=True)  # also of one campaign that has results
    figure.update_yaxes(title=campaigns[0][0].campaign.metric)
    return html(styled(figure))
