"""Step Functions and SageMaker Pipelines as strict as AWS, for the calls of one boto3 session."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.support.dispatcher_account import Account

EXECUTION = "arn:aws:sagemaker:eu-central-1:123456789012:pipeline/credit/execution/0k3p9r7s1t2u"
TASK_TOKEN = "AQCEAAAAKgAAAAMAAAAAAAAAAd" + "x" * 600
STEP_TOKEN = "26vcYbeWsZ"
TASKS = ("SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat")
ON = {"state_machines": ["credit-*"], "pipelines": ["credit"]}  # the setting ``workflows``
STEPS = ("SendPipelineExecutionStepSuccess", "SendPipelineExecutionStepFailure")


def task_token(name: str) -> str:
    """Return the task token of a step with this name."""
    return f"AQC{name}" + "y" * 600


@dataclass
class WaitingWorkflows:
    """The steps that wait, and what they have been told. A closed step takes no other answer."""

    session: boto3.Session
    waiting: set[str] = field(default_factory=set)  # tokens
    answered: list[tuple[str, str, Any]] = field(default_factory=list)  # token, operation, answer
    heartbeats: Counter[str] = field(default_factory=Counter)
    denied: set[str] = field(default_factory=set)  # tokens whose next call is denied
    _closed: set[str] = field(default_factory=set)
    _by_request_token: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._hooks = [(f"before-call.sfn.{name}", self._task) for name in TASKS]
        self._hooks += [(f"before-call.sagemaker.{name}", self._step) for name in STEPS]
        events = self.session.events
        for name, hook in self._hooks:
            events.register(name, hook)

    def close(self) -> None:
        """Leave the session as it was."""
        events = self.session.events
        for name, hook in self._hooks:
            events.unregister(name, hook)

    def reset(self, *tokens: str) -> None:
        """Let only these steps wait, as if nothing had been answered."""
        self.waiting = set(tokens)
        self.answered.clear()
        self.heartbeats.clear()
        self._closed.clear()
        self._by_request_token.clear()

    def answers(self) -> dict[str, tuple[str, Any]]:
        """Return operation and answer of each step that was answered, which happens once."""
        found = {token: (operation, answer) for token, operation, answer in self.answered}
        assert len(found) == len(self.answered), "each step was answered once"
        return found

    def _task(self, model: Any, params: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        body = json.loads(params["body"])
        token = body.pop("taskToken")
        if token in self.denied:
            self.denied.remove(token)
            raise _error("AccessDeniedException", model.name)
        if token in self._closed:
            raise _error("TaskTimedOut", model.name)
        if token not in self.waiting:
            raise _error("InvalidToken", model.name)
        if model.name == "SendTaskHeartbeat":
            self.heartbeats[token] += 1
        else:
            answer = json.loads(body["output"]) if "output" in body else body
            self._close(token, model.name, answer)
        return SimpleNamespace(status_code=200), {}

    def _step(self, model: Any, params: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        body = json.loads(params["body"])
        token, request = body.pop("CallbackToken"), body.pop("ClientRequestToken")
        if self._by_request_token.get(request) != (model.name, body):
            if token not in self.waiting or token in self._closed:
                raise _error("ResourceNotFound", model.name)
            self._by_request_token[request] = (model.name, body)
            self._close(token, model.name, body)
        return SimpleNamespace(status_code=200), {"PipelineExecutionArn": EXECUTION}

    def _close(self, token: str, operation: str, answer: Any) -> None:
        self._closed.add(token)
        self.answered.append((token, operation, answer))


def _error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "quotes the token"}}, operation)


def callback_step(token: str = STEP_TOKEN, **arguments: Any) -> dict[str, Any]:
    """Return the message of a CallbackStep."""
    return {"token": token, "pipelineExecutionArn": EXECUTION, "arguments": arguments}


@pytest.fixture
def workflows(account: Account) -> Iterator[WaitingWorkflows]:
    """Let workflows wait for requests of the account, whose settings permit it."""
    account.configure(workflows=ON)
    waiting = WaitingWorkflows(account.session, {STEP_TOKEN, *map(task_token, "abc")})
    yield waiting
    waiting.close()


def send(account: Account, name: str, **fields: Any) -> None:
    """Send a request for which a task of Step Functions waits."""
    account.request("fraud", fields.pop("request_id", name), task_token=task_token(name), **fields)
