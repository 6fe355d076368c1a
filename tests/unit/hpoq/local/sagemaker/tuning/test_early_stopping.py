"""Which training jobs are stopped early."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpoq.local.sagemaker.errors import ApiError
from hpoq.local.sagemaker.tuning.early_stopping import (
    EarlyStopping,
    Hyperband,
    MedianRule,
    NoEarlyStopping,
    early_stopping_of,
)
from tests.support.memory_endpoint import tuning_job


def steps_of(judge: EarlyStopping, number: int, values: list[float]) -> int:
    """Return how many steps a training job with these values makes until it is stopped."""
    for step, value in enumerate(values, start=1):
        if judge.should_stop(number, value):
            return step
    return len(values)


def test_a_job_below_the_median_of_running_averages_is_stopped() -> None:
    judge = MedianRule(maximize=True)
    for number, level in enumerate([0.5, 0.6, 0.7]):
        assert steps_of(judge, number, [level, level + 0.2]) == 2

    # averages up to the second step: 0.6, 0.7, 0.8
    assert steps_of(judge, 3, [0.65, 0.69]) == 2
    assert steps_of(judge, 4, [0.59]) == 1
    assert steps_of(judge, 5, [0.65, 0.75]) == 2
    assert judge.should_stop(6, 0.65) is False


def test_a_minimized_objective_is_worse_when_it_is_higher() -> None:
    judge = MedianRule(maximize=False)
    for number in range(3):
        assert not judge.should_stop(number, 1.0)

    assert judge.should_stop(3, 1.1)
    assert not judge.should_stop(4, 0.9)


def test_a_job_is_compared_only_with_earlier_jobs_that_reached_the_same_step() -> None:
    judge = MedianRule(maximize=True)
    for number in range(10, 20):
        judge.should_stop(number, 0.9)

    assert not judge.should_stop(5, 0.1)  # all others were started later
    judge.should_stop(30, 0.95)
    assert not judge.should_stop(30, 0.01)  # no other job has made a second step


TEN = {"StaticHyperParameters": {"epochs": "10"}}


def test_hyperband_continues_one_of_three_and_stops_at_the_maximum() -> None:
    judge = Hyperband(maximize=True, min_resource=1, max_resource=9)
    first_bracket = range(0, 20, 2)  # two brackets: from step 1, and from step 3
    for number, level in zip(first_bracket, [0.9, 0.8, 0.7], strict=False):
        judge.should_stop(number, level)

    assert judge.should_stop(6, 0.5)
    assert steps_of(judge, 8, [0.95] * 20) == 9
    assert not judge.should_stop(7, 0.0)  # the other bracket compares from step 3 on


def test_contradictory_settings_are_rejected() -> None:
    with pytest.raises(ApiError, match="must be Off"):
        early_stopping_of(
            {"Strategy": "Hyperband", "TrainingJobEarlyStoppingType": "Auto"}, TEN, maximize=True
        )
    resources = {"HyperbandStrategyConfig": {"MinResource": 9, "MaxResource": 3}}
    with pytest.raises(ApiError, match="greater than MaxResource"):
        early_stopping_of(
            {"Strategy": "Hyperband", "StrategyConfig": resources}, TEN, maximize=True
        )


def test_the_api_rejects_hyperband_with_early_stopping(sagemaker: Any) -> None:
    job = tuning_job("job-1", Strategy="Hyperband", TrainingJobEarlyStoppingType="Auto")
    with pytest.raises(ClientError, match="must be Off"):
        sagemaker.create_hyper_parameter_tuning_job(**job)


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"Strategy": "Random"}, NoEarlyStopping),
        ({"Strategy": "Bayesian", "TrainingJobEarlyStoppingType": "Off"}, NoEarlyStopping),
        ({"Strategy": "Bayesian", "TrainingJobEarlyStoppingType": "Auto"}, MedianRule),
        ({"Strategy": "Hyperband"}, Hyperband),
        ({"Strategy": "Hyperband", "TrainingJobEarlyStoppingType": "Off"}, Hyperband),
    ],
)
def test_the_rule_follows_from_the_configuration(config: dict[str, Any], kind: type) -> None:
    assert type(early_stopping_of(config, TEN, maximize=True)) is kind


def test_without_early_stopping_every_training_job_runs_to_its_end() -> None:
    assert not NoEarlyStopping().should_stop(9, -1e9)


def test_two_predecessors_are_too_few_to_stop_a_training_job() -> None:
    judge = MedianRule(maximize=True)
    for number in range(2):
        judge.should_stop(number, 0.9)
    assert not judge.should_stop(2, 0.1)
    assert judge.should_stop(3, 0.1)


def test_a_value_at_the_median_continues() -> None:
    judge = MedianRule(maximize=True)
    for number, value in enumerate((0.1, 0.5, 0.9)):
        judge.should_stop(number, value)
    assert not judge.should_stop(3, 0.5)


def hyperband(*, epochs: str = "27", **resources: int) -> EarlyStopping:
    given = {"HyperbandStrategyConfig": resources}
    config = {"Strategy": "Hyperband", "StrategyConfig": given}
    definition = {"StaticHyperParameters": {"epochs": epochs}}
    return early_stopping_of(config, definition, maximize=True)


@pytest.mark.parametrize(
    ("resources", "most"),
    [({}, 27), ({"MaxResource": 9}, 9), ({"MaxResource": 40}, 40), ({"MinResource": 5}, 27)],
)
def test_a_hyperband_job_ends_at_its_largest_resource(resources: dict[str, int], most: int) -> None:
    assert steps_of(hyperband(**resources), 0, [0.5] * 100) == most


@pytest.mark.parametrize(
    "definition",
    [{}, {"StaticHyperParameters": {"epoch": "9"}}, {"StaticHyperParameters": {"epochs": "many"}}],
)
def test_hyperband_needs_the_largest_resource_or_a_number_of_epochs(
    definition: dict[str, Any],
) -> None:
    """HyperbandStrategyConfig in the API reference: else "it generates a validation error"."""
    with pytest.raises(ApiError, match=r"MaxResource is missing .* epochs, numepochs, n-epochs"):
        early_stopping_of({"Strategy": "Hyperband"}, definition, maximize=True)


def test_hyperband_needs_no_fewer_epochs_than_its_least_resource() -> None:
    with pytest.raises(ApiError, match="MinResource 10 is greater than MaxResource 9"):
        hyperband(epochs="9", MinResource=10)


def test_least_and_largest_resource_may_be_equal() -> None:
    judge = hyperband(MinResource=3, MaxResource=3)
    assert [steps_of(judge, number, [0.1 * number] * 9) for number in range(6)] == [3] * 6


def test_rungs_grow_by_three_and_each_bracket_begins_a_rung_later() -> None:
    """Steps 1, 3 and 9 of 27: jobs 0, 3, 6, ... begin at 1, jobs 1, 4, ... at 3, the rest at 9."""
    judge = hyperband(MinResource=1, MaxResource=27)
    for number in range(9):
        steps_of(judge, number, [0.9] * 26)
    stopped = [steps_of(judge, number, [0.1] * 27) for number in (9, 10, 11)]
    assert stopped == [1, 3, 9]


def test_at_a_rung_the_best_third_continues() -> None:
    judge = hyperband(MinResource=1, MaxResource=3)  # one bracket with one rung
    values = [0.5, 0.4, 0.3, 0.6, 0.55, 0.1]
    assert [judge.should_stop(number, value) for number, value in enumerate(values)] == [
        False, False, True,  # two are too few to compare; the third is not the best of three
        False, False, True,  # the best, the second of five (two continue), the last of six
    ]  # fmt: skip


MEDIAN = {"Strategy": "Bayesian", "TrainingJobEarlyStoppingType": "Auto"}
RESOURCES = {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 3}}
ONE_RUNG = {"Strategy": "Hyperband", "StrategyConfig": RESOURCES}


@pytest.mark.parametrize("config", [MEDIAN, ONE_RUNG])
@pytest.mark.parametrize(
    ("maximize", "others", "value", "is_stopped"),
    [
        (True, 0.9, 0.1, True),
        (True, 0.1, 0.9, False),
        (True, -0.1, -0.9, True),
        (True, 0.0, -0.1, True),
        (True, 0.5, 0.5, False),
        (False, 0.1, 0.9, True),
        (False, 0.9, 0.1, False),
        (False, -0.9, -0.1, True),
        (False, 0.0, -0.1, False),
        (False, 0.5, 0.5, False),
        # The largest floats can be compared too.
        (True, 1.7e308, 1e308, True),
        (True, 1e308, 1.7e308, False),
        (False, 1e308, 1.7e308, True),
        (False, -1.7e308, -1e308, True),
    ],
)
def test_a_job_stops_if_its_objective_is_worse_and_no_other_does(
    config: dict[str, Any], *, maximize: bool, others: float, value: float, is_stopped: bool
) -> None:
    judge = early_stopping_of(config, {}, maximize=maximize)
    assert [judge.should_stop(number, others) for number in range(3)] == [False] * 3
    assert judge.should_stop(3, value) is is_stopped


def test_hyperband_compares_from_the_first_step_on_unless_it_is_told_otherwise() -> None:
    """Without resources, the brackets begin at steps 1, 3 and 9: every third job at the first."""
    judge = hyperband()
    for number in (0, 3, 6):
        judge.should_stop(number, 0.9)
    assert judge.should_stop(9, 0.1)

    later = hyperband(MinResource=2)
    for number in (0, 3, 6):
        steps_of(later, number, [0.9, 0.9])
    assert steps_of(later, 9, [0.1] * 9) == 2


def test_brackets_have_rungs_of_their_own() -> None:
    """Steps 1 and 3 of 9: even jobs are compared at both steps, odd ones at 3."""
    judge = hyperband(MaxResource=9)
    for number in (1, 3, 5):
        steps_of(judge, number, [0.9] * 3)
    for number in (0, 2, 4):
        steps_of(judge, number, [0.1] * 3)

    assert not judge.should_stop(6, 0.1)  # as good as the even ones
    assert steps_of(judge, 7, [0.95, 0.0, 0.5]) == 3  # no rung before the third step
    assert not judge.should_stop(6, 0.0)  # between two rungs


def test_an_average_is_over_the_steps_that_the_job_has_made() -> None:
    judge = MedianRule(maximize=True)
    for number in range(3):
        steps_of(judge, number, [0.25, 0.75, 0.0, 1.0])  # averages: 0.25, 0.5, 1/3, 0.5

    assert steps_of(judge, 3, [0.25, 0.5, 0.34, 0.5, 0.0]) == 5  # the first with a fifth step
    assert steps_of(judge, 4, [0.25, 0.4375, 0.34]) == 2
    assert steps_of(judge, 5, [0.25, 0.5, 0.3, 0.5]) == 3


def test_a_job_is_not_its_own_predecessor() -> None:
    judge = MedianRule(maximize=True)
    for number in range(2):
        judge.should_stop(number, 0.9)
    assert not judge.should_stop(2, 0.1)  # with itself, these would be three
