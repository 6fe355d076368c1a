"""The policies of the documentation name actions, resources and conditions that AWS knows."""

from __future__ import annotations

import json

import pytest

from infra.source import ROOT
from tests.support.policies import problems


@pytest.mark.parametrize("name", ["doctor-policy", "data-policy"])
def test_a_policy_to_copy_is_one_that_aws_takes(name: str) -> None:
    policy = json.loads((ROOT / "docs" / f"{name}.json").read_text())
    assert problems([(name, policy)]) == []
