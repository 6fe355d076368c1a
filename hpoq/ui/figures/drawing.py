"""The figures of a tuning job: Optuna's figures and the objective over time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any

import optuna
import plotly.graph_objects as go
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import (
    plot_parallel_coordinate,
    plot_param_importances,
    plot_slice,
    plot_timeline,
)
from plotly.colors import sample_colorscale

from hpo_dispatcher.contract.entry import Entry
from hpoq.results.measured import Series, series
from hpoq.ui.descriptions import Record, at_target
from hpoq.ui.figures.study import METRIC, studies

BLUE, GREY = "#2563eb", "#6b7280"
# From poor or early to good or late; both ends can be seen on white and on black.
SCALE = [[0, "#9aa3af"], [1, BLUE]]
STATES = {"COMPLETE": BLUE, "FAIL": "#dc2626", "RUNNING": "#f59e0b"}
WORDS = {"COMPLETE": "with objective", "FAIL": "without objective", "RUNNING": "running"}
# Fewer trials do not show which hyperparameters matter.
FEWEST = 4
# The parallel coordinates show this number of best trials; more are unreadable and slow.
LINES = 200
FEW = 60  # points that are drawn as markers
CLOSEST = 0.07  # share of an axis between a label and those at its ends


def of_study(study: optuna.Study) -> dict[str, Any]:
    """Make the figures of a study by name, as plotly's JSON, without empty ones."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    metric = str(study.user_attrs[METRIC])
    made: dict[str, go.Figure] = {}
    if done:
        made["objective"] = over_time(study, done, metric)
    if len(done) >= 2 and done[0].params:
        made["parallel"] = _parallel(study, done, metric)
        made["slices"] = _slices(study, metric)
    if len(done) >= FEWEST and _differ(done):
        made["importances"] = _importances(study, metric)
    if study.get_trials(deepcopy=False):
        made["timeline"] = _timeline(study)
    return {name: as_json(figure) for name, figure in made.items()}


def over_time(study: optuna.Study, done: Sequence[FrozenTrial], metric: str) -> go.Figure:
    """Draw each training job as a dot at its end, and the best so far as a line."""
    ended = sorted((t for t in done if t.datetime_complete), key=_end)
    points = [
        (trial.datetime_complete, _objective(trial), trial.user_attrs["training job"],
         _hover(trial, metric))
        for trial in ended
    ]  # fmt: skip
    return _best_so_far(points, "training job", metric, maximize=_maximizes(study))


def of_campaign(entries: Sequence[Entry], minimizes: bool) -> dict[str, dict[str, Any]]:
    """Make the figures of a campaign: the best objective of each tuning job when it ended."""
    ended = sorted(
        (entry for entry in entries if entry.best and entry.ended_at),
        key=lambda entry: entry.ended_at or entry.accepted_at,
    )
    points = [
        (entry.ended_at.astimezone().replace(tzinfo=None), entry.best.objective,
         entry.best.name + at_target(entry.target),
         _lines([f"{entry.best.metric} {entry.best.objective:.6g}", entry.request_id]))
        for entry in ended if entry.best and entry.ended_at
    ]  # fmt: skip
    if not points:
        return {}
    metric = next(entry.best.metric for entry in ended if entry.best)
    drawn = _best_so_far(points, "tuning job", metric, maximize=not minimizes)
    return {"objective": as_json(drawn)}


def _best_so_far(
    points: Sequence[tuple[datetime | None, float, str, str]],
    kind: str,
    metric: str,
    *,
    maximize: bool,
) -> go.Figure:
    """Draw a dot for each point and the best so far as a line.

    Args:
        points: time, value, training job and text of each, in the order of time.
        kind: what a dot is.
        metric: title of the values.
        maximize: whether greater values are better.
    """
    times, values, jobs, texts = zip(*points, strict=True) if points else ((), (), (), ())
    so_far = list(accumulate(values, max if maximize else min))
    figure = go.Figure()
    figure.add_scatter(
        x=times, y=values, mode="markers", name=kind,
        marker={"size": 8, "color": GREY, "opacity": 0.65},
        customdata=jobs, hovertemplate=texts,
    )  # fmt: skip
    figure.add_scatter(
        x=times, y=so_far, mode="lines", name="best so far", hoverinfo="skip",
        line={"shape": "hv", "color": BLUE, "width": 2.5},
    )  # fmt: skip
    figure.update_yaxes(title=metric)
    figure.update_xaxes(title=_time_axis())
    figure.update_layout(legend={"orientation": "h", "y": 1.12, "x": 0}, height=360)
    return figure


def of_tuning_job(job: Record, trials: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """Make the figures of a tuning job by the name of their definition, then by their own name."""
    return {part: of_study(study) for part, study in studies(job, trials).items()}


def of_log(definitions: Iterable[Mapping[str, str]], lines: Sequence[str]) -> dict[str, Any] | None:
    """Draw the metrics in the log of a training job; None if there are none."""
    found = series(definitions, lines)
    return curves(found) if found else None


def curves(found: Series) -> dict[str, Any]:
    """Draw the metrics of one training job."""
    figure = go.Figure()
    for name, (numbers, values) in found.items():
        mode = "lines+markers" if len(values) < FEW else "lines"
        figure.add_scatter(x=list(numbers), y=list(values), mode=mode, name=name)
    figure.update_xaxes(title="in the order printed")
    legend = {"orientation": "h", "y": 1.15, "x": 0}
    figure.update_layout(height=320, showlegend=True, legend=legend)
    return as_json(figure)


def as_json(figure: go.Figure) -> dict[str, Any]:
    """Convert a figure to JSON for plotly.js."""
    figure.update_layout(
        template="plotly_white",
        title=None,
        font={"family": "system-ui, sans-serif", "size": 12},
        margin={"l": 64, "r": 24, "t": 32, "b": 44},
        hoverlabel={"align": "left"},
        uirevision="kept",  # keeps the zoom when the figure is updated
    )
    made: dict[str, Any] = json.loads(figure.to_json())
    return made


def _hover(trial: FrozenTrial, metric: str) -> str:
    lines = [f"{metric} {trial.value:.6g}", str(trial.user_attrs["training job"])]
    lines += [f"{name} {_short(value)}" for name, value in trial.params.items()]
    return _lines(lines)


def _lines(lines: Iterable[str]) -> str:
    """Return lines as the text beside a point."""
    return "<br>".join(map(_plain, lines)) + "<extra></extra>"


def _plain(text: str) -> str:
    """Escape plotly's markup and template syntax."""
    return text.replace("<", "&lt;").replace("%{", "% {")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _parallel(study: optuna.Study, done: Sequence[FrozenTrial], metric: str) -> go.Figure:
    shown = study
    if len(done) > LINES:
        best = sorted(done, key=_objective, reverse=_maximizes(study))
        shown = optuna.create_study(direction=study.direction)
        shown.add_trials(best[:LINES])
    figure = plot_parallel_coordinate(shown, target_name=metric)
    labels = [each for each in figure.layout.annotations if _apart(each.y)]
    for label in labels:
        if "e+0" in label.text:
            label.text = f"{float(label.text):.0f}"
    for line in figure.data:
        if line.mode == "lines":
            share = line.y[0] if _maximizes(study) else 1 - line.y[0]
            (color,) = sample_colorscale(SCALE, [share])
            line.update(line_color=color, opacity=0.75)
        else:
            line.marker.colorscale = SCALE
    figure.update_layout(height=380, annotations=labels)
    return figure


def _apart(height: float) -> bool:
    """Return whether a label on an axis from 0 to 1 does not cover those at its ends."""
    return height in (0, 1) or CLOSEST <= height <= 1 - CLOSEST


def _slices(study: optuna.Study, metric: str) -> go.Figure:
    figure = plot_slice(study, target_name=metric)
    figure.update_traces(marker_colorscale=SCALE)
    figure.update_layout(height=300, width=None)
    return figure


def _importances(study: optuna.Study, metric: str) -> go.Figure:
    figure = plot_param_importances(study, target_name=metric)
    figure.update_traces(marker_color=BLUE)
    figure.update_xaxes(title="share of importance", range=[0, 1])
    figure.update_yaxes(title=None)
    figure.update_layout(height=90 + 34 * len(figure.data[0].y), showlegend=False)
    return figure


def _timeline(study: optuna.Study) -> go.Figure:
    figure = plot_timeline(study)
    for bars in figure.data:
        bars.update(marker_color=STATES.get(bars.name, GREY), name=WORDS.get(bars.name, bars.name))
    figure.update_yaxes(title="training job")
    figure.update_xaxes(title=_time_axis())
    figure.update_layout(
        height=min(600, 140 + 12 * len(study.get_trials(deepcopy=False))),
        legend={"orientation": "h", "y": 1.12, "x": 0},
    )
    return figure


def _time_axis() -> str:
    """Return the title of an axis of times, which are in this machine's zone."""
    return f"time ({datetime.now().astimezone():%Z})"


def _differ(trials: Sequence[FrozenTrial]) -> bool:
    return len({trial.value for trial in trials}) > 1


def _maximizes(study: optuna.Study) -> bool:
    return bool(study.direction == StudyDirection.MAXIMIZE)


def _end(trial: FrozenTrial) -> datetime:
    return trial.datetime_complete or datetime.max


def _objective(trial: FrozenTrial) -> float:
    return float(trial.value or 0.0)  # only called for complete trials
