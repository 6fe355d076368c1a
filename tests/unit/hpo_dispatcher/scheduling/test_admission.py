"""How far a team's queue has to be read."""

from __future__ import annotations

import pytest

from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.admission import Visibility
from hpo_dispatcher.scheduling.snapshot import Capacity
from tests.support.scheduling_scene import G5, M5, queued, running


@pytest.mark.parametrize(
    ("in_use", "heads", "hidden"),
    [
        (0, [{M5: 1}, {M5: 1}], True),  # a slot is left for a request behind them
        (1, [{M5: 1}], True),
        (1, [{M5: 1}, {M5: 1}], False),
        (2, [{M5: 1}], False),
        (2, [{M5: 9}], True),  # it does not fit, and others behind it may
        (2, [{G5: 1}, {G5: 1}], False),
        (2, [{G5: 2}, {G5: 2}], False),
        (2, [], True),
        (3, [], False),
    ],
)
def test_heads_hide_requests_behind_them_as_long_as_slots_are_left_if_all_start(
    in_use: int, heads: list[dict[str, int]], hidden: bool
) -> None:
    capacity = Capacity(tuning_jobs=3, instances={M5: 4, G5: 2})
    visibility = Visibility(capacity, {}, running("vision", in_use))
    queue = [queued("fraud", f"r{n}", 9 - n, each) for n, each in enumerate(heads)]
    assert visibility.may_hide("fraud", queue) is hidden
    assert visibility.full("fraud") is (in_use == 3)


def test_instances_of_a_head_that_starts_are_not_left_for_the_next() -> None:
    visibility = Visibility(Capacity(tuning_jobs=2, instances={G5: 2}), {}, [])
    heads = [queued("fraud", f"r{n}", 9 - n, {G5: 2}) for n in range(2)]
    assert visibility.may_hide("fraud", heads), "the second does not fit beside the first"


def test_a_team_at_its_ceiling_is_full_and_another_is_not() -> None:
    teams = {"fraud": TeamSettings(ceiling=0.5)}
    visibility = Visibility(Capacity(tuning_jobs=4), teams, running("fraud", 2))
    assert visibility.full("fraud")
    assert not visibility.full("vision")
