"""Tests of predict.py, which predicts from raw rows with a model.tar.gz."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from credit_default.dataset.schema import COLUMNS, FEATURES
from tests.support.training_scripts import METRIC, ROOT, run

SCRIPT = ROOT / "training" / "predict.py"


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """Return a model.tar.gz as SageMaker packs it, and the last metrics that training printed."""
    folder = tmp_path_factory.mktemp("trained")
    metrics = run("train_cpu.py", data, folder / "model", epochs=2)
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(folder / "model" / "model.pt", "model.pt")
    return folder / "model.tar.gz", metrics


def predict(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def raw_test_rows(data: Path) -> list[dict[str, float]]:
    (part,) = (data / "test").glob("*.npz")
    with np.load(part) as columns:
        values = zip(*(columns[name].tolist() for name in COLUMNS), strict=True)
        return [dict(zip(COLUMNS, row, strict=True)) for row in values]


def write(path: Path, rows: list[dict[str, float]], columns: tuple[str, ...]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_predict_prints_the_test_metrics_that_training_printed(
    data: Path, trained: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    model, trained_metrics = trained
    table = write(tmp_path / "test.csv", raw_test_rows(data), (*reversed(COLUMNS),))
    for source in (table, data / "test"):
        ended = predict("--model", model, "--data", source, "--out", tmp_path / "out.csv")
        assert ended.returncode == 0, ended.stderr
        found = {name: float(value) for name, value in METRIC.findall(ended.stderr)}
        assert set(found) == {"test:auc", "test:f1", "test:loss"}
        for name, value in found.items():
            assert value == pytest.approx(trained_metrics[name], abs=1e-6), name


def test_rows_without_a_label_are_predicted_independently_and_in_order(
    data: Path, trained: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    rows = raw_test_rows(data)[:50]
    ended = predict("--model", trained[0], "--data", write(tmp_path / "a.csv", rows, FEATURES))
    assert ended.stderr == ""
    head, *lines = ended.stdout.splitlines()
    assert head == "probability,default"
    assert len(lines) == 50
    assert all(re.fullmatch(r"[01]\.\d{6},[01]", line) for line in lines)
    alone = predict("--model", trained[0], "--data", write(tmp_path / "b.csv", rows[7:8], FEATURES))
    assert alone.stdout.splitlines()[1] == lines[7]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("LIMIT_BAL,SEX\n1,2\n", "column EDUCATION, row 1: is missing"),
        (",".join(FEATURES) + "\n" + ",".join(["1"] * 22 + ["x"]) + "\n", "row 2: 'x' is not a"),
    ],
)
def test_rows_that_cannot_be_read_are_reported_in_one_line(
    content: str, message: str, trained: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(content)
    ended = predict("--model", trained[0], "--data", bad)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: {bad}, column")
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_an_archive_of_a_folder_is_read_as_sagemaker_s(
    data: Path, trained: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    archive, folder = tmp_path / "model.tar.gz", trained[0].parent / "model"
    subprocess.run(["tar", "-czf", archive, "-C", folder, "."], check=True)
    by_tar = predict("--model", archive, "--data", data / "test")
    assert by_tar.returncode == 0, by_tar.stderr
    assert by_tar.stdout == predict("--model", trained[0], "--data", data / "test").stdout


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04"])
def test_a_damaged_model_is_reported_in_one_line(
    data: Path, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "model.pt").write_bytes(content)
    ended = predict("--model", tmp_path, "--data", data / "test")
    assert ended.returncode == 2
    problem = "contains a model.pt that is damaged or is no model"
    assert ended.stderr == f"error: {tmp_path}: {problem}\n"


def test_a_file_that_is_not_a_model_is_reported_in_one_line(data: Path, tmp_path: Path) -> None:
    bad = tmp_path / "model.tar.gz"
    bad.write_text("not an archive")
    ended = predict("--model", bad, "--data", data / "test")
    assert ended.returncode == 2
    assert ended.stderr == f"error: {bad}: is not an archive that contains model.pt\n"
