"""The texts that are bounds of a range of numbers."""

from __future__ import annotations

from typing import Any

import pytest

from hpoq.local.sagemaker.errors import ApiError
from hpoq.local.sagemaker.tuning.suggest import parameters


def number(low: str, high: str, scaling: str = "Auto", kind: str = "Continuous") -> Any:
    each = {"Name": "p", "MinValue": low, "MaxValue": high, "ScalingType": scaling}
    return parameters({f"{kind}ParameterRanges": [each]})["p"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7.0),
        ("+7", 7.0),
        ("-7", -7.0),
        ("7.", 7.0),
        (".5", 0.5),
        ("1.25", 1.25),
        ("25E-1", 2.5),
        ("1e+1", 10.0),
        ("\t3 ", 3.0),
        ("", None),
        (".", None),
        ("1e", None),
        ("1,5", None),
        ("0x10", None),
        ("1_0.5", None),
        ("nan", None),
        ("Infinity", None),
        ("\u0663", None),  # a digit of another script
    ],
)
def test_a_bound_of_a_continuous_range_is_a_decimal_number(text: str, value: float | None) -> None:
    if value is not None:
        assert number(text, "50").low == value
    else:
        with pytest.raises(ApiError, match=r"p: MinValue \[.*\] is not a number"):
            number(text, "50")


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), ("+7", 7), ("-7", -7), ("007", 7), (" 7", None), ("7.0", None), ("", None),
     ("7e0", None), ("\u0663", None), (str(-(2**63) - 1), None)],
)  # fmt: skip
def test_a_bound_of_an_integer_range_is_a_java_integer(text: str, value: int | None) -> None:
    if value is not None:
        assert number(text, "50", kind="Integer").low == value
    else:
        with pytest.raises(ApiError, match=r"p: MinValue \[.*\] is not an integer"):
            number(text, "50", kind="Integer")


def test_a_refused_range_is_named_with_its_bounds() -> None:
    for low, high, scaling, problem in (
        ("3", "2", "Auto", "p: MinValue 3.0 is greater than MaxValue 2.0"),
        ("-1e308", "1e308", "Auto", r"p: the range from -1e\+308 to 1e\+308 is too wide"),
        ("-1", "2", "Logarithmic", "p: logarithmic scaling needs MinValue above 0"),
        ("0", "1", "ReverseLogarithmic", "p: reverse logarithmic scaling needs"),
    ):
        with pytest.raises(ApiError, match=problem):
            number(low, high, scaling)
