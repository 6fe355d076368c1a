from __future__ import annotations

import json
from typing import Any

import pytest

from hpoq.doctor.checks.answers import allows_service


def policy(principal: Any, effect: str = "Allow") -> dict[str, Any]:
    return {"Statement": [{"Effect": effect, "Principal": principal, "Action": "sns:Publish"}]}


SERVICE = "cloudwatch.amazonaws.com"


@pytest.mark.parametrize(
    ("document", "allowed"),
    [
        (policy({"Service": SERVICE}), True),
        (policy({"Service": ["events.amazonaws.com", SERVICE]}), True),
        (json.dumps(policy({"Service": SERVICE})), True),
        (policy({"Service": SERVICE}, effect="Deny"), False),
        (policy({"Service": "events.amazonaws.com"}), False),
        (policy({"AWS": "*"}), False),
        (policy("*"), False),
        ({}, False),
    ],
)
def test_a_policy_allows_a_service_that_it_names(document: Any, allowed: bool) -> None:
    assert allows_service(document, SERVICE) is allowed
