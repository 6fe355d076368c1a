"""Tests of the benchmarks' command line and of the comparison with goals."""

from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path

import pytest

import benchmarks
from benchmarks.__main__ import main
from benchmarks.measure import at_least, at_most, describe, machine, shown, update_results

NAMES = [each.name for each in pkgutil.iter_modules(benchmarks.__path__) if each.name[0] != "_"]


@pytest.mark.parametrize("name", NAMES)
def test_every_module_can_be_imported(name: str) -> None:
    importlib.import_module(f"benchmarks.{name}")


def test_help_lists_the_benchmarks(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    listed = capsys.readouterr().out.splitlines()[-1].removeprefix("benchmarks: ").split(", ")
    assert {"admission", "cold_start", "training"} <= set(listed) <= set(NAMES)


def test_an_unknown_benchmark_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["no_such_benchmark"])
    assert ended.value.code == 2
    assert "unknown benchmark no_such_benchmark" in capsys.readouterr().err


def test_a_measure_is_described_with_its_goal_and_its_ratio_to_the_goal() -> None:
    assert describe(at_most("b", "time", 3.0, 2.0, "s")) == (
        "time: 3 s  (goal <= 2, ratio 1.50, MISSED)"
    )
    assert describe(at_least("b", "share", 0.99, 0.9)) == (
        "share: 0.99  (goal >= 0.9, ratio 1.10, holds)"
    )
    assert describe(at_most("b", "lost", 0, 0)) == "lost: 0  (goal <= 0, holds)"
    assert describe(shown("b", "time", 3.0, "s")) == "time: 3 s"


def test_results_replace_those_of_the_same_benchmark_and_name_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    update_results([shown("b", "before", 1.0), shown("a", "other", 1.0)], path)
    update_results([shown("b", "after", 2.0)], path)
    entries = json.loads(path.read_text())
    assert [(each["benchmark"], each["measure"]) for each in entries] == [
        ("a", "other"),
        ("b", "after"),
    ]
    assert {each["machine"] for each in entries} == {machine()}
    assert " cores" in machine()
