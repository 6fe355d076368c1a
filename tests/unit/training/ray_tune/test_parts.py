"""What a Ray search is told, and what it says of itself; no cluster needed."""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from credit_default.data import load
from ray_tune.space import SPACE, space

ROOT = Path(__file__).parents[4]
SCRIPT = ROOT / "training" / "train_ray_cpu.py"


def test_the_default_space_can_be_written_and_read() -> None:
    assert space(json.dumps(SPACE)) == SPACE


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ("nonsense", "not JSON"),
        ("[]", "no JSON object"),
        ({"speed": {"type": "continuous", "min": 0, "max": 1}}, "speed: there is no such"),
        ({"lr": {"type": "real", "min": 0, "max": 1}}, "lr: type 'real' is none of"),
        ({"lr": {"type": "continuous", "min": 0.1}}, "lr: its range has no max"),
        ({"lr": {"type": "continuous", "min": 1, "max": 0.1}}, "lr: min 1 and max 0.1 are no"),
        ({"epochs": {"type": "integer", "min": 1.5, "max": 3}}, "epochs: min 1.5 and max 3 are"),
        ({"dropout": {"type": "continuous", "min": 0, "max": 2}}, "dropout: 2 is out of range"),
        ({"hidden": {"type": "categorical", "values": ["32", "x"]}}, "hidden: 'x' is not a whole"),
        ({"hidden": {"type": "categorical", "values": []}}, "hidden: values [] are no list"),
        (
            {"weight-decay": {"type": "continuous", "min": 0, "max": 1, "scaling": "Logarithmic"}},
            "weight-decay: Logarithmic scaling from 0",
        ),
    ],
)
def test_a_range_that_no_trial_could_draw_from_is_named_before_any_starts(
    wanted: Any, problem: str
) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as raised:
        space(wanted if isinstance(wanted, str) else json.dumps(wanted))
    assert str(raised.value).startswith(problem)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (["--trials", "many"], "argument --trials: 'many' is not a whole number"),
        (["--algorithm", "grid"], "argument --algorithm: 'grid' is none of random, optuna"),
        (["--space", "{"], "argument --space: not JSON"),
        (["--checkpoint-epochs", "1"], "--checkpoint-epochs on several hosts needs a --storage"),
    ],
)
def test_a_bad_argument_is_one_line(given: list[str], problem: str) -> None:
    environ = os.environ | {"SM_HOSTS": '["algo-1", "algo-2"]', "SM_CURRENT_HOST": "algo-1"}
    command = [sys.executable, str(SCRIPT), "--data-dir", "nowhere", *given]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: {problem}")
    assert len(ended.stderr.splitlines()) == 1


def test_without_a_gpu_the_gpu_search_says_so_and_exits_2() -> None:
    environ = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(SCRIPT.with_name("train_ray.py")), "--data-dir", "nowhere"]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == "error: there is no GPU here; train_ray_cpu.py searches on CPU\n"


def test_ten_thousand_trials_leave_a_log_that_can_be_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from ray_tune.progress import Progress

    clock = [0.0]
    progress = Progress(10_000, now=lambda: clock[0], nodes=lambda: 2)
    trial: Any = None
    for number in range(10_000):
        clock[0] += 0.5
        result = {"validation_auc": 0.75 + 0.04 * number / 10_000}
        progress.on_trial_result(1, [], trial, {"validation_auc": 0.7 + number % 7 / 1000})
        if number % 500 == 0:
            progress.on_trial_result(2, [], trial, result)
        progress.on_trial_complete(2, [], trial)
    progress.on_experiment_end([])
    lines = capsys.readouterr().err.splitlines()
    assert 100 <= len(lines) <= 250
    assert max(map(len, lines)) < 100
    last = "10000/10000 trials ended, 2 of 2 hosts, best validation:auc so far 0.7880"
    assert lines[-1] == last


def test_a_resumed_search_counts_on_and_tries_again_what_had_failed() -> None:
    from ray_tune.progress import Progress

    before, after = (Progress(10, now=lambda: 0.0, nodes=lambda: 1) for _ in range(2))
    before.ended, before.failed, before.best = 7, 1, 0.78
    after.set_state(before.get_state())
    assert (after.ended, after.failed, after.best) == (7, 0, 0.78)


def reports(small: Path, **told: Any) -> list[dict[str, Any]]:
    """What a trial of 10 epochs reports to the search, up to its end."""
    from ray_tune.trial import Trial

    trial = Trial.__new__(Trial)  # without Ray's own set-up
    config = {"epochs": 10, "hidden": "8", "batch-size": 512} | told.pop("config", {})
    trial.setup(config, load(small / "train"), load(small / "validation"), **told)
    heard = [trial.step()]
    while not heard[-1]["done"]:
        heard.append(trial.step())
    return heard


def test_a_trial_reports_where_somebody_waits_for_it_and_not_after_every_epoch(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray_tune.trial.REPORT_SECONDS", math.inf)
    assert [each["epoch"] for each in reports(small)] == [10]
    at_rungs = reports(small, rungs=[1, 4], checkpoint_epochs=5)
    assert [each["epoch"] for each in at_rungs] == [1, 4, 5, 10]
    assert [each["epoch"] for each in at_rungs if each["should_checkpoint"]] == [5]
    assert [each["epoch"] for each in at_rungs if each["done"]] == [10]
    impatient = reports(small, config={"epochs": 500, "patience": 2, "lr": 0.1})
    assert [each["epoch"] - each["best_epoch"] for each in impatient] == [2]


def test_a_trial_of_long_epochs_reports_every_one_of_them(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray_tune.trial.REPORT_SECONDS", 0)
    assert [each["epoch"] for each in reports(small)] == list(range(1, 11))


def test_asha_stops_the_same_trials_whether_it_hears_of_each_epoch_or_of_its_rungs() -> None:
    from types import SimpleNamespace

    from ray_tune.search import Search, _scheduler

    wanted = Search(space=SPACE, fixed={"epochs": 30})
    aucs = random.Random(0)
    curves = [sorted(aucs.random() for _ in range(30)) for _ in range(50)]

    def stopped(epochs: Any) -> list[int]:
        asha: Any = _scheduler(wanted)
        asha.set_search_properties("validation_auc", "max")
        ends = []
        for number, curve in enumerate(curves):
            trial = SimpleNamespace(trial_id=str(number))
            asha.on_trial_add(None, trial)
            results = ({"epoch": e, "validation_auc": curve[e - 1]} for e in epochs)
            said = (asha.on_trial_result(None, trial, each) for each in results)
            ends.append(next(e for e, each in zip(epochs, said, strict=True) if each == "STOP"))
        return ends

    ends = stopped([*wanted.rungs, 30])
    assert stopped(range(1, 31)) == ends
    assert set(ends) == {*wanted.rungs, 30}


def test_the_rungs_reach_up_to_the_longest_trial_of_the_space() -> None:
    from ray_tune.search import Search

    space = {"epochs": {"type": "integer", "min": 5, "max": 40}}
    assert Search(space=space, fixed={}).epochs == 40
    assert Search(space={}, fixed={"epochs": "20"}).epochs == 20
    assert max(Search(space=space, fixed={}).rungs) > 10
    assert not Search(space=space, fixed={}, scheduler="none").rungs


def test_only_trials_that_were_lost_with_their_actor_are_tried_once_more() -> None:
    from types import SimpleNamespace

    from ray.exceptions import ActorUnavailableError

    from ray_tune.search import _lost_with_a_host

    lost = ActorUnavailableError("gone", actor_id=None)
    grids: list[Any] = [SimpleNamespace(errors=each) for each in ([], [ValueError()], [lost])]
    assert [_lost_with_a_host(grid) for grid in grids] == [False, False, True]
