"""Our typed JSON is DynamoDB's: held against boto3's own, which is not in the function."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from hpo_dispatcher.contract.ledger.dynamodb_json import read, typed

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.text(),
    st.integers(-(10**37), 10**37),
    st.decimals(-(10**6), 10**6, allow_nan=False, places=6),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_values_are_written_and_read_as_boto3_does(value: Any) -> None:
    assert typed(value) == TypeSerializer().serialize(value)
    assert read(typed(value)) == TypeDeserializer().deserialize(typed(value)) == value


@given(st.floats(-1e30, 1e30, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-30))
def test_a_float_comes_back_as_it_was(value: float) -> None:
    assert float(read(typed(value))) == value


@pytest.mark.parametrize("stored", [{"SS": ["a", "b"]}, {"NS": ["1", "2.5"]}, {"B": b"x"}])
def test_what_others_may_have_written_can_be_read(stored: Any) -> None:
    expected = TypeDeserializer().deserialize(stored)
    assert read(stored) == getattr(expected, "value", expected)


@pytest.mark.parametrize("value", [object(), b"x", {1, 2}, Decimal("1e200"), 10**40 + 1])
def test_what_has_no_exact_counterpart_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ArithmeticError)):
        typed(value)


def test_the_error_names_the_type_that_has_no_counterpart() -> None:
    with pytest.raises(TypeError, match="no DynamoDB type for bytes"):
        typed({"content": [b"x"]})


def test_the_function_imports_neither_the_sdk_nor_what_boto3_adds_to_botocore() -> None:
    """A cold start's worth: docs/decisions/0020."""
    asked = "import sys, hpo_dispatcher.handler; print(' '.join(sys.modules))"
    path = ":".join(entry for entry in sys.path if entry)
    ended = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": path, "AWS_REGION": "eu-central-1"},
    )  # fmt: skip
    imported = set(ended.stdout.split())
    heavy = {"boto3", "s3transfer", "sagemaker", "jsonschema", "pandas", "numpy", "aws_xray_sdk"}
    assert imported & heavy == set()
