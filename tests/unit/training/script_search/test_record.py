"""Tests of the record of trials: a killed search has every trial that has ended, once."""

from __future__ import annotations

from pathlib import Path

from script_search.record import Record, Row, best_of


def row(number: int, objective: float | None = 0.5) -> Row:
    return Row(
        number=number, hyperparameters={"lr": "0.1"}, status="Completed", objective=objective,
        started=1.0, ended=2.0,
    )  # fmt: skip


def test_a_record_of_the_same_search_is_continued(tmp_path: Path) -> None:
    file = tmp_path / "state" / "trials.jsonl"
    first = Record(file, "one")
    first.add(row(1))
    first.add(row(3))
    assert Record(file, "one").rows == {1: row(1), 3: row(3)}


def test_a_record_of_another_search_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    Record(file, "one").add(row(1))
    other = Record(file, "other")
    assert other.rows == {}
    other.add(row(2))
    assert Record(file, "other").rows == {2: row(2)}


def test_a_cut_line_is_dropped_and_its_trial_runs_again(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    record = Record(file, "one")
    for number in (1, 2):
        record.add(row(number))
    for cut in range(1, len(file.read_bytes().splitlines()[-1])):
        whole = file.read_bytes()
        file.write_bytes(whole[:-cut])
        again = Record(file, "one")
        if cut == 1:  # only the line break is missing
            assert set(again.rows) == {1, 2}
        else:
            assert set(again.rows) == {1}
            again.add(row(2))
        assert set(Record(file, "one").rows) == {1, 2}
        assert file.read_bytes() == whole


def test_the_best_trial_is_the_one_with_the_best_objective() -> None:
    rows = {1: row(1, 0.2), 2: row(2, None), 3: row(3, 0.9)}
    best, least = best_of(rows, maximize=True), best_of(rows, maximize=False)
    assert (best, least) == (rows[3], rows[1])
    assert best_of({2: rows[2]}, maximize=True) is None
