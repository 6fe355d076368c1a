"""Messages of workflows that wait: a task token of Step Functions, or a callback step's message.

A token is a capability: whoever has it can end the step that waits. It is taken out of the message
first, so that nothing that is stored or shown with the request contains it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.validation.texts import read_json

TASK_TOKEN = "task_token"  # noqa: S105  the name of a field
# The fields of the message of a CallbackStep. "status" is there once its pipeline is stopping:
# StopPipelineExecution in the API reference.
_TOKEN, _EXECUTION, _ARGUMENTS, _STATUS = "token", "pipelineExecutionArn", "arguments", "status"
_STOPPING = "stopping"
_TASK_TOKEN = re.compile(rf"[!-~]{{1,{aws_limits.TASK_TOKEN}}}")
_CALLBACK_TOKEN = re.compile(rf"[a-zA-Z0-9]{{{aws_limits.CALLBACK_TOKEN}}}")
_PIPELINE_EXECUTION = re.compile(
    r"arn:aws[a-z-]*:sagemaker:[a-z0-9-]*:[0-9]{12}:pipeline/([^/]+)/execution/([^/]+)"
)
# The parts of the published JSON Schema that describe the messages of workflows.
TASK_TOKEN_SCHEMA = {
    "type": "string",
    "pattern": "^[!-~]*$",
    "minLength": 1,
    "maxLength": aws_limits.TASK_TOKEN,
    "description": "The task token of the Step Functions state that waits for the request.",
}
CALLBACK_STEP_SCHEMA = {
    "type": "object",
    "title": "CallbackStepMessage",
    "description": "The message of a CallbackStep of SageMaker Pipelines. Its arguments are the "
    "fields of a request; objects and lists may be JSON texts.",
    "required": [_TOKEN, _EXECUTION],
    "properties": {
        _TOKEN: {"type": "string", "pattern": f"^{_CALLBACK_TOKEN.pattern}$"},
        _EXECUTION: {"type": "string", "pattern": f"^{_PIPELINE_EXECUTION.pattern}$"},
        _ARGUMENTS: {"type": "object"},
        _STATUS: {"type": "string"},
    },
}


class CallbackKind(StrEnum):
    """The service whose workflow waits."""

    STEP_FUNCTIONS = "StepFunctions"
    PIPELINE = "Pipeline"


@dataclass(frozen=True, kw_only=True)
class Callback:
    """The step of a workflow that waits for an answer."""

    kind: CallbackKind
    token: str = field(repr=False)
    pipeline: str = ""  # the name in the ARN of its execution; empty for Step Functions

    @property
    def digest(self) -> str:
        """The digest of its token, which identifies the step and is no secret."""
        return hashlib.sha256(self.token.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Parted:
    """A message without its token, and who waits for it."""

    fields: Mapping[str, Any]
    callback: Callback | None = None
    request_id: str = ""  # of a message that names none; empty: the SQS message id
    stopping: bool = False  # the pipeline is being stopped, and its request is to be cancelled


def parted(fields: Mapping[str, Any]) -> Parted:
    """Separate a message from its token.

    Raises:
        InvalidRequest: the token is malformed, so that nothing can be answered.
    """
    if _is_of_callback_step(fields):
        return _of_callback_step(fields)
    if TASK_TOKEN not in fields:
        return Parted(fields=fields)
    token = fields[TASK_TOKEN]
    if not isinstance(token, str) or not _TASK_TOKEN.fullmatch(token):
        fix = f'Send "{TASK_TOKEN}.$": "$$.Task.Token" from a task that ends in .waitForTaskToken'
        raise InvalidRequest(TASK_TOKEN, "not a task token of Step Functions", fix)
    callback = Callback(kind=CallbackKind.STEP_FUNCTIONS, token=token)
    plain = {name: value for name, value in fields.items() if name != TASK_TOKEN}
    _check_no_action(plain, "Send the action without task_token")
    return Parted(fields=plain, callback=callback)


def waits(fields: Mapping[str, Any]) -> bool:
    """Return whether a message has the token of a workflow, which may be malformed."""
    return TASK_TOKEN in fields or _is_of_callback_step(fields)


def _is_of_callback_step(fields: Mapping[str, Any]) -> bool:
    return _TOKEN in fields and _EXECUTION in fields


def _check_no_action(fields: Mapping[str, Any], fix: str) -> None:
    if "action" in fields:
        raise InvalidRequest("action", "has no end that a workflow could wait for", fix)


def _of_callback_step(fields: Mapping[str, Any]) -> Parted:
    """Separate the message of a CallbackStep, whose arguments are the fields of a request."""
    token, arn, arguments = fields[_TOKEN], fields[_EXECUTION], fields.get(_ARGUMENTS, {})
    found = _PIPELINE_EXECUTION.fullmatch(arn) if isinstance(arn, str) else None
    if not found:
        problem, fix = "not the ARN of a pipeline execution", "Send the message of a CallbackStep"
        raise InvalidRequest(_EXECUTION, problem, fix)
    if not isinstance(token, str) or not _CALLBACK_TOKEN.fullmatch(token):
        problem, fix = "not the token of a CallbackStep", "Send the message of a CallbackStep"
        raise InvalidRequest(_TOKEN, problem, fix)
    if not isinstance(arguments, Mapping):
        fix = 'Use an object such as {"hyperparameter_ranges": {}}'
        raise InvalidRequest(_ARGUMENTS, "not an object", fix)
    _check_no_action(arguments, "Send a request from a CallbackStep")
    pipeline, execution = found.groups()
    callback = Callback(kind=CallbackKind.PIPELINE, token=token, pipeline=pipeline)
    status = next((value for name, value in fields.items() if name.lower() == _STATUS), "")
    return Parted(
        fields={name: _value(value) for name, value in arguments.items()},
        callback=callback,
        # The message that stops the step has another message id, and must find the request.
        request_id=f"{execution[:48]}-{callback.digest[:12]}",
        stopping=str(status).lower() == _STOPPING,
    )


def _value(argument: object) -> object:
    """Return an argument; text that is a JSON object or array stands for that value.

    No text field of a request begins like one. Pipeline parameters are texts and numbers.
    """
    if isinstance(argument, str) and argument.lstrip()[:1] in ("{", "["):
        try:
            return read_json(argument)
        except (ValueError, RecursionError):
            return argument
    return argument


def callback_in(body: str, fields: Mapping[str, Any]) -> Callback | None:
    """Return who waits for a message, also if the message cannot be parsed as a request.

    Args:
        body: the message as sent.
        fields: the message as parsed; empty if it was refused unparsed, for its size or form.
    """
    try:
        read = fields or json.loads(body)
        return _leniently(read) if isinstance(read, Mapping) and waits(read) else None
    except (ValueError, RecursionError, InvalidRequest):
        return None


def _leniently(fields: Mapping[str, Any]) -> Callback | None:
    """Return who waits for a message whose other fields may be wrong."""
    names = {_TOKEN, _EXECUTION} if _is_of_callback_step(fields) else {TASK_TOKEN}
    return parted({name: fields[name] for name in names & fields.keys()}).callback
