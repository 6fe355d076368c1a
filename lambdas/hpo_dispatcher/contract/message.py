"""The messages that a team may send, parsed, and the error for each that cannot be read.

The published JSON Schema comes from the same models (``json_schema``), so a client in any language
can validate a message before sending it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StrictInt, TypeAdapter, ValidationError

from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.request import (
    API_NAME,
    REQUEST_ID_PATTERN,
    SHORT_FORM,
    CategoricalRange,
    IntegerRange,
    MessageModel,
    Objective,
    RequestId,
    ResourceLimits,
    TuningRequest,
)
from hpo_dispatcher.contract.validation.problems import Vocabulary, first_problem, nearest, shown
from hpo_dispatcher.contract.validation.texts import NotFinite, Twice, read_json
from hpo_dispatcher.contract.workflows.callbacks import (
    CALLBACK_STEP_SCHEMA,
    TASK_TOKEN,
    TASK_TOKEN_SCHEMA,
    Callback,
    parted,
    waits,
)

VERSION = 1  # of a message; the Literal of every model
# A ledger item holds at most 400 KB, and the request is only one of its attributes.
MAX_BODY_BYTES = 256 * 1024


class Cancel(MessageModel):
    """An action that cancels a queued request or stops a running one; may precede its request."""

    version: Literal[1] = 1
    action: Literal["cancel"]
    request_id: RequestId


class SetPriority(MessageModel):
    """An action that moves a queued request within its team's queue."""

    version: Literal[1] = 1
    action: Literal["priority"]
    request_id: RequestId
    priority: Annotated[StrictInt, Field(ge=-1000, le=1000)]


class Hold(MessageModel):
    """An action that puts a request on hold, or its whole team if no request id is given."""

    version: Literal[1] = 1
    action: Literal["hold"]
    request_id: RequestId | None = None


class Release(MessageModel):
    """An action that releases a request, or its whole team, from a hold."""

    version: Literal[1] = 1
    action: Literal["release"]
    request_id: RequestId | None = None


Action = Cancel | SetPriority | Hold | Release
Message = TuningRequest | Action
VOCABULARY = Vocabulary(
    kind="field",
    names=frozenset(
        field
        for model in (TuningRequest, ResourceLimits, Objective, IntegerRange, CategoricalRange)
        for field in model.model_fields
    )
    | {TASK_TOKEN},
    remove="Remove it, or move an API field to overrides",
    reference="`hpoq schema` prints what is allowed",
)
_API_FORM = {
    "api_request": {
        "type": "object",
        "description": "A CreateHyperParameterTuningJob request, as boto3 and "
        "`aws sagemaker create-hyper-parameter-tuning-job --cli-input-json` take it.",
        "required": ["HyperParameterTuningJobConfig"],
    }
}
_ACTIONS: dict[str, type[Action]] = {
    "cancel": Cancel,
    "priority": SetPriority,
    "hold": Hold,
    "release": Release,
}


def parse_message(body: str, message_id: str) -> Message:
    """Parse the body of an SQS message.

    Args:
        body: the message as sent, JSON of at most 256 KB.
        message_id: the SQS message id, used as request id if the message names none.

    Raises:
        InvalidRequest: naming the first wrong field, the problem and the fix.
    """
    return parse_fields(parse_body(body), message_id)


def parse_body(body: str) -> dict[str, Any]:
    """Parse the body of an SQS message as a JSON object; raise ``InvalidRequest`` if it is not."""
    size = len(body) if body.isascii() else len(body.encode(errors="surrogatepass"))
    if size > MAX_BODY_BYTES:
        raise InvalidRequest(
            "body",
            f"{size // 1024} KB exceeds the limit of {MAX_BODY_BYTES // 1024} KB",
            "Store large content in S3 and reference it",
        )
    return _read_json(body)


def parse_fields(fields: Mapping[str, Any], message_id: str) -> Message:
    """Parse a message that is already a mapping; see ``parse_message``."""
    fields = plain_fields(fields)
    _check_version(fields.get("version"))
    if "action" in fields:
        return _parse_action(fields)
    try:
        return TuningRequest.model_validate(
            {"request_id": _name_in_api_form(fields) or message_id, **fields}
        )
    except ValidationError as error:
        raise first_problem(error, fields, VOCABULARY) from None


def plain_fields(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a message without the token of the workflow that waits for it.

    The message of a CallbackStep becomes the request in its arguments, or the cancellation of this
    request if its pipeline is stopping.

    Raises:
        InvalidRequest: the token is malformed.
    """
    if not waits(fields):
        return fields
    message = parted(fields)
    plain = message.fields
    if message.stopping:
        return {"action": "cancel", "request_id": _named(plain, message.request_id)}
    if not message.request_id or "request_id" in plain or _name_in_api_form(plain):
        return plain
    return {**plain, "request_id": message.request_id}


def body_without_token(body: str, fields: Mapping[str, Any], callback: Callback | None) -> str:
    """Return a message as people may read and resend it once its workflow has been answered.

    Args:
        body: the message as sent.
        fields: the message as parsed; empty if it was refused unparsed.
        callback: who waits for it; None if nobody does.
    """
    if callback is None:
        return body
    try:
        return json.dumps(dict(plain_fields(fields))) if fields else _without(body, callback)
    except InvalidRequest:
        return _without(body, callback)


def _without(body: str, callback: Callback) -> str:
    return body.replace(callback.token, "")


def _name_in_api_form(fields: Mapping[str, Any]) -> str | None:
    """Return the name of a tuning job in API form, which becomes the request id."""
    api_request = fields.get("api_request")
    name = api_request.get(API_NAME) if isinstance(api_request, Mapping) else None
    if name is None or "request_id" in fields:
        return None
    if not isinstance(name, str) or not re.fullmatch(REQUEST_ID_PATTERN, name):
        problem, fix = f"{shown(name)} is not allowed", f"It must match {REQUEST_ID_PATTERN}"
        raise InvalidRequest(f"api_request.{API_NAME}", problem, fix)
    return name


def _check_version(version: object) -> None:
    """Reject a later version before its fields, which may differ, are checked."""
    if isinstance(version, int) and version > VERSION:
        problem = f"{version} is not supported by this deployment, which supports {VERSION}"
        raise InvalidRequest("version", problem, "Upgrade hpoq, then redrive the message")


def request_id_of(fields: Mapping[str, Any], message_id: str) -> str:
    """Return the request id of a message, or its message id if it has no valid request id."""
    try:
        return _named(plain_fields(fields), message_id)
    except InvalidRequest:
        return message_id


def _named(fields: Mapping[str, Any], default: str) -> str:
    """Return the request id that a message names, or the default if it names no valid one."""
    try:
        named = fields.get("request_id") or _name_in_api_form(fields)
        return TypeAdapter(RequestId).validate_python(named)
    except (ValidationError, InvalidRequest):
        return default


def request_id_in(body: str, message_id: str) -> str:
    """Return the request id of a message body, or its message id if it cannot be parsed."""
    try:
        return request_id_of(parse_body(body), message_id)
    except InvalidRequest:
        return message_id


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of all messages that a request queue accepts."""
    schema = TypeAdapter(Message).json_schema()
    request = schema["$defs"]["TuningRequest"]
    del request["required"]  # the request id: the SQS message id is used instead
    request["properties"][TASK_TOKEN] = TASK_TOKEN_SCHEMA
    schema["$defs"]["CallbackStepMessage"] = CALLBACK_STEP_SCHEMA
    schema["anyOf"].append({"$ref": "#/$defs/CallbackStepMessage"})
    request["oneOf"] = [
        {"required": ["hyperparameter_ranges"], "properties": {"api_request": {"type": "null"}}},
        {"required": ["api_request"], "properties": dict.fromkeys(SHORT_FORM, False) | _API_FORM},
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "hpoq message, version 1",
        **schema,
    }


def _read_json(body: str) -> dict[str, Any]:
    try:
        value = read_json(body)
    except Twice as error:
        raise InvalidRequest(error.name, "the field appears twice", "Remove one of them") from None
    except NotFinite as error:
        problem = f"{error.name} is not valid JSON"
        raise InvalidRequest("body", problem, "Use a finite number") from None
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("body", f"not valid JSON ({error})", "Send one JSON object") from None
    if not body.isascii() or "\\u" in body:  # other texts have no surrogates
        _check_characters(value)
    if not isinstance(value, dict):
        raise InvalidRequest("body", "not a JSON object", 'Send {"hyperparameter_ranges": ...}')
    return value


def _check_characters(value: object) -> None:
    """Reject unpaired surrogates, which neither DynamoDB nor SageMaker can store."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        problem = f"{half} is an unpaired surrogate"
        raise InvalidRequest(
            "body", problem, "Send both surrogates of the pair, or UTF-8"
        ) from None


def _parse_action(fields: Mapping[str, Any]) -> Action:
    action = fields["action"]
    model = _ACTIONS.get(action) if isinstance(action, str) else None
    if model is None:
        fix = nearest(str(action), _ACTIONS) or f"Use one of {', '.join(_ACTIONS)}"
        raise InvalidRequest("action", f"unknown action {action!r}", fix)
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise first_problem(error, fields, VOCABULARY) from None
