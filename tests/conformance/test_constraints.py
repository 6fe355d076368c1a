"""The constraints of each field of the create operations, in the words of AWS.

Source of each check: the page of the operation and of the field's type in the API reference,
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateHyperParameterTuningJob.html
and API_CreateTrainingJob.html, whose constraints botocore's model repeats. The words: public
reports such as aws/sagemaker-python-sdk issue 384 ("Value '...' at '...' failed to satisfy
constraint: Member must satisfy regular expression pattern") and zenml-io/zenml issue 1502
(two errors in one message, "Member must have length less than or equal to 63").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.conformance_requests import (
    NAME,
    SERVICE,
    TRAINING,
    TUNING,
    base_of,
    changed,
    new_name,
)
from tests.support.conformance_service import Service

DEPTH = 5  # members of members of members
# Values that most patterns do not match.
STRANGE = ("!", "-", "\t", "a b", "é")


@dataclass(frozen=True)
class Check:
    """One violation of one constraint."""

    operation: str
    path: str
    value: Any
    said: str  # part of the message; empty for a wrong type

    def __str__(self) -> str:
        return f"{self.operation}.{self.path}-{self.said[:40] or 'type'}"


def checks() -> Iterator[Check]:
    for operation in (TUNING, TRAINING):
        shape = SERVICE.operation_model(operation).input_shape
        yield from _of_structure(operation, shape, "", 0)


def _of_structure(operation: str, shape: Any, path: str, depth: int) -> Iterator[Check]:
    if depth > DEPTH:
        return
    for name, member in shape.members.items():
        inner = f"{path}.{name}".lstrip(".")
        if name in shape.required_members and inner not in NAME.values():
            yield Check(operation, inner, None, "Member must not be null")
        yield from _of_value(operation, member, inner)
        if member.type_name == "structure":
            yield from _of_structure(operation, member, inner, depth + 1)
        elif member.type_name == "list" and member.member.type_name == "structure":
            yield from _of_structure(operation, member.member, f"{inner}.0", depth + 1)


def _of_value(operation: str, shape: Any, path: str) -> Iterator[Check]:
    limits, kind = shape.metadata, shape.type_name
    match kind:
        case "string":
            yield Check(operation, path, 1.5, "")
            yield from _of_text(operation, limits, path)
        case "integer" | "long":
            yield Check(operation, path, "x", "")
            for limit, word, step in (("max", "less", 1), ("min", "greater", -1)):
                if limit in limits:
                    said = f"Member must have value {word} than or equal to {limits[limit]}"
                    yield Check(operation, path, limits[limit] + step, said)
        case "boolean":
            yield Check(operation, path, "x", "")
    if kind == "list" and limits.get("min"):
        said = f"Member must have length greater than or equal to {limits['min']}"
        yield Check(operation, path, [], said)


def _of_text(operation: str, limits: dict[str, Any], path: str) -> Iterator[Check]:
    if limits.get("enum"):
        yield Check(operation, path, "Nonsense", "Member must satisfy enum value set: [")
        return
    if "max" in limits:
        said = f"Member must have length less than or equal to {limits['max']}"
        yield Check(operation, path, "a" * (limits["max"] + 1), said)
    if limits.get("min"):
        said = f"Member must have length greater than or equal to {limits['min']}"
        yield Check(operation, path, "", said)
    if limits.get("pattern") and limits["pattern"] not in (".*", ".+"):
        said = f"Member must satisfy regular expression pattern: {limits['pattern']}"
        yield Check(operation, path, STRANGE[0], said)


ALL = list(checks())


@pytest.mark.parametrize("check", ALL, ids=str)
def test_a_violated_constraint_is_refused_in_the_words_of_aws(
    service: Service, check: Check
) -> None:
    request = base_of(check.operation) | {NAME[check.operation]: new_name()}
    request = changed(request, check.path, check.value)
    answer = service.call(check.operation, request)

    if not check.said:
        assert answer.code == "SerializationException", answer
        return
    assert answer.code == "ValidationException", answer
    where = ".".join(
        f"{int(part) + 1}.member" if part.isdigit() else part[0].lower() + part[1:]
        for part in check.path.split(".")
    )
    assert f"at '{where}' failed to satisfy constraint: {check.said}" in answer.message
    assert "validation error" in answer.message


def test_there_are_enough_checks() -> None:
    assert len(ALL) >= 300
