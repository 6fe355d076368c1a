from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from hpoq.ui.figures import drawing as figures
from hpoq.ui.figures.study import studies
from tests.support.ui_jobs import RANGES, several, trial, tuning_job


def study_of(*trials: Any) -> optuna.Study:
    return studies(tuning_job(), trials)[""]


def test_ranges_become_distributions_with_their_scaling() -> None:
    space = study_of(trial(1, 0.5)).trials[0].distributions
    assert space["lr"] == FloatDistribution(0.0001, 1.0, log=True)
    assert space["dropout"] == FloatDistribution(0.0, 0.5)
    assert space["layers"] == IntDistribution(1, 8)
    assert space["optimizer"] == CategoricalDistribution(("adam", "sgd"))


def test_values_lose_the_quotes_that_one_sdk_sends() -> None:
    found = study_of(trial(1, 0.5, optimizer='"sgd"', layers='"3"')).trials[0].params
    assert (found["optimizer"], found["layers"]) == ("sgd", 3)


def test_a_value_outside_its_range_is_left_out() -> None:
    found = study_of(trial(1, 0.5, lr="7", layers="many")).trials[0].params
    assert set(found) == {"dropout", "optimizer"}


@pytest.mark.parametrize(
    ("status", "value", "state"),
    [
        ("Completed", 0.5, TrialState.COMPLETE),
        ("Stopped", 0.5, TrialState.COMPLETE),  # early stopping keeps what was reached
        ("Completed", None, TrialState.FAIL),
        ("Failed", None, TrialState.FAIL),
        ("InProgress", None, TrialState.RUNNING),
    ],
)
def test_states(status: str, value: float | None, state: TrialState) -> None:
    assert study_of(trial(1, value, status)).trials[0].state == state


def test_the_best_is_by_the_objective_s_own_direction() -> None:
    assert study_of(trial(1, 0.4), trial(2, 0.9), trial(3, 0.6)).best_value == 0.9


def test_each_definition_is_a_study_of_its_own() -> None:
    goals = {"a": ("Maximize", "auc"), "b": ("Minimize", "loss")}
    definitions = [
        {
            "DefinitionName": name,
            "TuningObjective": {"Type": type_, "MetricName": metric},
            "HyperParameterRanges": RANGES,
        }
        for name, (type_, metric) in goals.items()
    ]
    job = tuning_job(TrainingJobDefinitions=definitions)
    trials = [trial(n, 0.1 * n) | {"TrainingJobDefinitionName": "ab"[n % 2]} for n in range(1, 6)]
    found = studies(job, trials)
    assert {name: len(study.trials) for name, study in found.items()} == {"a": 2, "b": 3}
    assert found["b"].best_value == pytest.approx(0.1)


def test_a_job_without_training_jobs_has_no_figures() -> None:
    assert figures.of_study(study_of()) == {}


def test_one_running_training_job_is_only_in_the_timeline() -> None:
    assert set(figures.of_study(study_of(trial(1, None, "InProgress")))) == {"timeline"}


def test_the_line_of_the_best_so_far_never_falls_when_maximizing() -> None:
    found = figures.of_study(study_of(*several([0.5, 0.4, 0.7, 0.6, 0.9])))
    assert set(found) == {"objective", "parallel", "slices", "importances", "timeline"}
    dots, line = found["objective"]["data"]
    assert dots["customdata"] == [f"tuned-{n:03}" for n in range(5)]
    assert line["y"] == [0.5, 0.5, 0.7, 0.7, 0.9]


def test_of_many_training_jobs_the_best_are_drawn_as_lines() -> None:
    found = figures.of_study(study_of(*several([n / 1000 for n in range(700)])))
    lines = [each for each in found["parallel"]["data"] if each["mode"] == "lines"]
    assert len(lines) == figures.LINES
    values = [float(line["customdata"][0][1]) for line in lines]
    assert min(values) == pytest.approx(0.5)


def test_labels_of_an_axis_neither_cover_each_other_nor_count_in_powers() -> None:
    trials = [trial(n, n / 10, lr=str(lr)) for n, lr in enumerate((0.0095, 0.011, 0.9, 1.0))]
    drawn = figures.of_study(study_of(*trials))["parallel"]["layout"]["annotations"]
    axis = next(each["x"] for each in drawn if each["text"] == "0.0095")
    assert [each["text"] for each in drawn if each["x"] == axis] == ["0.0095", "0.1", "1"]
    losses = [trial(n, 1000.0 * n) for n in range(1, 6)]
    drawn = figures.of_study(study_of(*losses))["parallel"]["layout"]["annotations"]
    assert [each["text"] for each in drawn if "e+" in each["text"]] == []


def test_no_importance_where_nothing_differs() -> None:
    assert "importances" not in figures.of_study(study_of(*several([0.5] * 9)))


def test_names_cannot_become_templates_or_markup_of_the_figure() -> None:
    wicked = trial(1, 0.5) | {"TrainingJobName": "<b>%{x}</b>"}
    text = figures.of_study(study_of(wicked))["objective"]["data"][0]["hovertemplate"][0]
    assert "<b>" not in text
    assert "%{" not in text
