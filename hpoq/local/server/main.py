"""The cloud's own process: ministack, the SageMaker endpoint and one TLS port.

Started by ``hpoq.local.lifecycle.launch`` in the cloud's environment, never by hand. Its settings
come in ``server.json``, because Lambda functions inherit the environment of this process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from asyncio import constants
from pathlib import Path
from typing import Any

from hpoq.local.lifecycle.home import Home
from hpoq.local.server.settings import ServerSettings

KEEP_ALIVE = 75  # seconds, as ministack's own server
# Seconds for a client to say goodbye at the end; asyncio's 30 would outlast any patience, and a
# client that idles between two calls never does.
PARTING = 0.5


def main(home: Path) -> None:
    """Serve until SIGTERM or SIGINT, then stop all that was started and store the state."""
    where = Home(home)
    _held = where.hold()  # for as long as this process lives
    settings = ServerSettings(**json.loads(where.settings.read_text()))
    from hpoq.local.lifecycle import certificates

    certificates.ensure(where)
    constants.SSL_SHUTDOWN_TIMEOUT = PARTING  # hypercorn has no setting for it
    asyncio.run(_serve(where, settings))


async def _serve(home: Home, settings: ServerSettings) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    from hpoq.local.server.assembly import assemble

    cloud = assemble(home, settings, lambda: _tell_ready(settings.ready))
    config = Config()
    config.bind = [f"fd://{settings.listener}"]
    config.certfile, config.keyfile = str(home.certificate), str(home.key)
    config.keep_alive_timeout = KEEP_ALIVE
    config.graceful_timeout = 1
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_without_noise)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    async def stopped() -> None:
        await stopping.wait()
        await asyncio.to_thread(cloud.finish)  # while requests are still answered

    task = asyncio.create_task(cloud.snapshots.run())
    await serve(cloud.front, config, shutdown_trigger=stopped)
    task.cancel()
    logging.shutdown()
    os._exit(0)  # all is stored; ministack's threads may still wait in long polls


def _without_noise(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Clients that are killed do not say goodbye; that is nothing to report."""
    if not isinstance(context.get("exception"), TimeoutError | ConnectionError):
        loop.default_exception_handler(context)


def _tell_ready(descriptor: int) -> None:
    """Let ``up`` return."""
    os.write(descriptor, b"ready\n")
    os.close(descriptor)
