"""Calls of ministack's services from within its process, as AWS services call each other.

They use no HTTP, no signature and no IAM: the caller was authorized when it called our service.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import ministack.app
from ministack.core.responses import request_scope
from ministack.services import eventbridge

T = TypeVar("T")


@dataclass(frozen=True)
class InternalResponse:
    """The response of a service of ministack."""

    status: int
    body: bytes


class InternalCalls:
    """A caller of one account's services.

    Any thread may use it except the one that serves requests.
    """

    def __init__(self, account: str, region: str) -> None:
        self.account = account
        self.region = region

    def call(
        self,
        service: str,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        query: Mapping[str, str] | None = None,
    ) -> InternalResponse:
        """Send one request to a service's handler.

        Args:
            service: ministack's name of the module, such as ``s3``.
            method: HTTP method.
            path: not quoted.
            headers: names in lower case.
            body: as it would arrive over HTTP.
            query: one value for each name.
        """
        handler = ministack.app._get_module(service).handle_request
        if service == "s3":  # otherwise S3 treats a call without credentials as anonymous
            handler = partial(handler, internal=True)
        parameters = {name: [value] for name, value in (query or {}).items()}

        async def respond() -> InternalResponse:
            status, _, content = await handler(method, path, dict(headers or {}), body, parameters)
            raw = content if isinstance(content, bytes) else content.encode()
            return InternalResponse(status, raw)

        return self._run_on_loop(respond)

    def json(self, service: str, target: str, request: Mapping[str, Any]) -> InternalResponse:
        """Call one operation of a service that speaks JSON with an ``X-Amz-Target``."""
        headers = {"x-amz-target": target, "content-type": "application/x-amz-json-1.1"}
        body = json.dumps(request).encode()
        return self.call(service, "POST", "/", headers=headers, body=body)

    def put_event(self, entry: Mapping[str, Any]) -> None:
        """Publish an event on the default bus; a service may use an ``aws.`` source."""

        async def publish() -> None:
            eventbridge._ensure_default_bus()
            eventbridge._put_events({"Entries": [dict(entry)]}, allow_aws_source=True)

        self._run_on_loop(publish)

    def run(self, work: Callable[[], T]) -> T:
        """Run a function that reads the state of ministack's services."""

        async def result() -> T:
            return work()

        return self._run_on_loop(result)

    def _run_on_loop(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on the server's loop: ministack's handlers share state without locks."""
        loop = ministack.app._MAIN_LOOP
        with request_scope(self.account, self.region):  # the task inherits this context
            return asyncio.run_coroutine_threadsafe(work(), loop).result()
