from __future__ import annotations

from typing import Any

import pytest

from hpo_dispatcher.contract.request import wire_value


@pytest.mark.parametrize(
    ("value", "written"), [(True, "true"), (3, "3"), (1e-05, "1e-05"), (0.0, "0.0"), ("x", "x")]
)
def test_hyperparameters_go_over_the_wire_as_strings(value: Any, written: str) -> None:
    assert wire_value(value) == written
