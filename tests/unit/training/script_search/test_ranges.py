"""Tests of the ranges of a search of any script."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from credit_default.container import TrainingFailed
from script_search.ranges import as_text, draw, read_space, typed


def drawn(each: dict[str, Any], count: int = 2000) -> list[str]:
    source = random.Random(0)
    return [draw({"x": each}, source)["x"] for _ in range(count)]


def test_values_are_drawn_evenly_in_the_scale_of_the_range() -> None:
    logarithmic = [float(text) for text in drawn({"type": "continuous", "min": 1e-4, "max": 1})]
    assert 0.45 < sum(value < 1e-2 for value in logarithmic) / 2000 < 0.55, "Auto: four decades"
    linear = [float(text) for text in drawn({"type": "continuous", "min": 0, "max": 1})]
    assert 0.45 < sum(value < 0.5 for value in linear) / 2000 < 0.55
    reverse = {"type": "continuous", "min": 0, "max": 0.9999, "scaling": "ReverseLogarithmic"}
    # -log(1 - x) is even: half of the values are above 1 - 1e-2
    assert 0.45 < sum(float(text) > 0.99 for text in drawn(reverse)) / 2000 < 0.55


def test_whole_numbers_include_both_ends() -> None:
    for scaling in ("Linear", "Logarithmic"):
        found = drawn({"type": "integer", "min": 2, "max": 5, "scaling": scaling})
        assert set(found) == {"2", "3", "4", "5"}


def test_values_are_written_as_a_request_writes_them_and_read_back() -> None:
    each = {"type": "categorical", "values": [True, 3, 0.5, "a"]}
    assert set(drawn(each)) == {"true", "3", "0.5", "a"}
    assert [typed(each, as_text(value)) for value in each["values"]] == each["values"]
    assert typed({"type": "integer", "min": 1, "max": 9}, "7") == 7
    assert math.isclose(typed({"type": "continuous", "min": 0, "max": 9}, "7.5"), 7.5)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ([], "not a JSON object"),
        ({"x": {"type": "real"}}, "x: type 'real' is not one of"),
        ({"x": {"type": "integer", "min": 1}}, "x: the range has no 'max'"),
        ({"x": {"type": "categorical", "values": []}}, "x: values [] is not a list"),
        ({"x": {"type": "integer", "min": 3, "max": 3}}, "x: min 3 is not below max 3"),
        ({"x": {"type": "integer", "min": "1", "max": 3}}, "x: min '1' and max 3 must be numbers"),
        (
            {"x": {"type": "continuous", "min": 0, "max": 3, "scaling": "Logarithmic"}},
            "x: Logarithmic scaling requires min above 0, not 0",
        ),
    ],
)
def test_an_invalid_range_is_named(written: Any, problem: str) -> None:
    with pytest.raises(TrainingFailed, match="--space: ") as raised:
        read_space(written)
    assert problem in str(raised.value)
