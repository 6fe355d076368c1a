"""Tests of asynchronous successive halving."""

from __future__ import annotations

import math
import random

from script_search.halving import Halving


def test_trials_are_compared_when_their_steps_have_grown_by_the_factor() -> None:
    halving = Halving(2, 3, maximize=True)
    assert [step for step in range(1, 60) if halving.is_rung(step)] == [2, 6, 18, 54]


def test_one_trial_in_four_continues_at_each_rung() -> None:
    aucs = random.Random(0)
    for maximize in (True, False):
        halving = Halving(1, 4, maximize=maximize)
        kept = [
            value for value in (aucs.random() for _ in range(400)) if halving.continues(1, value)
        ]
        assert 90 <= len(kept) <= 130, "asynchronous: the first values continue more often"
        assert (sum(kept) / len(kept) > 0.7) is maximize


def test_too_few_values_stop_no_trial() -> None:
    halving = Halving(1, 4, maximize=True)
    assert [halving.continues(1, value) for value in (0.9, 0.1, 0.2)] == [True] * 3
    assert not halving.continues(1, 0.3)
    assert halving.continues(2, 0.0), "not a rung"


def test_a_diverged_trial_never_continues() -> None:
    halving = Halving(1, 4, maximize=False)
    assert not halving.continues(3, math.nan)
    assert not halving.continues(3, -math.inf)
