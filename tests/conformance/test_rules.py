"""What AWS refuses, and accepts, beyond the constraints of single fields (rules.yaml)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.conformance_requests import NAME, TRAINING, TUNING, base_of, changed
from tests.support.conformance_service import Answer, Service

OPERATIONS = {"T": TUNING, "J": TRAINING}
STOPS = {TUNING: "StopHyperParameterTuningJob", TRAINING: "StopTrainingJob"}
RULES = yaml.safe_load(Path(__file__).with_name("rules.yaml").read_text())


def request_of(rule: dict[str, Any]) -> dict[str, Any]:
    request = base_of(OPERATIONS[rule["operation"]])
    for path, value in rule["set"].items():
        request = changed(request, path, value)
    return request


def result(service: Service, operation: str, request: dict[str, Any]) -> Answer:
    """Create a job and stop it at once."""
    answer = service.call(operation, request)
    if not answer.code:
        service.call(STOPS[operation], {NAME[operation]: request[NAME[operation]]})
    return answer


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["check"])
def test_aws_refuses_and_accepts(service: Service, rule: dict[str, Any]) -> None:
    answer = result(service, OPERATIONS[rule["operation"]], request_of(rule))

    assert answer.code == rule.get("code", ""), answer
    assert rule.get("says", "") in answer.message


def test_every_rule_has_a_source() -> None:
    assert all(rule["source"].startswith(("A/", "D/", "https://")) for rule in RULES)
    assert len({rule["check"] for rule in RULES}) == len(RULES)
