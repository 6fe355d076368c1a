"""Tests of prepare_data.py and of reading its output: sharding, streaming and invalid data."""

from __future__ import annotations

import io
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

from credit_default.dataset.features import Features
from credit_default.dataset.parts import load
from credit_default.dataset.schema import COLUMNS, FEATURES, TARGET, DataError
from credit_default.dataset.sources import Source, synthesize, write_csv
from credit_default.fit import Fit, Interrupted
from credit_default.hyperparameters import Hyperparameters
from prepare_data import Split, main, prepare
from tests.support.training_scripts import ROOT

ENTRY_POINTS = ("train_cpu", "train", "train_ray_cpu", "train_ray")
GOOD = ["1"] * len(FEATURES)


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a set in files of at most 200 rows."""
    out = tmp_path_factory.mktemp("sharded")
    write_csv(out / "rows.csv", synthesize(2_000, np.random.default_rng(1)))
    prepare(Source(out / "rows.csv"), out, Split(shard_rows=200))
    return out


def table(path: Path, *rows: list[str], columns: tuple[str, ...] = COLUMNS) -> Path:
    lines = [",".join(columns), *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_streamed_part_has_the_rows_and_statistics_of_the_part_in_memory(sharded: Path) -> None:
    streamed, in_memory = load(sharded / "train", memory_rows=300), load(sharded / "train")
    assert len(streamed.sizes) == 7
    assert all(isinstance(shard, Path) for shard in streamed.shards), "no shard is in memory"
    assert max(streamed.sizes) <= 200
    assert streamed.rows == in_memory.rows == 1_280
    together = torch.cat([rows.raw for rows in streamed])
    assert torch.equal(together, next(iter(in_memory)).raw)
    for ours, theirs in zip(
        Features().fit(streamed).buffers(), Features().fit(in_memory).buffers(), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_a_streamed_run_resumed_within_a_shard_ends_as_an_uninterrupted_run(
    sharded: Path,
) -> None:
    chosen = Hyperparameters(epochs=2, batch_size=50, hidden=(8,))
    train, validation = load(sharded / "train", memory_rows=300), load(sharded / "validation")
    whole = list(Fit(chosen, train, validation).epochs())
    steps = iter([False] * 9 + [True])
    interrupted = Fit(chosen, train, validation, interrupted=lambda: next(steps))
    with pytest.raises(Interrupted):
        list(interrupted.epochs())
    resumed = Fit(chosen, train, validation)
    resumed.load_state_dict(interrupted.state_dict())
    assert resumed.step == 9
    assert list(resumed.epochs()) == whole


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([GOOD], FEATURES, f"column {TARGET}, row 1: is missing"),
        ([GOOD], (*COLUMNS[1:],), "column LIMIT_BAL, row 1: is missing"),
        ([[*GOOD, "1"], [*GOOD[:-1], "much", "0"]], COLUMNS, "column PAY_AMT6, row 3: 'much' is"),
        ([["", *GOOD]], COLUMNS, "column LIMIT_BAL, row 2: is empty"),
        ([[*GOOD, "1"], ["1", "nan", *GOOD[1:]]], COLUMNS, "column SEX, row 3: nan is not a"),
        ([["inf", *GOOD]], COLUMNS, "column LIMIT_BAL, row 2: inf is not a finite"),
        ([[*GOOD, "2"]], COLUMNS, f"column {TARGET}, row 2: 2 is neither 0 nor 1"),
        ([GOOD], COLUMNS, f"column {TARGET}, row 2: is missing in this row"),
        ([[*GOOD, "0"]] * 9, COLUMNS, f"column {TARGET}: 0 of 9 rows have class 1"),
        ([], COLUMNS, f"column {TARGET}: 0 of 0 rows have class 1"),
    ],
)
def test_a_table_that_cannot_be_split_is_reported_with_its_column_and_row(
    rows: list[list[str]],
    columns: tuple[str, ...],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = table(tmp_path / "bad.csv", *rows, columns=columns)
    with pytest.raises(SystemExit) as ended:
        main(["--data", str(bad), "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {bad}, {message}")
    assert not (tmp_path / "out").exists()


def excel(path: Path, *rows: list[str | float]) -> Path:
    """Write an .xls file with one sheet in the Excel 2.0 format, which is the shortest."""

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


# UCI's header: numbered names above the column names, and an ID before the features.
UCI_HEADER: list[list[str | float]] = [
    ["", *(f"X{number}" for number in range(1, 24)), "Y"],
    ["ID", *FEATURES, "default payment next month"],
]


def test_an_excel_file_is_split_like_a_csv_file_with_the_same_rows(tmp_path: Path) -> None:
    rows = synthesize(200, np.random.default_rng(1))
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


def test_an_excel_file_that_cannot_be_read_is_reported_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wordy = [0.0, *([1.0] * 22), "much", 1.0]
    bad = excel(tmp_path / "wordy.xls", *UCI_HEADER, wordy)
    other = tmp_path / "other.xls"
    other.write_text("not an Excel file")
    for file, message in (
        (bad, "column PAY_AMT6, row 3: 'much' is not a number"),
        (other, "is not a whole .xls file"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["--data", str(file), "--out", str(tmp_path / "out")])
        assert ended.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {file}")
        assert message in line


def without(columns: dict[str, np.ndarray]) -> None:  # type: ignore[type-arg]
    del columns["AGE"]


def wordy(columns: dict[str, np.ndarray]) -> None:  # type: ignore[type-arg]
    columns["AGE"] = np.array(["old"] * 4)


def broken(columns: dict[str, np.ndarray]) -> None:  # type: ignore[type-arg]
    columns["AGE"][2] = np.nan


def one_sided(columns: dict[str, np.ndarray]) -> None:  # type: ignore[type-arg]
    columns[TARGET][:] = 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without, "part.npz, column AGE: is missing"),
        (wordy, "part.npz, column AGE: is <U3 (4,), not 4 numbers"),
        (broken, "part.npz, column AGE, row 2: is not a finite number"),
        (one_sided, f"train, column {TARGET}: all 4 rows have the same class"),
    ],
)
def test_an_invalid_part_is_reported_with_its_column_and_row(
    spoil: Callable[[dict[str, np.ndarray]], None],  # type: ignore[type-arg]
    message: str,
    tmp_path: Path,
) -> None:
    columns = {name: np.array([0.0, 1.0, 0.0, 1.0]) for name in COLUMNS}
    spoil(columns)
    (tmp_path / "train").mkdir()
    np.savez(tmp_path / "train" / "part.npz", **columns)  # type: ignore[arg-type]
    with pytest.raises(DataError) as raised:
        load(tmp_path / "train")
    assert str(raised.value).endswith(message)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def changed(content: bytes) -> bytes:
    """Change values of a column, which leaves the list of columns as it is."""
    return content[:150] + bytes(8) + content[158:]


def another_header(content: bytes) -> bytes:
    return content.replace(b"'shape': (", b"'shape': [", 1)


def one_array(content: bytes) -> bytes:
    saved = io.BytesIO()
    np.save(saved, np.zeros(3))
    return saved.getvalue()


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (cut, "is damaged (File is not a zip file); run prepare_data.py again"),
        (changed, "is damaged (Bad CRC-32 for file 'LIMIT_BAL.npy'); run prepare_data.py again"),
        (another_header, "; run prepare_data.py again"),
        (lambda _: b"", "; run prepare_data.py again"),
        (lambda _: b"text", "; run prepare_data.py again"),
        (one_array, "is not a .npz file; training/prepare_data.py writes them"),
    ],
    ids=["cut", "changed", "another header", "empty", "text", "one array"],
)
def test_a_damaged_part_is_one_line_that_names_file_and_fix(
    spoil: Callable[[bytes], bytes], problem: str, tmp_path: Path
) -> None:
    columns = {name: np.array([0.0, 1.0, 0.0, 1.0]) for name in COLUMNS}
    file = tmp_path / "part.npz"
    np.savez(file, **columns)  # type: ignore[arg-type]
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(DataError) as raised:
        load(tmp_path)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{file}: ")
    assert line.endswith(problem)


def test_upsampling_balances_only_the_training_part(tmp_path: Path) -> None:
    write_csv(tmp_path / "rows.csv", synthesize(500, np.random.default_rng(2)))
    parts = prepare(Source(tmp_path / "rows.csv"), tmp_path, Split(upsample=True))["parts"]
    assert parts["train"]["positives"] * 2 == parts["train"]["rows"]
    for name in ("validation", "test"):
        assert parts[name]["positives"] / parts[name]["rows"] < 0.4


def test_the_same_rows_and_seed_give_identical_files(tmp_path: Path) -> None:
    write_csv(tmp_path / "rows.csv", synthesize(500, np.random.default_rng(2)))
    first, again, other = (
        prepare(Source(tmp_path / "rows.csv"), tmp_path / str(n), Split(seed=seed))["parts"]
        for n, seed in enumerate((1, 1, 2))
    )
    assert first == again
    assert first != other


def test_prepare_data_runs_from_a_copied_folder_as_in_a_processing_job(tmp_path: Path) -> None:
    write_csv(tmp_path / "input.csv", synthesize(500, np.random.default_rng(2)))
    shutil.copytree(ROOT / "training", tmp_path / "code")
    command = [sys.executable, str(tmp_path / "code" / "prepare_data.py")]
    command += ["--data", str(tmp_path / "input.csv"), "--out", str(tmp_path / "output")]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    output = subprocess.run(
        command, cwd="/", env=environ, check=True, capture_output=True, text=True
    ).stdout
    names = [line.split()[0] for line in output.splitlines()]
    assert names == ["source", "train", "validation", "test"]
    assert load(tmp_path / "output" / "train").rows == 320


@pytest.mark.parametrize("name", ["prepare_data", *ENTRY_POINTS])
def test_each_script_starts_with_the_commands_that_run_it(name: str) -> None:
    head = (ROOT / "training" / f"{name}.py").read_text().split('"""')[1]
    _, blank, locally, *more = head.splitlines()
    assert not blank
    assert locally.startswith(f"Locally:       python training/{name}.py --data")
    assert any(line.startswith("On SageMaker:  unchanged") for line in more)
