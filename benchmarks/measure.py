"""A measured value, its goal, and the machine that it was measured on."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A line of ``results.json``."""

    benchmark: str
    measure: str
    value: float
    unit: str
    goal: str  # such as "<= 1.04"; empty for a value that is shown for comparison
    holds: bool | None  # None without a goal
    ratio: float | None = None  # value over goal; None without a goal that is a positive number


def at_most(benchmark: str, measure: str, value: float, goal: float, unit: str = "") -> Measure:
    """Return a measure that holds if it does not exceed its goal."""
    return Measure(
        benchmark=benchmark, measure=measure, value=value, unit=unit,
        goal=f"<= {goal:g}", holds=value <= goal, ratio=value / goal if goal else None,
    )  # fmt: skip


def at_least(benchmark: str, measure: str, value: float, goal: float, unit: str = "") -> Measure:
    """Return a measure that holds if it reaches its goal."""
    return Measure(
        benchmark=benchmark, measure=measure, value=value, unit=unit,
        goal=f">= {goal:g}", holds=value >= goal, ratio=value / goal if goal else None,
    )  # fmt: skip


def shown(benchmark: str, measure: str, value: float, unit: str = "") -> Measure:
    """Return a value without a goal, for comparison."""
    return Measure(
        benchmark=benchmark, measure=measure, value=value, unit=unit, goal="", holds=None
    )


def machine() -> str:
    """Return the name of the CPU and the number of cores that this process may use."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"


def print_table(measures: Iterable[Measure], console: Console | None = None) -> None:
    """Print one line per measure: value, goal and ratio; the title names the CPU."""
    table = Table(box=None, pad_edge=False, title=f"on {machine()}", title_justify="left")
    for name in ("benchmark", "measure", "value", "goal", "ratio", ""):
        table.add_column(name, justify="right" if name in ("value", "ratio") else "left")
    marks = {True: "[green]holds[/]", False: "[red]missed[/]", None: ""}
    for each in measures:
        value = f"{each.value:.4g} {each.unit}".rstrip()
        ratio = "" if each.ratio is None else f"{each.ratio:.2f}"
        table.add_row(
            each.benchmark, each.measure, value, each.goal, ratio, marks[each.holds]
        )  # fmt: skip
    (console or Console(width=140)).print(table)


def describe(measure: Measure) -> str:
    """Return a measure as one line."""
    value = f"{measure.measure}: {measure.value:.4g} {measure.unit}".rstrip()
    if not measure.goal:
        return value
    ratio = "" if measure.ratio is None else f", ratio {measure.ratio:.2f}"
    return f"{value}  (goal {measure.goal}{ratio}, {'holds' if measure.holds else 'MISSED'})"


def update_results(measures: Sequence[Measure], path: Path) -> None:
    """Replace the entries of the measured benchmarks in a JSON list of objects."""
    measured = {each.benchmark for each in measures}
    entries = json.loads(path.read_text()) if path.exists() else []
    entries = [each for each in entries if each["benchmark"] not in measured]
    entries += [{**asdict(each), "machine": machine()} for each in measures]
    entries.sort(key=lambda each: each["benchmark"])
    path.write_text(json.dumps(entries, indent=1) + "\n")
