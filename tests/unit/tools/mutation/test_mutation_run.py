from __future__ import annotations

import pytest

from hpoq.campaign.planning.estimate import longest_residual
from tools.mutation.mutation_run import (
    MOST_SECONDS,
    NOTING,
    UNDER_TEST,
    clear_caches,
    places,
    pytest_runtest_setup,
)

SECONDS = {"slow": 2.0, "quick": 0.01, "other": 0.1}


def first(kills: list[str], mutant: str = "rules.x_f__mutmut_2") -> str:
    place = places(kills, mutant, SECONDS)
    return min(place, key=lambda test: place[test])


def test_a_mutant_sees_nothing_that_functions_have_kept_from_before() -> None:
    longest_residual(3, 0.5, 0.5)
    assert longest_residual.cache_info().currsize > 0
    clear_caches()
    assert longest_residual.cache_info().currsize == 0


@pytest.mark.parametrize(("run", "kept"), [(NOTING, 0), ("rules.x_f__mutmut_1", 1), ("", 1)])
def test_while_mutmut_notes_what_tests_reach_each_test_computes_everything_itself(
    monkeypatch: pytest.MonkeyPatch, run: str, kept: int
) -> None:
    """A mutant is later tested by those tests only that are known to reach it."""
    monkeypatch.setenv(UNDER_TEST, run)
    monkeypatch.setattr("time.process_time", lambda: 0.0)
    longest_residual.cache_clear()
    longest_residual(3, 0.5, 0.5)
    pytest_runtest_setup()
    assert longest_residual.cache_info().currsize == kept


def test_quick_tests_come_first() -> None:
    assert first([]) == "quick"


def test_a_test_that_killed_a_mutant_of_the_function_comes_before_quick_ones() -> None:
    assert first(["rules.x_f__mutmut_1 other"]) == "other"


def test_a_killer_of_the_same_function_comes_before_one_of_the_same_module() -> None:
    assert first(["rules.x_g__mutmut_1 slow", "rules.x_f__mutmut_1 other"]) == "other"


def test_killers_in_other_modules_do_not_count() -> None:
    assert first(["names.x_f__mutmut_1 slow"]) == "quick"


def test_a_mutant_that_no_test_kills_in_time_survives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(UNDER_TEST, "rules.x_f__mutmut_1")
    monkeypatch.setattr("time.process_time", lambda: MOST_SECONDS)
    pytest_runtest_setup()
    monkeypatch.setattr("time.process_time", lambda: MOST_SECONDS + 0.1)
    with pytest.raises(pytest.exit.Exception) as ended:
        pytest_runtest_setup()
    assert ended.value.returncode == 0


@pytest.mark.parametrize("run", ["", "stats", "list_all_tests"])
def test_all_tests_run_without_a_mutant(monkeypatch: pytest.MonkeyPatch, run: str) -> None:
    monkeypatch.setenv(UNDER_TEST, run)
    monkeypatch.setattr("time.process_time", lambda: MOST_SECONDS + 0.1)
    pytest_runtest_setup()
