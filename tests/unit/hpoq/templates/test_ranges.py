"""Which range is suggested for an option."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from hpo_dispatcher.contract.request import Range
from hpoq.templates.ranges import suggested_range
from hpoq.templates.script import ScriptOption

LOG = {"scaling": "Logarithmic"}


@pytest.mark.parametrize(
    ("option", "range_"),
    [
        (ScriptOption(name="lr", type="float", default=0.001),
         {"type": "continuous", "min": 0.0001, "max": 0.01, **LOG}),
        (ScriptOption(name="weight-decay", type="float", default=0.0),
         {"type": "continuous", "min": 0.001, "max": 0.1, **LOG}),
        (ScriptOption(name="dropout", type="float", default=0.5),
         {"type": "continuous", "min": 0.0, "max": 1.0}),
        (ScriptOption(name="momentum", type="float", default=0.9),
         {"type": "continuous", "min": 0.7, "max": 1.0}),
        (ScriptOption(name="scale", type="float", default=2.0),
         {"type": "continuous", "min": 0.5, "max": 8.0}),
        (ScriptOption(name="batch-size", type="int", default=64),
         {"type": "integer", "min": 16, "max": 256, **LOG}),
        (ScriptOption(name="max-depth", type="int", default=6),
         {"type": "integer", "min": 1, "max": 24}),
        (ScriptOption(name="max-leaf-nodes", type="int"), {"type": "integer", "min": 1, "max": 10}),
        (ScriptOption(name="optimizer", choices=("adam", "sgd")),
         {"type": "categorical", "values": ["adam", "sgd"]}),
        (ScriptOption(name="loss", choices=("only",)), None),
        (ScriptOption(name="epochs", type="int", default=10), None),
        (ScriptOption(name="seed", type="int", default=1), None),
        (ScriptOption(name="data-dir"), None),
        (ScriptOption(name="flag", takes_one_value=False), None),
        (ScriptOption(name="text"), None),
    ],
)  # fmt: skip
def test_a_range_follows_from_type_default_and_name(
    option: ScriptOption, range_: dict[str, Any] | None
) -> None:
    assert suggested_range(option) == range_


@given(
    name=st.sampled_from(["lr", "dropout", "momentum", "scale", "depth", "batch-size"]),
    type_=st.sampled_from(["int", "float"]),
    default=st.one_of(st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.floats(-1e9, 1e9)),
)
def test_every_suggestion_is_a_valid_range(name: str, type_: str, default: Any) -> None:
    found = suggested_range(ScriptOption(name=name, type=type_, default=default))
    TypeAdapter(Range).validate_python(found)
