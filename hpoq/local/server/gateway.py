"""The gateway: routes requests to our own services or to ministack."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import ministack.app

from hpoq.local.accounts import is_region
from hpoq.local.server.authorization import Caller, Scope
from hpoq.local.server.service import (
    HttpResponse,
    RequiredPermission,
    ServiceInAllPlaces,
)

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# ministack's administrative paths require no credentials. One of them deletes all state.
CLOSED = ("/_ministack/", "/_localstack/", "/_aws/")
HEALTH = "/_ministack/health"
JSON = "application/x-amz-json-1.1"
# Needs no policy, only a signature.
SIGNED = RequiredPermission("sts:GetCallerIdentity")


class Gateway:
    """The ASGI application behind the cloud's port."""

    def __init__(
        self,
        services: Sequence[ServiceInAllPlaces],
        *,
        on_start: Callable[[], None],
        on_change: Callable[[], None],
    ) -> None:
        self._services = services
        self._on_start = on_start
        self._on_change = on_change

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or the start and stop of the server."""
        match scope["type"]:
            case "lifespan":
                await self._lifespan(scope, receive, send)
            case "http":
                await self._request(scope, receive, send)
            case _:
                await ministack.app.app(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start our own services after ministack, which they use."""

        async def send_after_start(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                await asyncio.to_thread(self._on_start)
            await send(message)

        await ministack.app.app(scope, receive, send_after_start)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path.startswith(CLOSED) and path != HEALTH:
            await _send(send, _error(403, "AccessDenied", f"{path} is disabled"))
            return
        target = _header(scope, b"x-amz-target")
        service = next((each for each in self._services if target.startswith(each.prefix)), None)
        if service:
            response = await self._response(service, target, scope, receive)
            await _send(send, response)
        else:
            await ministack.app.app(scope, receive, send)
        if path != HEALTH:
            self._on_change()

    async def _response(
        self, kind: ServiceInAllPlaces, target: str, scope: Scope, receive: Receive
    ) -> HttpResponse:
        caller = Caller(scope)
        body = await _body(receive)
        if not is_region(caller.place.region):
            message = "Credential should be scoped to a valid region."
            return _error(400, "InvalidSignatureException", message)
        service = kind.find(caller.place)
        if service is None:  # before it starts, because it takes disk space
            denial = caller.denial(kind.name, [SIGNED], body)
            if denial:
                return _error(400, denial.code, denial.message)
            service = await asyncio.to_thread(kind.start, caller.place)
        denial = caller.denial(kind.name, service.required_permissions(target, body), body)
        if denial:
            return _error(400, denial.code, denial.message)
        return await asyncio.to_thread(service.handle, target, body)


def _error(status: int, code: str, message: str) -> HttpResponse:
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


async def _send(send: Send, response: HttpResponse) -> None:
    status, headers, body = response
    complete = {name.lower(): value for name, value in headers}
    complete.setdefault("x-amzn-requestid", str(uuid.uuid4()))
    complete["content-length"] = str(len(body))
    raw = [(name.encode(), value.encode()) for name, value in complete.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
