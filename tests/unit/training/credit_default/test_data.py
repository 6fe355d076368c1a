"""What is read: in shards where it is large, and refused in one line where it is bad."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from credit_default.data import load
from credit_default.features import Features
from credit_default.fit import Fit, Interrupted
from credit_default.hyperparameters import Hyperparameters
from credit_default.schema import COLUMNS, FEATURES, TARGET, DataError
from credit_default.sources import Source, synthesise, write_csv
from prepare_data import Split, main, prepare
from tests.support.training_scripts import ROOT

ENTRY_POINTS = ("train_cpu", "train", "train_ray_cpu", "train_ray")
GOOD = ["1"] * len(FEATURES)


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of 200 rows at most."""
    out = tmp_path_factory.mktemp("sharded")
    write_csv(out / "rows.csv", synthesise(2_000, np.random.default_rng(1)))
    prepare(Source(out / "rows.csv"), out, Split(shard_rows=200))
    return out


def table(path: Path, *rows: list[str], columns: tuple[str, ...] = COLUMNS) -> Path:
    lines = [",".join(columns), *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_large_part_is_streamed_and_trains_as_one_in_memory_is_read(sharded: Path) -> None:
    streamed, held = load(sharded / "train", memory_rows=300), load(sharded / "train")
    assert len(streamed.sizes) == 7
    assert all(isinstance(shard, Path) for shard in streamed.shards), "nothing is held"
    assert max(streamed.sizes) <= 200
    assert streamed.rows == held.rows == 1_280
    together = torch.cat([rows.raw for rows in streamed])
    assert torch.equal(together, next(iter(held)).raw)
    for ours, theirs in zip(
        Features().fit(streamed).buffers(), Features().fit(held).buffers(), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_a_streamed_run_that_is_cut_short_within_a_shard_ends_as_an_undisturbed_one(
    sharded: Path,
) -> None:
    chosen = Hyperparameters(epochs=2, batch_size=50, hidden=(8,))
    train, validation = load(sharded / "train", memory_rows=300), load(sharded / "validation")
    whole = list(Fit(chosen, train, validation).epochs())
    steps = iter([False] * 9 + [True])
    cut = Fit(chosen, train, validation, interrupted=lambda: next(steps))
    with pytest.raises(Interrupted):
        list(cut.epochs())
    resumed = Fit(chosen, train, validation)
    resumed.load_state_dict(cut.state_dict())
    assert resumed.step == 9
    assert list(resumed.epochs()) == whole


@pytest.mark.parametrize(
    ("rows", "columns", "said"),
    [
        ([GOOD], FEATURES, f"column {TARGET}, row 1: is missing"),
        ([GOOD], (*COLUMNS[1:],), "column LIMIT_BAL, row 1: is missing"),
        ([[*GOOD, "1"], [*GOOD[:-1], "much", "0"]], COLUMNS, "column PAY_AMT6, row 3: 'much' is"),
        ([["", *GOOD]], COLUMNS, "column LIMIT_BAL, row 2: is empty"),
        ([[*GOOD, "1"], ["1", "nan", *GOOD[1:]]], COLUMNS, "column SEX, row 3: nan is not a"),
        ([["inf", *GOOD]], COLUMNS, "column LIMIT_BAL, row 2: inf is not a finite"),
        ([[*GOOD, "2"]], COLUMNS, f"column {TARGET}, row 2: 2 is neither 0 nor 1"),
        ([GOOD], COLUMNS, f"column {TARGET}, row 2: the row ends before it"),
        ([[*GOOD, "0"]] * 9, COLUMNS, f"column {TARGET}: 0 of 9 rows have class 1"),
        ([], COLUMNS, f"column {TARGET}: 0 of 0 rows have class 1"),
    ],
)
def test_a_table_that_cannot_be_split_is_one_line_that_names_the_place(
    rows: list[list[str]],
    columns: tuple[str, ...],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = table(tmp_path / "bad.csv", *rows, columns=columns)
    with pytest.raises(SystemExit) as ended:
        main(["--data", str(bad), "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {bad}, {said}")
    assert not (tmp_path / "out").exists()


def excel(path: Path, *rows: list[str | float]) -> Path:
    """The one sheet of an .xls, in the oldest form of it (Excel 2.0), which is the shortest."""

    def record(kind: int, content: bytes) -> bytes:
        return struct.pack("<HH", kind, len(content)) + content

    def cell(row: int, column: int, value: str | float) -> bytes:
        place = struct.pack("<HH3x", row, column)
        if isinstance(value, str):
            return record(4, place + bytes([len(value)]) + value.encode())
        return record(3, place + struct.pack("<d", value))

    cells = [cell(n, m, value) for n, row in enumerate(rows) for m, value in enumerate(row)]
    path.write_bytes(record(9, struct.pack("<HH", 2, 0x10)) + b"".join(cells) + record(10, b""))
    return path


# As UCI has them: numbered names above the names proper, and an ID before the features.
UCI_HEADER: list[list[str | float]] = [
    ["", *(f"X{number}" for number in range(1, 24)), "Y"],
    ["ID", *FEATURES, "default payment next month"],
]


def test_ucis_excel_file_is_split_as_the_same_rows_in_a_csv_are(tmp_path: Path) -> None:
    rows = synthesise(200, np.random.default_rng(1))
    write_csv(tmp_path / "rows.csv", rows)
    written = [line.split(",") for line in (tmp_path / "rows.csv").read_text().split()]
    places = [written[0].index(name) for name in COLUMNS]
    numbered = [[n, *(float(row[at]) for at in places)] for n, row in enumerate(written[1:])]
    excel(tmp_path / "rows.xls", *UCI_HEADER, *numbered)
    for kind in ("csv", "xls"):
        prepare(Source(tmp_path / f"rows.{kind}"), tmp_path / kind, Split())
    for part in ("train", "validation", "test"):
        (ours,), (theirs,) = load(tmp_path / "xls" / part), load(tmp_path / "csv" / part)
        assert torch.equal(ours.raw, theirs.raw)
        assert torch.equal(ours.target, theirs.target)


def test_an_excel_file_that_cannot_be_read_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wordy = [0.0, *([1.0] * 22), "much", 1.0]
    bad = excel(tmp_path / "wordy.xls", *UCI_HEADER, wordy)
    other = tmp_path / "other.xls"
    other.write_text("no Excel file")
    for file, said in ((bad, "column PAY_AMT6, row 3: 'much' is not a number"), (other, "read")):
        with pytest.raises(SystemExit) as ended:
            main(["--data", str(file), "--out", str(tmp_path / "out")])
        assert ended.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {file}")
        assert said in line


def without(columns: dict[str, np.ndarray]) -> None:  # type: ignore[type-arg]
    del columns["AGE"]


def wordy(columns: dict[str, np.ndarray]) -> None:  # type: ignore[type-arg]
    columns["AGE"] = np.array(["old"] * 4)


def broken(columns: dict[str, np.ndarray]) -> None:  # type: ignore[type-arg]
    columns["AGE"][2] = np.nan


def one_sided(columns: dict[str, np.ndarray]) -> None:  # type: ignore[type-arg]
    columns[TARGET][:] = 1


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without, "part.npz, column AGE: is missing"),
        (wordy, "part.npz, column AGE: is <U3 (4,), not 4 numbers"),
        (broken, "part.npz, column AGE, row 2: is not a finite number"),
        (one_sided, f"train, column {TARGET}: all 4 rows are of one class"),
    ],
)
def test_a_part_that_cannot_be_trained_on_names_the_place(
    spoil: Callable[[dict[str, np.ndarray]], None],  # type: ignore[type-arg]
    said: str,
    tmp_path: Path,
) -> None:
    columns = {name: np.array([0.0, 1.0, 0.0, 1.0]) for name in COLUMNS}
    spoil(columns)
    (tmp_path / "train").mkdir()
    np.savez(tmp_path / "train" / "part.npz", **columns)  # type: ignore[arg-type]
    with pytest.raises(DataError) as raised:
        load(tmp_path / "train")
    assert str(raised.value).endswith(said)


def test_upsampling_balances_the_training_part_alone(tmp_path: Path) -> None:
    write_csv(tmp_path / "rows.csv", synthesise(500, np.random.default_rng(2)))
    parts = prepare(Source(tmp_path / "rows.csv"), tmp_path, Split(upsample=True))["parts"]
    assert parts["train"]["positives"] * 2 == parts["train"]["rows"]
    for name in ("validation", "test"):
        assert parts[name]["positives"] / parts[name]["rows"] < 0.4


def test_the_same_rows_and_seed_are_split_alike_to_the_byte(tmp_path: Path) -> None:
    write_csv(tmp_path / "rows.csv", synthesise(500, np.random.default_rng(2)))
    first, again, other = (
        prepare(Source(tmp_path / "rows.csv"), tmp_path / str(n), Split(seed=seed))["parts"]
        for n, seed in enumerate((1, 1, 2))
    )
    assert first == again
    assert first != other


def test_it_runs_from_a_folder_of_its_own_as_a_processing_job_has_it(tmp_path: Path) -> None:
    write_csv(tmp_path / "input.csv", synthesise(500, np.random.default_rng(2)))
    shutil.copytree(ROOT / "training", tmp_path / "code")
    command = [sys.executable, str(tmp_path / "code" / "prepare_data.py")]
    command += ["--data", str(tmp_path / "input.csv"), "--out", str(tmp_path / "output")]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.run(
        command, cwd="/", env=environ, check=True, capture_output=True, text=True
    ).stdout
    names = [line.split()[0] for line in said.splitlines()]
    assert names == ["source", "train", "validation", "test"]
    assert load(tmp_path / "output" / "train").rows == 320


@pytest.mark.parametrize("name", ["prepare_data", *ENTRY_POINTS])
def test_each_script_starts_with_the_commands_that_run_it(name: str) -> None:
    head = (ROOT / "training" / f"{name}.py").read_text().split('"""')[1]
    _, blank, laptop, *more = head.splitlines()
    assert not blank
    assert laptop.startswith(f"On a laptop:   python training/{name}.py --data")
    assert any(line.startswith("On SageMaker:  unchanged") for line in more)
