"""Tests of a Ray search's arguments, progress, trials and scheduler; they need no cluster."""

from __future__ import annotations

import argparse
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from credit_default.dataset.parts import load
from ray_tune.space import SPACE, space


def test_the_default_space_can_be_written_and_read() -> None:
    assert space(json.dumps(SPACE)) == SPACE


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ("nonsense", "not valid JSON"),
        ("[]", "not a JSON object"),
        ({"speed": {"type": "continuous", "min": 0, "max": 1}}, "speed: unknown hyperparameter"),
        ({"lr": {"type": "real", "min": 0, "max": 1}}, "lr: type 'real' is not one of"),
        ({"lr": {"type": "continuous", "min": 0.1}}, "lr: the range has no 'max'"),
        (
            {"lr": {"type": "continuous", "min": 1, "max": 0.1}},
            "lr: min 1 and max 0.1 must be numbers with min below max",
        ),
        (
            {"epochs": {"type": "integer", "min": 1.5, "max": 3}},
            "epochs: min 1.5 and max 3 must be whole numbers with",
        ),
        ({"dropout": {"type": "continuous", "min": 0, "max": 2}}, "dropout: 2 is out of range"),
        ({"hidden": {"type": "categorical", "values": ["32", "x"]}}, "hidden: 'x' is not a whole"),
        ({"hidden": {"type": "categorical", "values": []}}, "hidden: values [] is not a list"),
        (
            {"weight-decay": {"type": "continuous", "min": 0, "max": 1, "scaling": "Logarithmic"}},
            "weight-decay: Logarithmic scaling requires min above 0, not 0",
        ),
    ],
)
def test_an_invalid_range_is_reported_before_any_trial_starts(wanted: Any, problem: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as raised:
        space(wanted if isinstance(wanted, str) else json.dumps(wanted))
    assert str(raised.value).startswith(problem)


def test_the_log_of_ten_thousand_trials_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    from ray_tune.progress import SearchProgress

    clock = [0.0]
    progress = SearchProgress(10_000, now=lambda: clock[0], nodes=lambda: 2)
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


def test_a_resumed_search_continues_the_counts_of_all_but_failed_trials() -> None:
    from ray_tune.progress import SearchProgress

    before, after = (SearchProgress(10, now=lambda: 0.0, nodes=lambda: 1) for _ in range(2))
    before.ended, before.failed, before.best = 7, 1, 0.78
    after.set_state(before.get_state())
    assert (after.ended, after.failed, after.best) == (7, 0, 0.78)


def reports(small: Path, **options: Any) -> list[dict[str, Any]]:
    """Run a trial of 10 epochs and return its reports to the search."""
    from ray_tune.trial import CreditTrainable

    trial = CreditTrainable.__new__(CreditTrainable)  # without Ray's own set-up
    config = {"epochs": 10, "hidden": "8", "batch-size": 512} | options.pop("config", {})
    trial.setup(config, load(small / "train"), load(small / "validation"), **options)
    results = [trial.step()]
    while not results[-1]["done"]:
        results.append(trial.step())
    return results


def test_a_trial_reports_at_rungs_checkpoints_and_its_end_only(
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


def test_a_trial_that_diverges_ends_with_the_lowest_metric_whatever_it_reached(
    small: Path,
) -> None:
    from ray_tune.trial import DIVERGED, METRIC, CreditTrainable

    trial = CreditTrainable.__new__(CreditTrainable)  # without Ray's own set-up
    config = {"epochs": 10, "hidden": "8", "batch-size": 512}
    trial.setup(config, load(small / "train"), load(small / "validation"), rungs=[1])
    assert trial.step()[METRIC] > DIVERGED
    for weight in (*trial.fit.network.parameters(), *trial.fit.averaged.parameters()):
        weight.data.fill_(math.nan)
    last = trial.step()
    assert (last[METRIC], last["done"]) == (DIVERGED, True)


def test_a_trial_of_long_epochs_reports_every_epoch(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray_tune.trial.REPORT_SECONDS", 0)
    assert [each["epoch"] for each in reports(small)] == list(range(1, 11))


def test_asha_stops_the_same_trials_with_reports_of_every_epoch_or_of_rungs_only() -> None:
    from types import SimpleNamespace

    from ray_tune.search import SearchSettings, scheduler_of

    settings = SearchSettings(space=SPACE, fixed={"epochs": 30})
    aucs = random.Random(0)
    curves = [sorted(aucs.random() for _ in range(30)) for _ in range(50)]

    def stopped(epochs: Any) -> list[int]:
        asha: Any = scheduler_of(settings)
        asha.set_search_properties("validation_auc", "max")
        ends = []
        for number, curve in enumerate(curves):
            trial = SimpleNamespace(trial_id=str(number))
            asha.on_trial_add(None, trial)
            results = ({"epoch": e, "validation_auc": curve[e - 1]} for e in epochs)
            decisions = (asha.on_trial_result(None, trial, each) for each in results)
            decided = zip(epochs, decisions, strict=True)
            ends.append(next(epoch for epoch, decision in decided if decision == "STOP"))
        return ends

    ends = stopped([*settings.rungs, 30])
    assert stopped(range(1, 31)) == ends
    assert set(ends) == {*settings.rungs, 30}


def test_the_rungs_extend_to_the_longest_trial_of_the_space() -> None:
    from ray_tune.search import SearchSettings

    space = {"epochs": {"type": "integer", "min": 5, "max": 40}}
    assert SearchSettings(space=space, fixed={}).epochs == 40
    assert SearchSettings(space={}, fixed={"epochs": "20"}).epochs == 20
    assert max(SearchSettings(space=space, fixed={}).rungs) > 10
    assert not SearchSettings(space=space, fixed={}, scheduler="none").rungs


def test_only_trials_that_lost_their_actor_are_retried_once_more() -> None:
    from types import SimpleNamespace

    from ray.exceptions import ActorUnavailableError

    from ray_tune.search import lost_an_actor

    lost = ActorUnavailableError("gone", actor_id=None)
    grids: list[Any] = [SimpleNamespace(errors=each) for each in ([], [ValueError()], [lost])]
    assert [lost_an_actor(grid) for grid in grids] == [False, False, True]


def test_the_search_ends_once_a_trial_has_reached_the_target() -> None:
    from ray_tune.search import TargetReached

    reached = TargetReached(0.77)
    assert [reached("a", {"validation_auc": auc}) for auc in (0.7, 0.76)] == [False, False]
    assert not reached.stop_all()
    assert reached("b", {"validation_auc": 0.78})
    assert reached.stop_all()


def test_a_search_with_other_limits_is_another_search() -> None:
    """A saved search keeps its limits."""
    from ray_tune.search import SearchSettings

    given: list[dict[str, Any]] = [{}, {"minutes": 1}, {"minutes": 2}, {"target": 0.8}]
    names = {SearchSettings(space=SPACE, fixed={}, **each).name for each in given}
    assert len(names) == len(given)


def test_before_any_result_no_best_one_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    from ray_tune.progress import SearchProgress

    SearchProgress(10, now=lambda: 0.0, nodes=lambda: 1).on_experiment_end([])
    assert capsys.readouterr().err == "0/10 trials ended\n"


def test_a_lost_process_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    from types import SimpleNamespace

    from ray_tune.progress import SearchProgress

    progress = SearchProgress(10, now=lambda: 0.0, nodes=lambda: 1)
    trial: Any = SimpleNamespace(trial_id="abc_00001")
    progress.on_trial_recover(1, [], trial)
    assert capsys.readouterr().err == "trial abc_00001 lost its process and runs again\n"
