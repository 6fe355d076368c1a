"""The report's figures, drawn from the table of trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpo_dispatcher.contract.request import CategoricalRange
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.report import series
from hpoq.campaign.report.advice import Importance
from hpoq.campaign.report.axes import SearchedAxis, axis_of, time_unit
from hpoq.campaign.results.table import SEARCHED

if TYPE_CHECKING:
    import pandas as pd

# Points that a figure shows: the best ones, and a sample of the rest.
SHOWN = 4_000
SHOWN_IN_PANEL = 800  # of several panels side by side, which a browser draws without WebGL
SHOWN_LINES = 500
FEW = 200  # trials, whose dots are larger
PANELS = 12
BLUE, ORANGE, GREY = "#2563eb", "#ea580c", "#9ca3af"
COLORS = [[0, "#93c5fd"], [1, "#2563eb"]]  # both ends can be seen on white and on black
CONFIG = {"displayModeBar": False, "responsive": True}
PANEL_HEIGHT = 250  # pixels


def html(figure: Any) -> str:
    """Return a figure as a part of the page."""
    return str(figure.to_html(full_html=False, include_plotlyjs=False, config=CONFIG))


def dot(trials: int) -> dict[str, Any]:
    """Return the size and the opacity of the dots of so many trials."""
    return {"size": 7, "opacity": 0.8} if trials <= FEW else {"size": 4, "opacity": 0.5}


def best_so_far(plan: CampaignPlan, table: pd.DataFrame, over: str) -> Any:
    """Draw each trial as a dot and the best so far as a line, over ``hours`` or ``spent``."""
    import plotly.graph_objects as go

    found = series.best_so_far(table, plan.campaign)
    title = "USD spent on trials that have ended"
    if over == "hours":
        unit, of_an_hour = time_unit(float(found["hours"].max()))
        found, title = found.assign(hours=found["hours"] / of_an_hour), f"{unit} since the start"
    shown = sampled(found, SHOWN)
    figure = go.Figure()
    figure.add_scattergl(
        x=_small(shown[over]), y=_small(shown["objective"]), mode="markers", name="trial",
        marker={**dot(len(shown)), "color": GREY}, text=shown["trial"],
    )  # fmt: skip
    steps = found[found["so_far"].diff() != 0]
    ends = found.tail(1)
    figure.add_scatter(
        x=[*steps[over], *ends[over]], y=[*steps["so_far"], *ends["so_far"]],
        mode="lines", line={"shape": "hv", "color": BLUE, "width": 2.5}, name="best so far",
    )  # fmt: skip
    figure.update_yaxes(range=shown_range(found["objective"], maximize=plan.campaign.maximize))
    figure.update_xaxes(range=[0, float(found[over].max()) * 1.01])
    return _titled(figure, title, plan.campaign.metric)


def slices(plan: CampaignPlan, table: pd.DataFrame, names: list[str]) -> list[Any]:
    """Draw the objective against each hyperparameter, colored by wave."""
    import plotly.graph_objects as go

    usable = table[table["usable"]]
    shown = sampled(usable, SHOWN_IN_PANEL)
    span = shown_range(usable["objective"], maximize=plan.campaign.maximize)
    panels = []
    for name in names[:PANELS]:
        axis, values = _axis(plan, name), shown[SEARCHED + name]
        figure = go.Figure()
        figure.add_scatter(
            x=_small(axis.at(values)), y=_small(shown["objective"]), mode="markers",
            customdata=[_short(value) for value in values], text=shown["trial"], name="",
            hovertemplate="%{text}<br>" + name + " %{customdata}<br>%{y}",
            marker={**dot(len(shown)), "color": shown["wave"], "colorscale": COLORS,
                    "cmin": 0, "cmax": plan.waves},
        )  # fmt: skip
        figure.update_xaxes(title=name, **_ticks(axis))
        figure.update_yaxes(range=span)
        panels.append(_panel(figure))
    return panels


def parallel_coordinates(plan: CampaignPlan, table: pd.DataFrame, names: list[str]) -> Any:
    """Draw the best trials as lines through all hyperparameters."""
    import plotly.graph_objects as go

    best = table[table["usable"]].nsmallest(SHOWN_LINES, "rank")
    dimensions: list[dict[str, Any]] = []
    for name in names:
        axis, column = _axis(plan, name), best[SEARCHED + name]
        if isinstance(_range(plan, name), CategoricalRange):
            codes = {label: place for place, label in axis.ticks or ()}
            positions = column.astype(str).map(codes).fillna(0)
        else:
            positions = axis.at(column)
        ticks = axis.ticks
        labels = (
            {"tickvals": [t[0] for t in ticks], "ticktext": [t[1] for t in ticks]} if ticks else {}
        )
        dimensions.append(
            {"label": name, "values": positions, "range": [axis.low, axis.high], **labels}
        )
    dimensions.append({"label": plan.campaign.metric, "values": best["objective"]})
    figure = go.Figure(
        go.Parcoords(
            dimensions=dimensions,
            line={
                "color": best["objective"], "colorscale": COLORS,
                "reversescale": not plan.campaign.maximize,
            },
        )
    )  # fmt: skip
    # Narrower, the axes could not be told apart: the page scrolls the figure instead.
    figure.update_layout(height=420)
    return styled(figure, margin={"l": 70, "r": 60, "t": 60, "b": 30})


def importances(found: dict[str, Importance]) -> Any:
    """Draw a bar for each hyperparameter, with its interval."""
    import plotly.graph_objects as go

    names = list(found)[::-1]
    figure = go.Figure(
        go.Bar(
            x=[found[name].share for name in names], y=names, orientation="h", marker_color=BLUE,
            error_x={
                "type": "data", "symmetric": False, "color": GREY,
                "array": [max(0.0, found[name].high - found[name].share) for name in names],
                "arrayminus": [max(0.0, found[name].share - found[name].low) for name in names],
            },
        )
    )  # fmt: skip
    figure.update_layout(height=110 + 28 * len(names))
    figure.update_xaxes(title="share of the explained variation", tickformat=".0%")
    figure.update_yaxes(ticksuffix="  ", automargin=True)
    return styled(figure)


def waves(plan: CampaignPlan, table: pd.DataFrame, names: list[str]) -> list[Any]:
    """Draw where the jobs of each wave searched, and each wave's best trial."""
    import plotly.graph_objects as go

    numeric = [n for n in names if not isinstance(_range(plan, n), CategoricalRange)][:PANELS]
    exploring = {job.number for job in plan.jobs if job.explores and job.wave > 1}
    narrowed = table[~table["job"].isin(exploring)]
    best = table[table["usable"]].sort_values("rank").groupby("wave").head(1)
    panels = []
    for name in numeric:
        axis, column = _axis(plan, name), SEARCHED + name
        positions = narrowed.assign(at=axis.at(narrowed[column]))
        tried = positions.groupby("wave")["at"].agg(["min", "max"])
        figure = go.Figure()
        figure.add_bar(
            x=tried.index, base=tried["min"], y=tried["max"] - tried["min"], name="",
            marker={"color": BLUE, "opacity": 0.35}, hoverinfo="skip",
        )  # fmt: skip
        figure.add_scatter(
            x=best["wave"], y=axis.at(best[column]), mode="markers", name="",
            customdata=[_short(value) for value in best[column]], text=best["trial"],
            hovertemplate="%{text}<br>" + name + " %{customdata}",
            marker={"color": ORANGE, "symbol": "diamond", "size": 9},
        )  # fmt: skip
        figure.update_yaxes(range=[axis.low, axis.high], **_ticks(axis))
        figure.update_xaxes(dtick=1, title=f"{name} by wave")
        panels.append(_panel(figure))
    return panels


def parallelism(plan: CampaignPlan, table: pd.DataFrame) -> Any:
    """Draw the number of trials at once over time, and the allowed maximum."""
    import plotly.graph_objects as go

    found = series.parallelism(table)
    unit, of_an_hour = time_unit(float(found["hours"].max()))
    step = max(1, len(found) // SHOWN)
    shown = found.iloc[::step]
    figure = go.Figure(
        go.Scatter(
            x=_small(shown["hours"] / of_an_hour), y=shown["at_once"], mode="lines", fill="tozeroy",
            line={"shape": "hv", "color": BLUE, "width": 1}, name="trials at once",
        )
    )  # fmt: skip
    allowed = series.allowed_at_once(plan)
    figure.add_hline(y=allowed, line={"color": ORANGE, "dash": "dash"})
    figure.update_yaxes(range=[0, allowed * 1.08])
    return _titled(figure, f"{unit} since the start", "trials at once")


def sampled(table: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return so many trials at most: the best tenth of them, and a sample of the rest."""
    if len(table) <= most:
        return table
    best = table.nsmallest(most // 10, "rank")
    rest = table.drop(best.index).sample(most - len(best), random_state=0)
    return table.loc[best.index.union(rest.index)]


def shown_range(values: pd.Series[Any], *, maximize: bool) -> list[float]:
    """Return the range of an axis, so that a few diverged trials do not flatten a figure."""
    low, high = series.focus(values, maximize=maximize)
    room = 0.04 * ((high - low) or 1.0)
    return [low - room, high + room]


def styled(figure: Any, margin: dict[str, int] | None = None) -> Any:
    """Return the figure in the style of the page."""
    figure.update_layout(
        template="plotly_white",
        # Readable on the light and on the dark page.
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#7b8494"},
        margin=margin or {"l": 60, "r": 20, "t": 40, "b": 50},
        # Above the figure, also if it takes several lines.
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        hoverlabel={"namelength": -1},
    )
    lines = "rgba(123,132,148,0.25)"
    axes = {"gridcolor": lines, "zerolinecolor": lines, "exponentformat": "e"}
    figure.update_xaxes(**axes)
    figure.update_yaxes(**axes)
    return figure


def _panel(figure: Any) -> Any:
    """Return a figure in the style of several side by side."""
    figure.update_layout(height=PANEL_HEIGHT, showlegend=False)
    figure.update_yaxes(automargin=True)
    return styled(figure, margin={"l": 50, "r": 12, "t": 12, "b": 44})


def _titled(figure: Any, x: str, y: str) -> Any:
    figure.update_xaxes(title=x)
    figure.update_yaxes(title=y)
    return styled(figure)


def _range(plan: CampaignPlan, name: str) -> Any:
    return plan.campaign.template_request.hyperparameter_ranges[name]


def _axis(plan: CampaignPlan, name: str) -> SearchedAxis:
    return axis_of(_range(plan, name))


def _ticks(axis: SearchedAxis) -> dict[str, Any]:
    if axis.ticks is None:
        return {"nticks": 5}
    return {"tickvals": [at for at, _ in axis.ticks], "ticktext": [text for _, text in axis.ticks]}


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _small(column: Any) -> Any:
    """Halve the size; the digits are too small to see."""
    return column.astype("float32").to_numpy()
