"""The record of a search: one line of JSON per ended trial, which a killed search resumes from."""

import json
import math
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

FILE = "trials.jsonl"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A trial that has ended.

    Attributes:
        number: from 1; each number ends once.
        hyperparameters: the searched ones, as passed to the script.
        status: Completed, Stopped (early) or Failed, as SageMaker spells it.
        objective: the last value of the objective; None if the script printed none, or one that is
            not finite.
        metrics: the last finite value of each metric.
        started: seconds since the epoch.
        ended: seconds since the epoch.
        steps: how often the script printed the objective.
        reason: why the trial failed or has no objective.
    """

    number: int
    hyperparameters: dict[str, str]
    status: str
    objective: float | None
    started: float
    ended: float
    steps: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""


class Record:
    """The rows of a search in a file.

    Args:
        file: created with the first row.
        identity: what the rows depend on; a file of another identity is replaced.
    """

    def __init__(self, file: Path, identity: str) -> None:
        self._file, self._identity = file, identity
        self.rows, whole = self._read()
        if not self.rows:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"identity": identity}) + "\n")
        elif not whole:  # the last line was cut: write the others again
            self._rewrite()

    def add(self, row: Row) -> None:
        """Append a row, so that a search that is killed now has it."""
        self.rows[row.number] = row
        with self._file.open("a") as file:
            file.write(_line(row))
            file.flush()
            os.fsync(file.fileno())

    def _read(self) -> tuple[dict[int, Row], bool]:
        try:
            text = self._file.read_text(errors="replace")
        except FileNotFoundError:
            return {}, True
        documents = [_document(line) for line in text.splitlines()]
        if not documents or documents[0].get("identity") != self._identity:
            return {}, True
        rows = {row.number: row for row in map(_row, documents[1:]) if row is not None}
        return rows, text.endswith("\n") and len(rows) == len(documents) - 1

    def _rewrite(self) -> None:
        written = json.dumps({"identity": self._identity}) + "\n"
        written += "".join(map(_line, self.rows.values()))
        temporary = self._file.with_name(f"{self._file.name}.tmp")
        temporary.write_text(written)
        temporary.replace(self._file)


def _line(row: Row) -> str:
    return json.dumps(asdict(row), separators=(",", ":"), allow_nan=False) + "\n"


def _document(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _row(document: dict[str, Any]) -> Row | None:
    try:
        return Row(**{each.name: document[each.name] for each in fields(Row)})
    except KeyError:
        return None


def best_of(rows: dict[int, Row], *, maximize: bool) -> Row | None:
    """Return the trial with the best objective; None if no trial has one."""
    usable = [(row.objective, row) for row in rows.values() if row.objective is not None]
    if not usable:
        return None
    chosen = max if maximize else min
    return chosen(usable, key=lambda pair: (pair[0], math.inf))[1]
