"""Settings with mistakes are refused with the field, the problem and the fix."""

from __future__ import annotations

from typing import Any

import pytest

from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.settings import parse_deployment

TEAMS: dict[str, Any] = {"teams": {"fraud": {}}}


@pytest.mark.parametrize(
    ("setting", "fix"),
    [
        ({"limits": {"instances": {"m5.large": 4}}}, "Did you mean ml.m5.large?"),
        ({"limits": {"instances": {"m5.large (spot)": 4}}}, "Did you mean ml.m5.large (spot)?"),
        ({"limits": {"headroom": {"g5.xlarge": 1}}}, "Did you mean ml.g5.xlarge?"),
        ({"prices": {"m5.large": 0.1}}, "Did you mean ml.m5.large?"),
        ({"guardrails": {"instance_types": ["m5.*"]}}, "Did you mean ml.m5.*?"),
    ],
)
def test_an_instance_type_without_its_prefix_is_refused(setting: dict[str, Any], fix: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        parse_deployment(TEAMS | setting)
    assert str(caught.value).endswith(fix)


@pytest.mark.parametrize(
    ("name", "default", "most"),
    # "Resource limits for automatic model tuning", SageMaker developer guide: default and most.
    [
        ("tuning_jobs", 100, 100),
        ("parallel_training_jobs", 10, 100),
        ("random_training_jobs", 750, 10_000),
    ],
)
def test_limits_are_those_that_aws_grants_at_first_and_at_most(
    name: str, default: int, most: int
) -> None:
    assert getattr(parse_deployment(TEAMS).limits, name) == default
    raised = parse_deployment(TEAMS | {"limits": {name: most}})
    assert getattr(raised.limits, name) == most
    with pytest.raises(InvalidSettings, match=rf"limits\.{name}"):
        parse_deployment(TEAMS | {"limits": {name: most + 1}})


def test_creations_start_with_a_small_burst() -> None:
    """Five processes that create jobs at once are throttled: aws/sagemaker-python-sdk issue 645."""
    limits = parse_deployment(TEAMS).limits
    assert (limits.creates_at_once, limits.creates_per_second) == (5, 5)


def test_instance_types_as_sagemaker_spells_them_are_taken() -> None:
    names = ("ml.m5.large", "ml.m5.large (spot)", "all training instances")
    limits = {"instances": dict.fromkeys(names, 4), "headroom": dict.fromkeys(names, 1)}
    guardrails = {"instance_types": ["ml.m5.*", "*.large", "ml.g5.xlarge"]}
    parse_deployment(TEAMS | {"limits": limits, "guardrails": guardrails})
