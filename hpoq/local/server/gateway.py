"""The one port: SageMaker and Service Quotas are ours, all else is ministack's."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import ministack.app

from hpoq.local.server.authorization import Caller, Refusal, Scope
from hpoq.local.server.service import Answer, Service

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# ministack's own switches ask for no credentials: one of them empties the whole account.
CLOSED = ("/_ministack/", "/_localstack/", "/_aws/")
HEALTH = "/_ministack/health"
JSON = "application/x-amz-json-1.1"


class Front:
    """The ASGI application."""

    def __init__(
        self,
        services: Sequence[Service],
        *,
        on_start: Callable[[], None],
        on_change: Callable[[], None],
    ) -> None:
        self._services = services
        self._on_start = on_start
        self._on_change = on_change

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection's request, or the server's own start and stop."""
        match scope["type"]:
            case "lifespan":
                await self._lifespan(scope, receive, send)
            case "http":
                await self._request(scope, receive, send)
            case _:
                await ministack.app.app(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ours starts when ministack, which it uses, has."""

        async def sending(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                await asyncio.to_thread(self._on_start)
            await send(message)

        await ministack.app.app(scope, receive, sending)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path.startswith(CLOSED) and path != HEALTH:
            await _send(send, _error(403, "AccessDenied", f"{path} is closed here"))
            return
        target = _header(scope, b"x-amz-target")
        service = next((each for each in self._services if target.startswith(each.prefix)), None)
        if service:
            answer = await self._answer(service, target, scope, receive)
            await _send(send, answer)
        else:
            await ministack.app.app(scope, receive, send)
        if path != HEALTH:
            self._on_change()

    async def _answer(
        self, service: Service, target: str, scope: Scope, receive: Receive
    ) -> Answer:
        caller = Caller(scope)
        body = await _body(receive)
        refusal = caller.refusal(service.name, service.checks(target, body), body)
        if refusal:
            return _refused(refusal)
        return await asyncio.to_thread(service.handle, target, body)


def _refused(refusal: Refusal) -> Answer:
    return _error(400, refusal.code, refusal.message)


def _error(status: int, code: str, message: str) -> Answer:
    body = json.dumps({"__type": code, "message": message}).encode()
    return status, [("content-type", JSON)], body


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


async def _body(receive: Receive) -> bytes:
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


async def _send(send: Send, answer: Answer) -> None:
    status, headers, body = answer
    named = {name.lower(): value for name, value in headers}
    named.setdefault("x-amzn-requestid", str(uuid.uuid4()))
    named["content-length"] = str(len(body))
    raw = [(name.encode(), value.encode()) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
