"""Guardrails of a deployment together with those of a team or a target."""

from __future__ import annotations

from typing import Any

import pytest

from hpo_dispatcher.contract.guardrails import Guardrails

FIRST_VPC, SECOND_VPC = (
    {"subnets": (f"subnet-{digit}",), "security_group_ids": (f"sg-{digit}",)} for digit in "12"
)
CHOSEN = [
    ("vpc", FIRST_VPC, SECOND_VPC),
    ("volume_kms_key", "key-1", "key-2"),
    ("output_kms_key", "key-1", "key-2"),
]


def opened(above: dict[str, Any], team: dict[str, Any]) -> dict[str, Any]:
    rules = Guardrails.model_validate(team)
    return Guardrails.model_validate(above).opened_for(rules).model_dump()


@pytest.mark.parametrize(("name", "first", "second"), CHOSEN)
def test_network_and_keys_of_the_team_replace_those_of_the_deployment(
    name: str, first: Any, second: Any
) -> None:
    assert opened({name: first}, {name: second})[name] == second
    assert opened({name: first}, {})[name] == first
    assert opened({}, {name: second})[name] == second


@pytest.mark.parametrize("name", ["spot_only", "network_isolation", "inter_container_encryption"])
def test_what_the_deployment_or_the_team_requires_is_required(name: str) -> None:
    for above, team, required in (
        (True, False, True), (False, True, True), (True, True, True), (False, False, False),
    ):  # fmt: skip
        assert opened({name: above}, {name: team})[name] is required


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("input_prefixes", "s3://lake/a/", "s3://lake/b/"),
        ("output_prefixes", "s3://lake/a/", "s3://lake/b/"),
        ("input_file_systems", "fs-1", "fs-2"),
        ("output_file_systems", "fs-1", "fs-2"),
    ],
)
def test_what_the_team_opens_is_open_besides_what_the_deployment_opens(
    name: str, first: str, second: str
) -> None:
    assert opened({name: [first]}, {name: [second]})[name] == (first, second)


def test_limits_of_a_team_are_checked_by_themselves() -> None:
    """Both limits apply: a team's does not replace the deployment's."""
    assert opened({"max_training_jobs": 5}, {"max_training_jobs": 9})["max_training_jobs"] == 5
