"""The metrics of a training job, which workers find in its log."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from hpoq.local.sagemaker.training.logs.metrics import MetricFinder
from hpoq.local.sagemaker.training.logs.pattern_search import (
    MOST_SLOW_LINES,
    Found,
    PatternSearch,
    is_quick,
    required_text,
)


@pytest.fixture(scope="module")
def search() -> Iterator[PatternSearch]:
    made = PatternSearch()
    yield made
    made.close()


def finder(search: PatternSearch, **patterns: str) -> MetricFinder:
    return MetricFinder([{"Name": k, "Regex": v} for k, v in patterns.items()], search)


def test_values_come_in_the_order_of_printing(search: PatternSearch) -> None:
    made = finder(search, loss=r"loss=(\S+)", auc=r"auc=(\S+)")
    lines = [(1.0, "auc=0.5 loss=3 loss=2"), (2.0, "nothing"), (3.0, "auc=0.6")]
    found = [(each.name, each.value, each.at) for each in made.find(lines)]
    assert found == [("loss", 3, 1), ("loss", 2, 1), ("auc", 0.5, 1), ("auc", 0.6, 3)]


def test_text_that_is_not_a_finite_number_is_skipped(search: PatternSearch) -> None:
    made = finder(search, m=r"a: (\S+)|b: (\S+)")
    lines = [(1.0, each) for each in ("a: nan", "a: inf", "a: text", "b: 2", "a: é", "a: -1e3")]
    assert [each.value for each in made.find(lines)] == [-1000]


def test_a_pattern_without_a_group_matches_whole(search: PatternSearch) -> None:
    assert [each.value for each in finder(search, m=r"[0-9.]+").find([(1.0, "7 8.5")])] == [7, 8.5]


def test_a_job_without_definitions_or_lines_starts_no_worker() -> None:
    search = PatternSearch()
    assert finder(search).find([(1.0, "auc=1")]) == []
    assert finder(search, m="x").find([]) == []
    search.close()


def test_a_closed_search_finds_nothing(search: PatternSearch) -> None:
    closed = PatternSearch()
    closed.close()
    assert finder(closed, m=r"(\d)").find([(1.0, "1")]) == []


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"auc=([0-9.]+)", "auc="),
        (r".*\[[0-9]+\].*#011validation-auc:([-+\w.]+)", "#011validation-auc:"),
        (r"a: (\d+)|b: (\d+)", ""),
        (r"(?i)auc=(\d)", ""),
        (r"(?:auc=)?(\d+)", ""),
        (r"x*abc{2}", "ab"),
        (r"\d+", ""),
        (r"(?x) a b =", ""),
        (r"\[epoch\] \x41b\d auc: ", "[epoch] "),
        (r"(?#a)bc", ""),
        (r"(a(b|c)d[)(]e)f|g", ""),
        (r"(a(b|c)d[)(]e)f\|g", "f|g"),
        (r"a{0}bc", "bc"),
    ],
)
def test_the_text_that_each_match_contains(pattern: str, expected: str) -> None:
    assert required_text(pattern) == expected


@pytest.mark.parametrize(
    ("pattern", "most"),
    [
        (r"auc=(\d)", 999_999),
        (r"auc=([0-9.]+)", 999),
        (r"auc=([0-9.]*)|loss=(.*)", 78),
        (r"(?:auc)?=(\d{2,3})?", 62_499),
        (r"(a+)+b", 0),
        (r"(a|a)*b", 0),
        (r"(a){3}b", 0),
        (r"(?i)a", 0),
        (r"(a*)\1b", 0),
    ],
)
def test_a_search_is_quick_if_no_line_of_its_length_can_take_long(pattern: str, most: int) -> None:
    lengths = [length for length in (0, most, most + 1) if is_quick(pattern, ["x" * length])]
    assert max(lengths, default=0) == most


PATTERNS = st.text(r"ab=|()[]^\\.*+?{}0,2:-#dwx", max_size=12)


@given(PATTERNS, st.text("ab=02[(-", max_size=8))
@example("a?", "")
@example("a{0}b", "b")
@example(r"(?:a)?b", "b")
@example(r"a\|b", "a|b")
@example(r"\x61", "a")
def test_each_match_contains_the_text(pattern: str, line: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = re.search(pattern, line)
    except (re.error, FutureWarning, OverflowError):
        assume(False)
        raise
    text = required_text(pattern)
    assert not found or text in found[0]


def test_only_lines_that_a_pattern_may_match_are_searched() -> None:
    searched: list[str] = []

    class Search(PatternSearch):
        def search(self, patterns: Sequence[str], lines: Sequence[str]) -> list[Found]:
            searched.extend(lines)
            return [Found([(0, "1")]) for _ in patterns]

    made = finder(Search(), loss=r"loss=(\d)", auc=r"auc=(\d)")
    assert [each.at for each in made.find([(1.0, "x"), (2.0, "auc=1"), (3.0, "loss")])] == [2, 2]
    assert searched == ["auc=1"]


class SlowSearch(PatternSearch):
    """A search in which the second pattern takes too long for some lines."""

    def __init__(self, *slow: int) -> None:
        super().__init__()
        self._slow = slow

    def search(self, patterns: Sequence[str], lines: Sequence[str]) -> list[Found]:
        return [Found([(0, "1")]), *(Found([], list(self._slow)) for _ in patterns[1:])]


def test_a_line_that_takes_too_long_is_reported_and_the_metric_stays() -> None:
    made = finder(SlowSearch(1), good="g", slow="s")
    lines = [(1.0, "gs"), (1.0, "s" * 40)]
    assert [each.name for each in made.find(lines)] == ["good"]
    assert made.problems == [
        "hpoq: a line of 40 characters has no values of the metric slow: its regular expression "
        "takes more than 1 s"
    ]


def test_a_metric_that_takes_too_long_again_and_again_is_given_up() -> None:
    made = finder(SlowSearch(*range(MOST_SLOW_LINES)), good="g", slow="s")
    lines = [(1.0, "gs")] * MOST_SLOW_LINES
    made.find(lines)
    assert made.problems[-1] == "hpoq: the metric slow is not searched for from here on"
    made.problems.clear()
    assert [each.name for each in made.find(lines)] == ["good"]
    assert made.problems == []
