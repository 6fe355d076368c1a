"""The report's figures, drawn from the table of trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpo_dispatcher.contract.request import CategoricalRange
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.ranges import scaling
from hpoq.campaign.report import series
from hpoq.campaign.report.advice import Importance
from hpoq.campaign.results.table import SEARCHED

if TYPE_CHECKING:
    import pandas as pd

# Points that a figure shows: the best ones, and a sample of the rest.
SHOWN = 4_000
SHOWN_LINES = 500
SLICES = 12
BLUE, ORANGE, GREY = "#2563eb", "#ea580c", "#9ca3af"
COLORS = [[0, "#dbeafe"], [1, "#1e3a8a"]]


def best_so_far(plan: CampaignPlan, table: pd.DataFrame, over: str, title: str) -> Any:
    """Draw each trial as a dot and the best so far as a line, over ``hours`` or ``spent``."""
    import plotly.graph_objects as go

    found = series.best_so_far(table, plan.campaign)
    shown = _sample(found)
    figure = go.Figure()
    figure.add_scattergl(
        x=_small(shown[over]), y=_small(shown["objective"]), mode="markers", name="trial",
        marker={"size": 4, "color": GREY, "opacity": 0.5}, text=shown["trial"],
    )  # fmt: skip
    steps = found[found["so_far"].diff() != 0]
    ends = found.tail(1)
    figure.add_scatter(
        x=[*steps[over], *ends[over]], y=[*steps["so_far"], *ends["so_far"]],
        mode="lines", line={"shape": "hv", "color": BLUE, "width": 2.5}, name="best so far",
    )  # fmt: skip
    figure.update_yaxes(range=_shown_range(plan, found["objective"]))
    figure.update_xaxes(range=[0, float(found[over].max()) * 1.01])
    return _titled(figure, title, plan.campaign.metric)


def slices(plan: CampaignPlan, table: pd.DataFrame, names: list[str]) -> Any:
    """Draw the objective against each hyperparameter, colored by wave."""
    from plotly.subplots import make_subplots

    chosen = names[:SLICES]
    columns = min(3, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = make_subplots(rows=rows, cols=columns, subplot_titles=chosen, shared_yaxes=True)
    usable = table[table["usable"]]
    shown = _sample(usable)
    for index, name in enumerate(chosen):
        row, column = index // columns + 1, index % columns + 1
        values = shown[SEARCHED + name]
        each = plan.campaign.template_request.hyperparameter_ranges[name]
        if isinstance(each, CategoricalRange):
            places, labels = series.places(values, each)
            ticks = {"tickvals": list(range(len(labels))), "ticktext": labels}
            figure.update_xaxes(**ticks, row=row, col=column)
            values = places
        elif scaling(each) == "Logarithmic":
            figure.update_xaxes(type="log", dtick=1, row=row, col=column)
        figure.add_scattergl(
            x=_small(values), y=_small(shown["objective"]),
            mode="markers", showlegend=False, text=shown["trial"],
            marker={"size": 4, "opacity": 0.6, "color": shown["wave"], "colorscale": COLORS,
                    "cmin": 0, "cmax": plan.waves},
            row=row, col=column,
        )  # fmt: skip
    figure.update_yaxes(range=_shown_range(plan, usable["objective"]))
    figure.update_layout(height=260 * rows + 60)
    return styled(figure)


def parallel_coordinates(plan: CampaignPlan, table: pd.DataFrame, names: list[str]) -> Any:
    """Draw the best trials as lines through all hyperparameters."""
    import numpy as np
    import plotly.graph_objects as go

    best = table[table["usable"]].nsmallest(SHOWN_LINES, "rank")
    dimensions: list[dict[str, Any]] = []
    for name in names:
        column = best[SEARCHED + name]
        each = plan.campaign.template_request.hyperparameter_ranges[name]
        if isinstance(each, CategoricalRange):
            labels = [str(value) for value in each.values]
            codes = column.astype(str).map({label: i for i, label in enumerate(labels)})
            ticks = {"tickvals": list(range(len(labels))), "ticktext": labels}
            around = [-0.5, len(labels) - 0.5]
            dimensions.append({"label": name, "values": codes.fillna(0), "range": around, **ticks})
        elif scaling(each) == "Logarithmic":
            logarithms = np.log10(column.astype("float64"))
            low, high = np.log10(float(each.min)), np.log10(float(each.max))
            at, texts = zip(*series.decades(low, high), strict=True)
            ticks = {"tickvals": at, "ticktext": texts}
            dimensions.append({"label": name, "values": logarithms, "range": [low, high], **ticks})
        else:
            bounds = [float(each.min), float(each.max)]
            values = column.astype("float64")
            dimensions.append({"label": name, "values": values, "range": bounds})
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
    figure.update_layout(height=80 + 28 * len(names))
    figure.update_xaxes(title="share of the explained variation", tickformat=".0%")
    figure.update_yaxes(ticksuffix="  ")
    return styled(figure)


def waves(plan: CampaignPlan, table: pd.DataFrame, names: list[str]) -> Any:
    """Draw where the jobs of each wave searched, and each wave's best trial."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    ranges = plan.campaign.template_request.hyperparameter_ranges
    numeric = [n for n in names if not isinstance(ranges[n], CategoricalRange)][:SLICES]
    if not numeric:
        return None
    columns = min(3, len(numeric))
    rows = -(-len(numeric) // columns)
    figure = make_subplots(rows=rows, cols=columns, subplot_titles=numeric)
    exploring = {job.number for job in plan.jobs if job.explores and job.wave > 1}
    narrowed = table[~table["job"].isin(exploring)]
    for index, name in enumerate(numeric):
        row, column = index // columns + 1, index % columns + 1
        tried = narrowed.groupby("wave")[SEARCHED + name].agg(["min", "max"]).astype("float64")
        low, high = tried["min"], tried["max"]
        figure.add_trace(
            go.Bar(
                x=tried.index, base=low, y=high - low, showlegend=False,
                marker={"color": BLUE, "opacity": 0.35},
            ),
            row=row, col=column,
        )  # fmt: skip
        best = table[table["usable"]].sort_values("rank").groupby("wave").head(1)
        figure.add_trace(
            go.Scatter(
                x=best["wave"], y=best[SEARCHED + name].astype("float64"), mode="markers",
                marker={"color": ORANGE, "symbol": "diamond", "size": 9}, showlegend=False,
            ),
            row=row, col=column,
        )  # fmt: skip
        each = ranges[name]
        if not isinstance(each, CategoricalRange) and scaling(each) == "Logarithmic":
            figure.update_yaxes(type="log", dtick=1, row=row, col=column)
        figure.update_xaxes(dtick=1, title="wave" if row == rows else "", row=row, col=column)
    figure.update_layout(height=250 * rows + 60)
    return styled(figure)


def parallelism(plan: CampaignPlan, table: pd.DataFrame) -> Any:
    """Draw the number of trials at once over time, and the allowed maximum."""
    import plotly.graph_objects as go

    found = series.parallelism(table)
    step = max(1, len(found) // SHOWN)
    shown = found.iloc[::step]
    figure = go.Figure(
        go.Scatter(
            x=_small(shown["hours"]), y=shown["at_once"], mode="lines", fill="tozeroy",
            line={"shape": "hv", "color": BLUE, "width": 1}, name="trials at once",
        )
    )  # fmt: skip
    figure.add_hline(y=plan.slots, line={"color": ORANGE, "dash": "dash"})
    figure.update_yaxes(range=[0, plan.slots * 1.08])
    return _titled(figure, "hours since the start", "trials at once")


def _sample(table: pd.DataFrame) -> pd.DataFrame:
    if len(table) <= SHOWN:
        return table
    best = table.nsmallest(SHOWN // 10, "rank")
    rest = table.drop(best.index).sample(SHOWN - len(best), random_state=0)
    return table.loc[best.index.union(rest.index)]


def _small(column: Any) -> Any:
    """Halve the size; the digits are too small to see."""
    return column.astype("float32").to_numpy()


def _shown_range(plan: CampaignPlan, objective: pd.Series[Any]) -> list[float]:
    low, high = series.focus(objective, maximize=plan.campaign.maximize)
    room = 0.04 * ((high - low) or 1.0)
    return [low - room, high + room]


def _titled(figure: Any, x: str, y: str) -> Any:
    figure.update_xaxes(title=x)
    figure.update_yaxes(title=y)
    return styled(figure)


def styled(figure: Any, margin: dict[str, int] | None = None) -> Any:
    """Return the figure in the style of the page."""
    figure.update_layout(
        template="plotly_white",
        # Readable on the light and on the dark page.
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#7b8494"},
        margin=margin or {"l": 60, "r": 20, "t": 40, "b": 50},
        legend={"orientation": "h", "y": 1.1},
        hoverlabel={"namelength": -1},
    )
    return figure
