"""Messages of workflows that wait, and what becomes of their tokens."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.message import (
    Cancel,
    body_without_token,
    json_schema,
    parse_body,
    parse_fields,
    request_id_of,
)
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.contract.workflows.callbacks import CallbackKind, callback_in
from tests.support.dispatcher_account import RANGES
from tests.support.waiting_workflows import EXECUTION, STEP_TOKEN, TASK_TOKEN, callback_step

WITH_TOKEN: dict[str, Any] = {
    "request_id": "a", "hyperparameter_ranges": RANGES, "task_token": TASK_TOKEN,
}  # fmt: skip


def parse(fields: dict[str, Any]) -> TuningRequest:
    request = parse_fields(fields, "message-1")
    assert isinstance(request, TuningRequest)
    return request


def test_a_message_may_carry_a_task_token() -> None:
    callback = callback_in(json.dumps(WITH_TOKEN), WITH_TOKEN)
    assert callback is not None
    assert (callback.kind, callback.token) == (CallbackKind.STEP_FUNCTIONS, TASK_TOKEN)


def test_a_task_token_is_no_part_of_the_request() -> None:
    with_token, without = dict(WITH_TOKEN), dict(WITH_TOKEN)
    del without["task_token"]
    assert parse(with_token) == parse(without)
    assert TASK_TOKEN not in parse(with_token).to_json()


def test_a_message_without_a_token_has_no_callback() -> None:
    fields = {"hyperparameter_ranges": RANGES}
    assert callback_in(json.dumps(fields), fields) is None


# The form of the message: "Callback step" in the SageMaker developer guide.
def test_the_arguments_of_a_callback_step_are_the_fields_of_a_request() -> None:
    message = callback_step(hyperparameter_ranges=RANGES, priority=7)
    request = parse(message)
    assert (request.priority, request.hyperparameter_ranges.keys()) == (7, RANGES.keys())
    callback = callback_in(json.dumps(message), message)
    assert callback is not None
    assert (callback.kind, callback.token, callback.pipeline) == (
        CallbackKind.PIPELINE, STEP_TOKEN, "credit",
    )  # fmt: skip


def test_an_argument_may_be_json_text_because_pipeline_parameters_are_texts() -> None:
    texts = {"hyperparameter_ranges": json.dumps(RANGES), "template": "smoke"}
    assert parse(callback_step(**texts)) == parse(
        callback_step(hyperparameter_ranges=RANGES, template="smoke")
    )


def test_the_request_id_of_a_callback_step_follows_from_its_execution_and_token() -> None:
    one = parse(callback_step(hyperparameter_ranges=RANGES)).request_id
    other = parse(callback_step("AAAAAAAAAA", hyperparameter_ranges=RANGES)).request_id
    assert one.startswith("0k3p9r7s1t2u-")
    assert one != other
    assert STEP_TOKEN not in one
    assert parse(callback_step(request_id="mine", hyperparameter_ranges=RANGES)).request_id == (
        "mine"
    )


def test_a_callback_step_may_send_a_request_in_api_form_whose_name_is_the_request_id() -> None:
    api = {"HyperParameterTuningJobName": "named", "HyperParameterTuningJobConfig": {}}
    assert request_id_of(callback_step(api_request=json.dumps(api)), "message-1") == "named"


# "The body of the SQS message contains a "Status" field which is set to "Stopping"":
# StopPipelineExecution in the API reference.
@pytest.mark.parametrize("name", ["status", "Status"])
def test_a_pipeline_that_is_stopping_cancels_its_request(name: str) -> None:
    message = callback_step(hyperparameter_ranges=RANGES)
    request_id = parse(message).request_id
    stopping = parse_fields({**message, name: "Stopping"}, "message-2")
    assert stopping == Cancel(action="cancel", request_id=request_id)
    assert request_id_of({**message, name: "Stopping"}, "message-2") == request_id
    executing = parse_fields({**message, name: "Executing"}, "message-3")
    assert isinstance(executing, TuningRequest)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"task_token": ""}, "task_token"),
        ({"task_token": None}, "task_token"),
        ({"task_token": "x" * 2049}, "task_token"),
        ({"task_token": "a b"}, "task_token"),
        ({"task_token": ["x"]}, "task_token"),
        ({"action": "cancel", "request_id": "a", "task_token": "x"}, "action"),
        (callback_step(action="hold"), "action"),
        (callback_step() | {"token": "short"}, "token"),
        (callback_step() | {"token": 1234567890}, "token"),
        (callback_step() | {"pipelineExecutionArn": "arn"}, "pipelineExecutionArn"),
        (callback_step() | {"arguments": [1]}, "arguments"),
        (callback_step(), "hyperparameter_ranges"),
        (callback_step(hyperparameter_ranges="{no json"), "hyperparameter_ranges"),
    ],
)
def test_a_wrong_message_is_rejected_with_its_field(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_fields(changed, "message-1")
    assert caught.value.field == field


def test_no_error_quotes_a_token() -> None:
    for wrong in ({"priority": "x"}, {"zzz": 1}, {"request_id": "a b"}, {"action": "cancel"}):
        for message in (WITH_TOKEN | wrong, callback_step(**wrong)):
            with pytest.raises(InvalidRequest) as caught:
                parse_fields(message, "message-1")
            assert TASK_TOKEN[:20] not in str(caught.value)
            assert STEP_TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({**WITH_TOKEN, "zzz": 1}),
        json.dumps({**WITH_TOKEN, "overrides": {"a": "x" * 300_000}}),
        json.dumps(WITH_TOKEN)[:-1] + ', "request_id": "b"}',
        json.dumps({**WITH_TOKEN, "version": 9}),
        json.dumps(callback_step(zzz=1)),
        json.dumps(callback_step() | {"arguments": "none"}),
    ],
    ids=["unknown field", "too large", "a field twice", "later version", "step", "no arguments"],
)
def test_who_waits_for_a_wrong_message_is_known(body: str) -> None:
    """Such a workflow is told that its message was rejected."""
    try:
        fields = parse_body(body)
    except InvalidRequest:
        fields = {}
    callback = callback_in(body, fields)
    assert callback is not None
    kept = body_without_token(body, fields, callback)
    assert callback.token not in kept


@pytest.mark.parametrize("body", ["nope", "[1]", "1", "{}", '{"task_token": 1}', "[" * 100_000])
def test_nobody_waits_for_a_message_without_a_readable_token(body: str) -> None:
    assert callback_in(body, {}) is None


def test_what_is_kept_of_a_rejected_message_can_be_resent() -> None:
    kept = body_without_token(
        json.dumps(WITH_TOKEN), WITH_TOKEN, callback_in(json.dumps(WITH_TOKEN), WITH_TOKEN)
    )
    assert json.loads(kept) == {"request_id": "a", "hyperparameter_ranges": RANGES}
    step = callback_step(hyperparameter_ranges=RANGES)
    kept = body_without_token(json.dumps(step), step, callback_in(json.dumps(step), step))
    assert parse(json.loads(kept)) == parse(step)


def test_a_message_without_a_token_is_kept_as_it_was_sent() -> None:
    assert body_without_token('{ "a" : 1 }', {"a": 1}, None) == '{ "a" : 1 }'


@pytest.mark.parametrize(
    "message",
    [WITH_TOKEN, callback_step(hyperparameter_ranges=RANGES), callback_step() | {"status": "x"}],
)
def test_the_published_schema_accepts_messages_of_workflows(message: dict[str, Any]) -> None:
    jsonschema.validate(message, json_schema())


@pytest.mark.parametrize(
    "message",
    [WITH_TOKEN | {"task_token": ""}, {"token": STEP_TOKEN, "pipelineExecutionArn": "arn"}],
)
def test_the_published_schema_rejects_malformed_tokens(message: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(message, json_schema())


def test_a_token_is_not_in_the_text_of_its_callback() -> None:
    assert EXECUTION not in repr(callback_in(json.dumps(WITH_TOKEN), WITH_TOKEN))
    assert TASK_TOKEN not in repr(callback_in(json.dumps(WITH_TOKEN), WITH_TOKEN))
