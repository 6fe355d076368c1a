"""Where moto, another implementation of the API, disagrees with these checks.

A difference says that one of both is wrong; the comment says which, by the source of the check.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.conformance_requests import (
    NAME,
    TRAINING,
    TUNING,
    at,
    base_of,
    changed,
    leaves,
)
from tests.support.conformance_service import ON_AWS, Service

RULES = yaml.safe_load(Path(__file__).with_name("rules.yaml").read_text())
OPERATIONS = {"T": TUNING, "J": TRAINING}
pytestmark = pytest.mark.skipif(ON_AWS, reason="AWS itself is the first opinion")
DESCRIBE = {TUNING: "DescribeHyperParameterTuningJob", TRAINING: "DescribeTrainingJob"}


def test_moto_returns_the_same_fields(moto: Service) -> None:
    different = []
    for operation in (TUNING, TRAINING):
        request = base_of(operation)
        assert not moto.call(operation, request).code
        name = {NAME[operation]: request[NAME[operation]]}
        body = moto.call(DESCRIBE[operation], name).body
        different += [
            f"{operation}.{path}" for path, value in leaves(request) if at(body, path) != value
        ]
    assert different == DIFFERENT_FIELDS


def test_moto_accepts_what_these_checks_accept(moto: Service) -> None:
    refused = []
    for rule in RULES:
        if "code" not in rule:
            operation = OPERATIONS[rule["operation"]]
            request = base_of(operation)
            for path, value in rule["set"].items():
                request = changed(request, path, value)
            if moto.call(operation, request).code:
                refused.append(rule["check"])
    assert refused == REFUSED


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("DescribeHyperParameterTuningJob", "ResourceNotFound"),
        ("DescribeTrainingJob", "ValidationException"),
    ],
)
def test_moto_has_the_same_codes_for_unknown_names(
    moto: Service, service: Service, operation: str, code: str
) -> None:
    name = {f"{operation.removeprefix('Describe')}Name": "nobody"}
    assert moto.call(operation, name).code == service.call(operation, name).code == code


def refuses(moto: Service, rule: dict[str, Any]) -> bool:
    operation = OPERATIONS[rule["operation"]]
    request = base_of(operation)
    for path, value in rule["set"].items():
        request = changed(request, path, value)
    try:
        return bool(moto.call(operation, request).code)
    except (KeyError, TypeError, AttributeError):  # moto's own errors, which are no answers
        return True


def test_moto_checks_few_rules(moto: Service) -> None:
    """moto creates nearly every job: it is no second opinion on refusals."""
    refused = [rule["check"] for rule in RULES if "code" in rule and refuses(moto, rule)]
    assert refused == ALSO_REFUSED


# moto replaces the metric definitions and ignores the others: API_DescribeTrainingJob.html.
DIFFERENT_FIELDS = [
    "CreateTrainingJob.AlgorithmSpecification.MetricDefinitions.0.Name",
    "CreateTrainingJob.AlgorithmSpecification.MetricDefinitions.0.Regex",
    "CreateTrainingJob.RetryStrategy.MaximumRetryAttempts",
    "CreateTrainingJob.Environment.COLOR",
]
REFUSED: list[str] = []
ALSO_REFUSED: list[str] = []
