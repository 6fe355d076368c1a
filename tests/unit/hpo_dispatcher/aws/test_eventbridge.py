"""State-change events are a contract: their schema is published, and stays."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.names import EVENT_SOURCE, REQUEST_EVENT
from tests.support.api_calls import api_calls
from tests.support.dispatcher_account import Account
from tests.support.event_schema import SCHEMA, check

# As version 1 was published; a change here breaks whoever reads the events.
VERSION_1 = {
    "version", "team", "request_id", "status", "previous_status", "tuning_job_name", "reason", "at",
}  # fmt: skip


def test_the_schema_is_one_and_what_was_published_stays() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    detail = SCHEMA["$defs"]["detail"]
    assert VERSION_1 <= set(detail["required"]) <= set(detail["properties"])
    assert set(SCHEMA["$defs"]["status"]["enum"]) == {str(each) for each in Status}


@pytest.fixture
def published(account: Account) -> list[dict[str, Any]]:
    """The events of a life of each kind, as PutEvents was given them."""
    with api_calls(account.session) as calls:
        account.request("fraud", "good")
        account.request("fraud", "bad", strategy="Guess")
        account.request("fraud", "child", after=["never"])
        account.send("vision", "no JSON")
        account.cycle()
        account.send("fraud", {"action": "cancel", "request_id": "child"})
        account.cycle()
    events = [parameters for operation, parameters in calls.requested if operation == "PutEvents"]
    return [entry for parameters in events for entry in parameters["Entries"]]


def test_every_event_is_valid_and_has_no_member_the_schema_does_not_name(
    published: list[dict[str, Any]],
) -> None:
    for entry in published:
        assert (entry["Source"], entry["DetailType"]) == (EVENT_SOURCE, REQUEST_EVENT)
        detail = json.loads(entry["Detail"])
        check(
            {
                "source": entry["Source"],
                "detail-type": entry["DetailType"],
                "time": detail["at"],
                "detail": detail,
            }
        )
        assert set(detail) == set(SCHEMA["$defs"]["detail"]["properties"]) - {"target"}, "at home"


def test_each_change_is_published(published: list[dict[str, Any]]) -> None:
    told = [json.loads(each["Detail"]) for each in published]
    changes = {(e["request_id"], e["previous_status"], e["status"]) for e in told}
    assert {
        ("good", None, "Queued"),
        ("good", "Queued", "InProgress"),
        ("good", "InProgress", "Completed"),
        ("bad", None, "Rejected"),
        ("child", None, "Queued"),
        ("child", "Queued", "Cancelled"),
    } <= changes


@pytest.mark.parametrize(
    "wrong",
    [{"version": 2}, {"status": "Gone"}, {"team": "Fraud"}, {"at": "yesterday"}, {"reason": None}],
)
def test_the_schema_tells_a_wrong_event(
    wrong: dict[str, Any], published: list[dict[str, Any]]
) -> None:
    detail = json.loads(published[0]["Detail"]) | wrong
    event = {"source": EVENT_SOURCE, "detail-type": REQUEST_EVENT, "time": "2026-11-23T12:00:00Z"}
    with pytest.raises(jsonschema.ValidationError):
        check(event | {"detail": detail})
