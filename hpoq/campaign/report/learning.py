"""The section of learning curves: how metrics changed while trials were running."""

from __future__ import annotations

from html import escape
from typing import Any

from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.report.figures import BLUE, GREY, html, styled
from hpoq.campaign.results.curves import LearningCurves

PANELS = 6  # metrics
DISTINCT = 12  # values, up to which each one is a dot


def section(plan: CampaignPlan, curves: LearningCurves | None) -> str:
    """Return the section; empty if nobody has read any curves."""
    if curves is None:
        return ""
    if curves.table.empty:
        return f"<section><h2>Learning curves</h2><p>{escape(curves.note)}</p></section>"
    trials = curves.table["trial"].nunique()
    note = (
        f"The values that {trials:,} trials printed, in the order printed. Blue: the better half, "
        "which are the best trials of the campaign. Grey: a sample of all others."
    )
    drawn = "".join(html(each) for each in figures(plan, curves))
    return (
        f"<section><h2>Learning curves</h2><p>{note}</p><div class='panels wide'>{drawn}</div>"
        "</section>"
    )


def figures(plan: CampaignPlan, curves: LearningCurves) -> list[Any]:
    """Draw a figure for each metric, the objective first."""
    found = [str(name) for name in curves.table["metric"].unique()]
    first = [name for name in found if name == plan.campaign.metric]
    return [
        _figure(curves, name) for name in (first + [n for n in found if n not in first])[:PANELS]
    ]


def _figure(curves: LearningCurves, metric: str) -> Any:
    import plotly.graph_objects as go

    shown = curves.table[curves.table["metric"] == metric]
    ranks = shown.groupby("trial")["rank"].first().sort_values()
    better = set(ranks.index[: -(-len(ranks) // 2)])
    few = int(shown["number"].max()) <= DISTINCT
    figure = go.Figure()
    for trial, rank in reversed(list(ranks.items())):  # the best one is drawn last, on top
        own = shown[shown["trial"] == trial]
        best = trial in better
        figure.add_scatter(
            x=own["number"], y=own["value"], mode="lines+markers" if few else "lines",
            marker={"size": 4}, name=f"{rank}. {trial}", opacity=1.0 if best else 0.6,
            line={"color": BLUE if best else GREY, "width": 3 if rank == 1 else 1.3},
        )  # fmt: skip
    figure.update_layout(height=320, showlegend=False)
    figure.update_xaxes(title="in the order printed", nticks=8)
    figure.update_yaxes(title=metric, automargin=True)
    return styled(figure, margin={"l": 56, "r": 12, "t": 16, "b": 48})
