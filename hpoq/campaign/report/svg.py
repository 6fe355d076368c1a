"""Static pictures of a campaign, for places that run no scripts, such as notebooks on GitHub."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.report import series
from hpoq.campaign.report.axes import axis_of, time_unit
from hpoq.campaign.report.figures import BLUE
from hpoq.campaign.results.table import SEARCHED

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 760  # pixels, as all lengths here
PANEL_HEIGHT = 210
COLUMNS = 3
LEFT, RIGHT, TOP, BOTTOM = 56, 22, 30, 46  # margins of a plot
TICKS = 4
FIRST_WAVE, LAST_WAVE = (147, 197, 253), (30, 58, 138)  # red, green, blue


@dataclass(frozen=True)
class Axis:
    """A mapping of values to pixels."""

    low: float
    high: float
    start: float
    end: float
    labels: tuple[tuple[float, str], ...]

    def at(self, value: float) -> float:
        """Return the position of a value in pixels; values outside lie on the edge."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


def best_so_far(plan: CampaignPlan, table: pd.DataFrame) -> str:
    """Draw each usable trial as a dot and the best so far as a line, over time."""
    found = series.best_so_far(table, plan.campaign)
    unit, of_an_hour = time_unit(float(found["hours"].max()))
    times = found["hours"] / of_an_hour
    x = _linear(0.0, float(times.max()), LEFT, WIDTH - RIGHT)
    y = _objective_axis(plan, table, TOP, TOP + PANEL_HEIGHT)
    dots = _dots(zip(times, found["objective"], found["wave"], strict=True), x, y, plan.waves)
    stairs = [f"M{x.at(times.iloc[0]):.1f} {y.at(found['so_far'].iloc[0]):.1f}"]
    steps = found["so_far"].diff().fillna(0.0) != 0
    for time, value in zip(times[steps], found["so_far"][steps], strict=True):
        stairs.append(f"H{x.at(time):.1f}V{y.at(value):.1f}")
    line = f'<path d="{"".join(stairs)}H{x.end:.1f}" fill="none" stroke="{BLUE}" stroke-width="2"/>'
    title = f"{plan.campaign.metric}: trials and the best so far"
    drawing = _frame(x, y, title, f"{unit} since the start")
    return _picture(TOP + PANEL_HEIGHT + BOTTOM, drawing + dots + line)


def slices(plan: CampaignPlan, table: pd.DataFrame) -> str:
    """Draw the objective against each hyperparameter; later waves are darker."""
    usable = table[table["usable"]]
    names = series.searched(plan)
    columns = min(COLUMNS, len(names))
    width, height = WIDTH / columns, TOP + PANEL_HEIGHT + BOTTOM
    parts = []
    for index, name in enumerate(names):
        left, top = index % columns * width, index // columns * height
        x, values = _searched_axis(plan, name, usable[SEARCHED + name], left, left + width)
        y = _objective_axis(plan, table, top + TOP, top + TOP + PANEL_HEIGHT)
        points = zip(values, usable["objective"], usable["wave"], strict=True)
        parts.append(_frame(x, y, plan.campaign.metric if index == 0 else "", name))
        parts.append(_dots(points, x, y, plan.waves))
    return _picture(-(-len(names) // columns) * height, "".join(parts))


def lines(table: pd.DataFrame, title: str, below: str, *, zero: bool = True) -> str:
    """Draw a line for each column over the numeric index.

    Args:
        table: at least two rows.
        title: title above the picture.
        below: label of the index.
        zero: whether the axis of the values begins at zero.
    """
    x = _linear(float(table.index.min()), float(table.index.max()), LEFT, WIDTH - RIGHT)
    least = 0.0 if zero else float(table.to_numpy().min())
    y = _linear(least, float(table.to_numpy().max()), TOP + PANEL_HEIGHT, TOP)
    parts, at = [_frame(x, y, title, below)], WIDTH - RIGHT
    for number, (name, column) in reversed(list(enumerate(table.items(), 1))):
        color = _shade(number, len(table.columns))
        points = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in column.items())
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        label = f'<text x="{at}" y="{TOP - 12}" text-anchor="end" font-weight="600"'
        parts.append(f'{label} fill="{color}">{escape(str(name))}</text>')
        at -= 8 * len(str(name)) + 16
    return _picture(TOP + PANEL_HEIGHT + BOTTOM, "".join(parts))


def _objective_axis(plan: CampaignPlan, table: pd.DataFrame, top: float, bottom: float) -> Axis:
    low, high = series.focus(table["objective"][table["usable"]], maximize=plan.campaign.maximize)
    return _linear(low, high, bottom, top)


def _searched_axis(
    plan: CampaignPlan, name: str, column: pd.Series[Any], left: float, right: float
) -> tuple[Axis, Iterable[float]]:
    """Return the axis of a hyperparameter, and the column as positions on it."""
    start, end = left + LEFT, right - RIGHT
    axis = axis_of(plan.campaign.template_request.hyperparameter_ranges[name])
    values = axis.at(column)
    if axis.ticks is None:
        return _linear(axis.low, axis.high, start, end), values
    labels = tuple((at, text[:12]) for at, text in axis.ticks)
    return Axis(axis.low, axis.high, start, end, labels), values


def _linear(low: float, high: float, start: float, end: float) -> Axis:
    """Return an axis with labels at round numbers."""
    span = (high - low) or abs(low) or 1.0
    power = 10.0 ** math.floor(math.log10(span / TICKS))
    step = next(step * power for step in (1, 2, 5, 10) if span / (step * power) <= TICKS)
    digits = max(0, -math.floor(math.log10(step)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = [number * step for number in range(first, last + 1)]
    return Axis(low, high, start, end, tuple((tick, f"{tick:.{digits}f}") for tick in ticks))


def _shade(wave: int, waves: int) -> str:
    """Return the color of a wave; later waves are darker."""
    share = (wave - 1) / (waves - 1) if waves > 1 else 0.5
    mixed = (round(a + share * (b - a)) for a, b in zip(FIRST_WAVE, LAST_WAVE, strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _dots(points: Iterable[tuple[float, float, int]], x: Axis, y: Axis, waves: int) -> str:
    return "".join(
        f'<circle cx="{x.at(across):.1f}" cy="{y.at(up):.1f}" r="2.5" '
        f'fill="{_shade(wave, waves)}"/>'
        for across, up, wave in points
    )


def _frame(x: Axis, y: Axis, title: str, below: str) -> str:
    """Draw both axes, their labels and a grid."""
    lines = [f'<text x="{x.start}" y="{y.end - 12}" font-weight="600">{escape(title)}</text>']
    for value, label in y.labels:
        at = y.at(value)
        lines.append(f'<path d="M{x.start} {at:.1f}H{x.end}" stroke="#e5e7eb"/>')
        lines.append(_label(x.start - 6, at + 4, label, "end"))
    lines += [_label(x.at(value), y.start + 16, label) for value, label in x.labels]
    lines.append(f'<path d="M{x.start} {y.start}H{x.end}" stroke="#9ca3af"/>')
    lines.append(_label((x.start + x.end) / 2, y.start + 36, below))
    return "".join(lines)


def _label(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _picture(height: float, content: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'font-family="system-ui, sans-serif" font-size="11" fill="#374151">'
        f'<rect width="100%" height="100%" fill="white"/>{content}</svg>'
    )
