"""What a simulation came to over its hours, as one page that needs no network."""

from __future__ import annotations

from pathlib import Path

from hpoq.errors import NotInstalled
from hpoq.simulation.simulate import Report

MOST_POINTS = 2000


def plot(report: Report, path: Path) -> None:
    """Tuning jobs that run, stacked by team under the limit, and requests that wait."""
    try:
        from plotly.graph_objects import Scatter
        from plotly.subplots import make_subplots
    except ImportError:
        raise NotInstalled("plots need plotly: pip install 'hpoq[campaign]'") from None
    step = -(-len(report.course) // MOST_POINTS) or 1
    course = report.course[::step]
    hours = [moment.hours for moment in course]
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, subplot_titles=("running tuning jobs", "queued requests")
    )
    for team in report.waits:
        running = [moment.running.get(team, 0) for moment in course]
        queued = [moment.queued.get(team, 0) for moment in course]
        lines = {"x": hours, "name": team, "legendgroup": team, "line_shape": "hv"}
        figure.add_trace(Scatter(y=running, stackgroup="running", **lines), row=1, col=1)
        figure.add_trace(Scatter(y=queued, showlegend=False, **lines), row=2, col=1)
    figure.add_hline(y=report.slots, line_dash="dot", row=1, col=1)
    figure.update_xaxes(title_text="hours", row=2, col=1)
    title = f"{report.workload}: {report.requests} requests, slots {report.utilisation:.1%} used"
    figure.update_layout(title=title)
    figure.write_html(path, include_plotlyjs=True)
