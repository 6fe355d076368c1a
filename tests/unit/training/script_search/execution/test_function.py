"""A trial as a call of a function: what the function sees, and how it ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from credit_default.container import TrainingFailed
from script_search.execution.function import ImportedScript, TrialStopped

SCRIPT = """
import os, sys
from pathlib import Path
calls = []

def main(argv):
    calls.append(argv)
    print("auc=0.5", "calls", len(calls))
    print("folder", os.environ["SM_MODEL_DIR"], Path.cwd().name, "arguments", *sys.argv[1:])
    sys.stdout.write("last=1")

def without():
    print("arguments", *sys.argv[1:])

def fails():
    print("auc=0.9")
    raise ValueError("too hot\\nand more")

def exits():
    sys.exit(3)

def succeeds():
    sys.exit(0)

def endless():
    try:
        while True:
            print("auc=0.1")
    except Exception:
        print("scripts catch exceptions")

CONSTANT = 3
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "own-script.py"
    file.write_text(SCRIPT)
    return file


def call(script: ImportedScript, tmp_path: Path, stop_after: int = 99) -> tuple[str, list[str]]:
    """Return why the function failed, and the lines that it printed."""
    lines: list[str] = []

    def read(line: str) -> bool:
        lines.append(line)
        return len(lines) < stop_after

    arguments, variables = ["--lr", "0.1"], {"SM_MODEL_DIR": "m"}
    return script.call(arguments, variables, tmp_path, read), lines


def test_a_function_gets_arguments_variables_and_folder_and_keeps_the_module(
    path: Path, tmp_path: Path
) -> None:
    before = list(sys.argv), Path.cwd(), os.environ.get("SM_MODEL_DIR")
    script = ImportedScript(path, "main")
    for n in (1, 2):
        failure, lines = call(script, tmp_path)
        assert failure == ""
        assert lines == [
            f"auc=0.5 calls {n}", f"folder m {tmp_path.name} arguments --lr 0.1", "last=1",
        ]  # fmt: skip
    assert (list(sys.argv), Path.cwd(), os.environ.get("SM_MODEL_DIR")) == before


def test_a_function_without_parameters_reads_the_command_line(path: Path, tmp_path: Path) -> None:
    assert call(ImportedScript(path, "without"), tmp_path) == ("", ["arguments --lr 0.1"])


@pytest.mark.parametrize(
    ("name", "failure"),
    [("fails", "ValueError: too hot"), ("exits", "exit status 3"), ("succeeds", "")],
)
def test_a_failure_is_one_line(name: str, failure: str, path: Path, tmp_path: Path) -> None:
    assert call(ImportedScript(path, name), tmp_path)[0] == failure


def test_a_function_that_prints_can_be_stopped(path: Path, tmp_path: Path) -> None:
    with pytest.raises(TrialStopped):
        call(ImportedScript(path, "endless"), tmp_path, stop_after=3)
    assert sys.stdout.writable(), "the process has its own stdout again"


@pytest.mark.parametrize("name", ["missing", "CONSTANT"])
def test_a_script_without_the_function_is_one_line(name: str, path: Path) -> None:
    with pytest.raises(TrainingFailed, match=f"--function {name}: own-script.py has no such"):
        ImportedScript(path, name)
