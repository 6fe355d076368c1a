"""Names of resources per target."""

from __future__ import annotations

import pytest

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.targets.resources import (
    all_on_target,
    on_target,
    over_targets,
    target_of,
    without_target,
)


@pytest.mark.parametrize(
    ("target", "resource", "name"),
    [
        ("home", "ml.g5.xlarge", "ml.g5.xlarge"),
        ("research", "ml.g5.xlarge", "research/ml.g5.xlarge"),
        ("research", "ml.g5.xlarge (spot)", "research/ml.g5.xlarge (spot)"),
        ("home", "tuning jobs", "tuning jobs"),
        ("eu-2", "tuning jobs", "eu-2/tuning jobs"),
        ("eu-2", aws_limits.ALL_INSTANCES, "eu-2/all training instances"),
    ],
)
def test_a_name_says_the_target_unless_it_is_home(target: str, resource: str, name: str) -> None:
    assert on_target(target, resource) == name
    assert (target_of(name), without_target(name)) == (target, resource)


def test_amounts_of_one_resource_add_up_over_targets() -> None:
    amounts = {**all_on_target("home", {"a": 1}), **all_on_target("research", {"a": 2, "b": 3})}
    assert over_targets(amounts.items()) == {"a": 3, "b": 3}
