"""How trials are cut into tuning jobs, worked out by hand from the rules in ``shapes``."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpoq.campaign.planning.shapes import Shape, divided, even, guided, lanes, split


def pairs(shapes: list[Shape]) -> list[tuple[int, int]]:
    return [(each.trials, each.parallel) for each in shapes]


@pytest.mark.parametrize(
    ("slots", "parallel", "widths"),
    [
        (1, 10, [1]),
        (10, 10, [10]),
        (11, 10, [6, 5]),
        (25, 10, [9, 8, 8]),
        (40, 10, [10, 10, 10, 10]),
        (3, 1, [1, 1, 1]),
    ],
)
def test_the_fewest_lanes_fill_all_slots_evenly(
    slots: int, parallel: int, widths: list[int]
) -> None:
    assert lanes(slots, parallel) == widths


@pytest.mark.parametrize(
    ("trials", "parts", "numbers"),
    [(9, 3, [3, 3, 3]), (10, 3, [4, 3, 3]), (11, 3, [4, 4, 3]), (2, 3, [1, 1, 0]), (7, 1, [7])],
)
def test_parts_differ_by_one_at_most(trials: int, parts: int, numbers: list[int]) -> None:
    assert divided(trials, parts) == numbers


@pytest.mark.parametrize(
    ("trials", "widths", "expected"),
    [
        (10, [2, 3], [(4, 2), (6, 3)]),
        (100, [10, 10], [(50, 10), (50, 10)]),
        (1, [5, 5], [(1, 1)]),  # an empty lane is left out
        (3, [10], [(3, 3)]),  # no more at once than there are
    ],
)
def test_each_lane_gets_its_share(
    trials: int, widths: list[int], expected: list[tuple[int, int]]
) -> None:
    assert pairs(even(trials, widths)) == expected


@pytest.mark.parametrize(
    ("shape", "most", "expected"),
    [
        ((4, 2), 4, [(4, 2)]),
        ((5, 2), 4, [(3, 2), (2, 2)]),
        ((10, 4), 4, [(4, 4), (3, 3), (3, 3)]),
    ],
)
def test_a_job_above_the_limit_becomes_several_equal_ones(
    shape: tuple[int, int], most: int, expected: list[tuple[int, int]]
) -> None:
    assert pairs(split([Shape(*shape)], most)) == expected


TEN: dict[str, Any] = {"slots": 10, "tuning_jobs": 100, "parallel": 10, "max_trials": 750}


@pytest.mark.parametrize(
    ("trials", "limits", "expected"),
    [
        # All run at once: nothing follows.
        (10, TEN, [(10, 10)]),
        (4, TEN, [(4, 4)]),
        # Three tenths of what is beyond the first round become narrow jobs.
        (20, TEN, [(17, 10), (1, 1), (1, 1), (1, 1)]),
        # A narrow job takes a twentieth of what is left: half of the share of a slot.
        (110, TEN, [(80, 10)] + [(2, 1)] * 5 + [(1, 1)] * 20),
        # With ten tuning jobs for a hundred slots, a narrow job fills ten slots.
        (200, TEN | {"slots": 100, "tuning_jobs": 10}, [(17, 10)] * 10 + [(10, 10)] * 3),
        # 73 wide trials where a job holds 20: one generation, then two of half the width.
        (
            100,
            TEN | {"max_trials": 20},
            [(20, 10), (13, 5), (14, 5), (13, 5), (13, 5)] + [(2, 1)] * 4 + [(1, 1)] * 19,
        ),
        # At most thirty rounds are narrow.
        (
            2000,
            TEN | {"slots": 2, "tuning_jobs": 2, "parallel": 2},
            [(750, 2), (595, 1), (595, 1)]
            + [(n, 1) for n in (15, 12, 9, 6, 5, 4, 3, 2, 1, 1, 1, 1)],
        ),
        # A narrow job holds no more than a tuning job may.
        (
            40,
            TEN | {"slots": 4, "tuning_jobs": 1, "parallel": 4, "max_trials": 4},
            [(4, 4)] * 6 + [(3, 3)] * 2 + [(4, 4), (4, 4), (2, 2)],
        ),
    ],
)
def test_jobs_shrink_toward_the_end(
    trials: int, limits: dict[str, Any], expected: list[tuple[int, int]]
) -> None:
    made = guided(trials, **limits)
    assert sum(each.trials for each in made) == trials
    assert pairs(made) == expected


@given(
    trials=st.integers(1, 5_000), slots=st.integers(1, 60), tuning_jobs=st.integers(1, 60),
    parallel=st.integers(1, 12), max_trials=st.integers(3, 750),
)  # fmt: skip
def test_whatever_the_limits_jobs_hold_whole_trials_within_them(
    trials: int, slots: int, tuning_jobs: int, parallel: int, max_trials: int
) -> None:
    narrow = -(-slots // tuning_jobs)
    made = guided(
        trials, slots=slots, tuning_jobs=tuning_jobs, parallel=max(parallel, narrow),
        max_trials=max_trials,
    )  # fmt: skip
    assert sum(each.trials for each in made) == trials
    assert all(type(number) is int for each in made for number in (each.trials, each.parallel))
    assert all(1 <= each.parallel <= each.trials for each in made)
    assert all(each.trials <= max_trials for each in made)


@pytest.mark.parametrize("trials", range(19, 90))
def test_a_generation_of_uneven_lanes_is_filled_to_the_limit_of_its_widest(trials: int) -> None:
    """25 slots are lanes of 9, 8 and 8: seven trials in the widest are 19 in all."""
    made = guided(trials, slots=25, tuning_jobs=100, parallel=10, max_trials=7)
    assert sum(each.trials for each in made) == trials
    assert max(each.trials for each in made) <= 7
