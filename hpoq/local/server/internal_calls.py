"""Calling ministack's services from within its own process, as AWS's services call each other.

No HTTP, no signature and no IAM: what a caller may do was decided when it called *us*.
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
class Answer:
    """What a service said."""

    status: int
    body: bytes


class Inside:
    """The account's services; usable from any thread but the one that serves requests."""

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
    ) -> Answer:
        """One request to a service's handler.

        Args:
            service: ministack's name of the module, such as ``s3``.
            method: HTTP method.
            path: not quoted.
            headers: names in lower case.
            body: as it would arrive.
            query: one value each.
        """
        handler = ministack.app._get_module(service).handle_request
        if service == "s3":  # else a call without credentials is anyone's
            handler = partial(handler, internal=True)
        many = {name: [value] for name, value in (query or {}).items()}

        async def answer() -> Answer:
            status, _, content = await handler(method, path, dict(headers or {}), body, many)
            return Answer(status, content if isinstance(content, bytes) else content.encode())

        return self._on_the_loop(answer)

    def json(self, service: str, target: str, request: Mapping[str, Any]) -> Answer:
        """One operation of a service that speaks JSON with an ``X-Amz-Target``."""
        headers = {"x-amz-target": target, "content-type": "application/x-amz-json-1.1"}
        body = json.dumps(request).encode()
        return self.call(service, "POST", "/", headers=headers, body=body)

    def put_event(self, entry: Mapping[str, Any]) -> None:
        """Publish on the default bus; unlike a client, a service may name an ``aws.`` source."""

        async def publish() -> None:
            eventbridge._ensure_default_bus()
            eventbridge._put_events({"Entries": [dict(entry)]}, allow_aws_source=True)

        self._on_the_loop(publish)

    def _on_the_loop(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Handlers share state without locks, so they run where requests run."""
        loop = ministack.app._MAIN_LOOP
        with request_scope(self.account, self.region):  # a task inherits its maker's context
            return asyncio.run_coroutine_threadsafe(work(), loop).result()
