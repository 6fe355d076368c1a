"""Which fields of the API a request may have."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import Shape

from hpo_dispatcher.contract.errors import NotAllowed
from hpo_dispatcher.contract.message import parse_message
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.contract.settings import Guardrails
from hpo_dispatcher.tuning_job.api import schema
from hpo_dispatcher.tuning_job.api.decided_fields import (
    FIELDS,
    DecidedBy,
    Fields,
    check_decided,
    is_decided,
)
from tests.support.tuning_requests import STRICT, api_request, definition, job


def service_description() -> dict[str, Any]:
    description: dict[str, Any] = Loader().load_service_model("sagemaker", "service-2")
    return description


def in_botocore(shape: Shape, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each member that has no members of its own; a map is one member."""
    kind = shape.type_name
    if kind == "structure":
        for name, member in shape.members.items():  # type: ignore[attr-defined]
            yield from in_botocore(member, (*path, name))
    elif kind == "list":
        yield from in_botocore(shape.member, path)  # type: ignore[attr-defined]
    else:
        yield path


def decided(fields: DecidedBy | Fields, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(fields, DecidedBy):
        yield path
        return
    for name, below in fields.items():
        yield from decided(below, (*path, name))


def test_every_field_of_the_api_was_decided_on_and_no_other() -> None:
    """A field that this names is refused until decided_fields.py has a row for it."""
    shape = schema.input_shape()
    assert {".".join(each) for each in in_botocore(shape)} ^ {
        ".".join(each) for each in decided(FIELDS)
    } == set()
    assert is_decided(shape)


@pytest.fixture
def newer_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Return a function that adds a text to a structure of the API, as a later botocore may."""
    description = service_description()

    def add(shape: str, member: str) -> None:
        description["shapes"][shape]["members"][member] = {"shape": "S3Uri"}
        read_again()

    def read_again() -> None:
        schema.input_shape.cache_clear()
        schema._input_rule.cache_clear()

    monkeypatch.setattr(Loader, "load_service_model", lambda *_: description)
    yield add
    read_again()


DEFINITION = "HyperParameterTrainingJobDefinition"


@pytest.mark.parametrize("guardrails", [Guardrails(), STRICT])
@pytest.mark.parametrize(
    ("shape", "path"),
    [
        (DEFINITION, ("DebugHookConfig",)),
        ("HyperParameterTuningResourceConfig", ("HyperParameterTuningResourceConfig", "FleetUri")),
        ("CheckpointConfig", ("CheckpointConfig", "MirrorUri")),
    ],
)
def test_a_field_that_the_api_gets_later_is_refused(
    newer_api: Callable[[str, str], None], guardrails: Guardrails, shape: str, path: tuple[str, ...]
) -> None:
    newer_api(shape, path[-1])
    overrides: Any = "s3://artifacts/teams/fraud/x"
    for name in reversed(path):
        overrides = {name: overrides}
    fields = definition(**overrides)
    if "HyperParameterTuningResourceConfig" in path:
        with_type = fields["overrides"]["TrainingJobDefinition"]
        with_type["HyperParameterTuningResourceConfig"]["InstanceType"] = "ml.m5.large"
    if "CheckpointConfig" in path:
        own = "s3://artifacts/teams/fraud/checkpoints/"
        fields["overrides"]["TrainingJobDefinition"]["CheckpointConfig"]["S3Uri"] = own
    with pytest.raises(NotAllowed) as refused:
        job(guardrails, named={"tags": {"project": "x"}}, **fields)  # type: ignore[arg-type]
    assert refused.value.field == ".".join(("TrainingJobDefinition", *path))


def test_each_of_several_definitions_is_checked() -> None:
    request = {"TrainingJobDefinitions": [{"DefinitionName": "a"}, {"ProfilerConfig": {}}]}
    with pytest.raises(NotAllowed) as refused:
        check_decided(request)
    assert refused.value.field == "TrainingJobDefinitions.1.ProfilerConfig"


def test_requests_of_other_clients_have_only_decided_fields() -> None:
    message = parse_message(json.dumps({"api_request": api_request()}), "m1")
    assert isinstance(message, TuningRequest)
    assert message.api_request is not None
    check_decided(message.api_request)
