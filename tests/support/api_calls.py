"""API calls that a test records, fails, throttles or answers differently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse

THROTTLED = b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'


@dataclass
class RawResponse:
    """The part of urllib3's response that botocore reads."""

    body: bytes

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        """Yield the body."""
        yield self.body


@dataclass
class ApiCalls:
    """The calls of all clients that a session creates within ``api_calls``."""

    requested: list[tuple[str, Any]] = field(default_factory=list)  # operation, parameters
    refusals: dict[str, Exception] = field(default_factory=dict)  # by operation
    changed_answers: dict[str, dict[str, Any]] = field(default_factory=dict)  # by operation
    throttled_attempts: Counter[str] = field(default_factory=Counter)  # by operation

    def before(self, params: Any, model: Any, **_: Any) -> None:
        """Record a call, or raise the error that is set for its operation."""
        if refusal := self.refusals.get(model.name):
            raise refusal
        self.requested.append((model.name, params))

    def after(self, parsed: Any, model: Any, **_: Any) -> None:
        """Apply the changes that are set for the operation to its answer."""
        parsed |= self.changed_answers.get(model.name, {})

    def send(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        """Throttle an attempt while throttled attempts are left for its operation."""
        operation = event_name.rpartition(".")[2]
        if not self.throttled_attempts[operation]:
            return None
        self.throttled_attempts[operation] -= 1
        return AWSResponse(request.url, 400, {}, RawResponse(THROTTLED))


@contextmanager
def api_calls(session: boto3.Session) -> Iterator[ApiCalls]:
    """Record and control the calls of clients that are created from now on."""
    calls = ApiCalls()
    hooks = {
        "before-parameter-build": calls.before,
        "before-send": calls.send,
        "after-call": calls.after,
    }
    for event, hook in hooks.items():
        session.events.register_first(event, hook)
    try:
        yield calls
    finally:
        for event, hook in hooks.items():
            session.events.unregister(event, hook)
