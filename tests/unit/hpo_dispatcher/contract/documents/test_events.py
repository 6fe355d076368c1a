"""The model of state-change events agrees with their published schema."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from hpo_dispatcher.contract.documents.events import StateChange
from hpo_dispatcher.contract.entry import Status
from tests.support.event_schema import SCHEMA, check

DETAIL = SCHEMA["$defs"]["detail"]


def test_model_and_schema_have_the_same_members() -> None:
    assert set(StateChange.model_fields) == set(DETAIL["properties"])
    assert set(DETAIL["properties"]) - {"target"} == set(DETAIL["required"])


def test_model_and_schema_have_the_same_states_and_version() -> None:
    of_model = StateChange.model_json_schema()
    assert of_model["$defs"]["Status"]["enum"] == SCHEMA["$defs"]["status"]["enum"]
    assert of_model["properties"]["version"]["const"] == DETAIL["properties"]["version"]["const"]


@pytest.mark.parametrize("previous", [None, *Status])
def test_what_the_model_publishes_is_valid_and_read_as_it_was(previous: Status | None) -> None:
    change = StateChange(
        deployment="hpoq", team="fraud", request_id="r", status=Status.QUEUED,
        previous_status=previous, at=datetime(2026, 11, 23, 12, 0, 0, 512_000, tzinfo=UTC),
    )  # fmt: skip
    detail = json.loads(change.to_json())
    event = {"source": "hpoq", "detail-type": "Request State Change", "time": detail["at"]}
    check(event | {"detail": detail})
    assert detail["at"] == "2026-11-23T12:00:00.512Z"
    assert StateChange.model_validate_json(change.to_json()) == change


@pytest.mark.parametrize(
    ("target", "published"), [("home", {}), ("research", {"target": "research"})]
)
def test_an_event_names_the_target_unless_that_is_home(
    target: str, published: dict[str, str]
) -> None:
    change = StateChange(
        deployment="hpoq", team="fraud", request_id="r", status=Status.IN_PROGRESS,
        previous_status=Status.QUEUED, at=datetime(2026, 11, 23, tzinfo=UTC), target=target,
    )  # fmt: skip
    detail = json.loads(change.to_json())
    event = {"source": "hpoq", "detail-type": "Request State Change", "time": detail["at"]}
    check(event | {"detail": detail})
    assert {name: value for name, value in detail.items() if name == "target"} == published
    assert StateChange.model_validate_json(change.to_json()) == change
