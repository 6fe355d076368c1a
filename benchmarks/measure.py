"""One measured value against its goal."""

from __future__ import annotations

import json
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
    goal: str  # in words, e.g. "<= 1.04"; empty for a value that is only shown beside another
    holds: bool | None  # None where there is no goal


def at_most(benchmark: str, measure: str, value: float, goal: float, unit: str = "") -> Measure:
    """A measure that holds when it is no more than its goal."""
    return Measure(
        benchmark=benchmark, measure=measure, value=value, unit=unit,
        goal=f"<= {goal:g}", holds=value <= goal,
    )  # fmt: skip


def at_least(benchmark: str, measure: str, value: float, goal: float, unit: str = "") -> Measure:
    """A measure that holds when it is no less than its goal."""
    return Measure(
        benchmark=benchmark, measure=measure, value=value, unit=unit,
        goal=f">= {goal:g}", holds=value >= goal,
    )  # fmt: skip


def shown(benchmark: str, measure: str, value: float, unit: str = "") -> Measure:
    """A value without a goal, to compare with."""
    return Measure(
        benchmark=benchmark, measure=measure, value=value, unit=unit, goal="", holds=None
    )


def print_table(measures: Iterable[Measure], console: Console | None = None) -> None:
    """Value against goal, one line each."""
    table = Table(box=None, pad_edge=False)
    for name in ("benchmark", "measure", "value", "goal", ""):
        table.add_column(name, justify="right" if name == "value" else "left")
    marks = {True: "[green]holds[/]", False: "[red]missed[/]", None: ""}
    for each in measures:
        value = f"{each.value:.4g} {each.unit}".rstrip()
        table.add_row(each.benchmark, each.measure, value, each.goal, marks[each.holds])
    (console or Console(width=140)).print(table)


def said(measure: Measure) -> str:
    """One line."""
    verdict = {True: ", holds", False: ", MISSED", None: ""}[measure.holds]
    goal = f"  (goal {measure.goal}{verdict})" if measure.goal else ""
    return f"{measure.measure}: {measure.value:.4g} {measure.unit}".rstrip() + goal


def update_results(measures: Sequence[Measure], path: Path) -> None:
    """Replace what the file says of the measured benchmarks; a JSON list of objects."""
    anew = {each.benchmark for each in measures}
    there = json.loads(path.read_text()) if path.exists() else []
    kept = [each for each in there if each["benchmark"] not in anew]
    all_of_them = kept + [asdict(each) for each in measures]
    all_of_them.sort(key=lambda each: each["benchmark"])
    path.write_text(json.dumps(all_of_them, indent=1) + "\n")
