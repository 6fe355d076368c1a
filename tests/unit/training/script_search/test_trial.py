"""Tests of one trial of a script, with real processes."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from script_search.metrics import read_patterns
from script_search.search import unpack_model
from script_search.settings import TrialSettings
from script_search.trial import TrialOutcome, run_trial

BODY = {
    "prints": 'echo "auc=0.5 loss=1"; echo "auc=0.75 loss=nan"',
    "nan": 'echo "auc=0.9"; echo "auc=nan"',
    "silent": "exit 0",
    "fails": 'echo "auc=0.9"; echo "disk full" >&2; exit 3',
    "explains": 'mkdir -p "$SM_OUTPUT_DIR"; echo "too hot" > "$SM_OUTPUT_DIR/failure"; exit 1',
    "endless": 'while true; do echo "auc=0.1"; sleep 0.01; done',
    "model": 'echo "auc=0.8"; echo trained > "$SM_MODEL_DIR/model.txt"',
    "links": 'cd "$SM_MODEL_DIR"; echo "auc=0.8"; mkdir epochs; echo 3 > epochs/3; '
    'ln -s "$PWD/epochs/3" latest; ln -s "$PWD/gone" broken; ln -s /etc all',
    "environment": 'echo "auc=1"; env > "$SM_MODEL_DIR/env"; echo "$@" > "$SM_MODEL_DIR/arguments"',
}  # fmt: skip
Run = Callable[..., TrialOutcome]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    for name, body in BODY.items():
        (tmp_path / f"{name}.sh").write_text(body)

    def run_one(name: str, **options: Any) -> TrialOutcome:
        settings = TrialSettings(
            script=f"{name}.sh", source=str(tmp_path), fixed={"b": "1", "a-long": "x y"},
            patterns=read_patterns({"auc": "auc=([-0-9.a-z]+)", "loss": "loss=([0-9.a-z]+)"}),
            objective="auc", maximize=True, cpus=2, gpus=0.25, folder=str(tmp_path / "trials"),
        )  # fmt: skip
        options = {"continues": lambda *_: True, "is_best": lambda _: True} | options
        environ = {"PATH": "/usr/bin:/bin", "SM_HP_TRIALS": "40", "SM_HOSTS": '["algo-1","algo-2"]'}
        return run_trial(7, {"lr": "0.75"}, settings, environ=environ, **options)

    return run_one


def unpacked(outcome: TrialOutcome) -> dict[str, str]:
    assert outcome.model is not None
    with tarfile.open(fileobj=io.BytesIO(outcome.model)) as archive:
        files = [each for each in archive if each.isfile()]
        return {Path(f.name).name: archive.extractfile(f).read().decode() for f in files}  # type: ignore[union-attr]


def test_the_last_value_of_each_metric_counts(run: Run) -> None:
    row = run("prints").row
    assert (row.number, row.status, row.objective, row.steps) == (7, "Completed", 0.75, 2)
    assert row.metrics == {"auc": 0.75}
    assert row.hyperparameters == {"lr": "0.75"}
    assert row.started <= row.ended


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("nan", "Failed", "auc ended as nan"),
        ("silent", "Failed", "printed no auc"),
        ("fails", "Failed", "exit status 3: disk full"),
        ("explains", "Failed", "too hot"),
    ],
)
def test_a_trial_without_a_result_has_a_reason_and_no_objective(
    name: str, status: str, reason: str, run: Run
) -> None:
    outcome = run(name)
    row = outcome.row
    assert (row.status, row.reason, row.objective) == (status, reason, None)
    assert outcome.model is None


def test_a_trial_that_should_not_continue_is_stopped_and_keeps_its_objective(run: Run) -> None:
    seen: list[tuple[int, float]] = []

    def continues(step: int, value: float) -> bool:
        seen.append((step, value))
        return step < 3

    row = run("endless", continues=continues).row
    assert (row.status, row.objective, row.steps) == ("Stopped", 0.1, 3)
    assert seen == [(1, 0.1), (2, 0.1), (3, 0.1)]


def test_only_the_best_trial_returns_its_model_and_what_it_printed(run: Run) -> None:
    best = run("model")
    assert unpacked(best)["model.txt"] == "trained\n"
    assert best.lines == ("auc=0.8",)
    other = run("model", is_best=lambda _: False)
    assert (other.model, other.lines) == (None, ())


def test_a_model_with_links_is_returned_with_the_files_that_they_name(
    run: Run, tmp_path: Path
) -> None:
    """The folder of a trial is on another host, and is removed: a link would lead nowhere."""
    outcome = run("links")
    assert outcome.model is not None
    unpack_model(outcome.model, tmp_path / "model")
    files = {
        path.relative_to(tmp_path / "model").as_posix(): path.read_text()
        for path in (tmp_path / "model").rglob("*")
        if not path.is_dir()
    }
    assert files == {"epochs/3": "3\n", "latest": "3\n"}


def test_a_script_gets_arguments_and_variables_as_on_sagemaker(run: Run, tmp_path: Path) -> None:
    files = unpacked(run("environment"))
    assert files["arguments"] == "--a-long x y -b 1 --lr 0.75\n"
    variables = dict(line.split("=", 1) for line in files["env"].splitlines() if "=" in line)
    assert json.loads(variables["SM_HPS"]) == {"b": "1", "a-long": "x y", "lr": "0.75"}
    assert variables["SM_HP_LR"] == "0.75"
    assert variables["SM_HP_A_LONG"] == "x y"
    assert "SM_HP_TRIALS" not in variables, "a hyperparameter of the search"
    assert json.loads(variables["SM_HOSTS"]) == [variables["SM_CURRENT_HOST"]], "one host"
    assert variables["SM_MODEL_DIR"] == str(tmp_path / "trials" / "000007" / "model")
    assert variables["OMP_NUM_THREADS"] == "2"


def test_nothing_of_a_trial_stays_behind(run: Run, tmp_path: Path) -> None:
    run("model")
    assert list((tmp_path / "trials").iterdir()) == []
