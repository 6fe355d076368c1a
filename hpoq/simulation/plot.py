"""The plot of a simulation over time, as one HTML page that needs no network."""

from __future__ import annotations

from pathlib import Path

from hpoq.errors import NotInstalled
from hpoq.simulation.result import SimulationResult

MAX_POINTS = 2000


def plot(result: SimulationResult, path: Path) -> None:
    """Write a plot of running tuning jobs, stacked by team under the limit, and queued requests."""
    try:
        from plotly.graph_objects import Scatter
        from plotly.subplots import make_subplots
    except ImportError:
        raise NotInstalled("plots need plotly. Run: pip install 'hpoq[campaign]'") from None
    step = -(-len(result.moments) // MAX_POINTS) or 1
    moments = result.moments[::step]
    hours = [moment.hours for moment in moments]
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, subplot_titles=("running tuning jobs", "queued requests")
    )
    for team in result.waits:
        running = [moment.running.get(team, 0) for moment in moments]
        queued = [moment.queued.get(team, 0) for moment in moments]
        lines = {"x": hours, "name": team, "legendgroup": team, "line_shape": "hv"}
        figure.add_trace(Scatter(y=running, stackgroup="running", **lines), row=1, col=1)
        figure.add_trace(Scatter(y=queued, showlegend=False, **lines), row=2, col=1)
    figure.add_hline(y=result.slots, line_dash="dot", row=1, col=1)
    figure.update_xaxes(title_text="hours", row=2, col=1)
    title = f"{result.workload}: {result.requests} requests, {result.utilization:.1%} of slots used"
    figure.update_layout(title=title)
    figure.write_html(path, include_plotlyjs=True)
