"""The cloud's process: ministack, the SageMaker endpoint and one TLS port.

``hpoq.local.lifecycle.launch`` starts it in the cloud's Python environment. Its settings are in
``server.json`` rather than in variables, which Lambda functions would inherit.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from asyncio import constants
from pathlib import Path
from typing import Any

from hpoq.local.errors import LocalCloudError
from hpoq.local.lifecycle.home import Home
from hpoq.local.server.settings import ServerSettings

KEEP_ALIVE = 75  # seconds, as in ministack's own server
# Seconds for TLS shutdown when the cloud stops. asyncio waits 30 seconds by default, and clients
# that keep an idle connection never answer.
TLS_SHUTDOWN_TIMEOUT = 0.5


def main(home: Path) -> None:
    """Serve until SIGTERM or SIGINT, then stop all jobs and functions and store the state."""
    where = Home(home)
    _lock = where.hold()  # as long as this process runs
    settings = ServerSettings(**json.loads(where.settings.read_text()))
    from hpoq.local.lifecycle import certificates, stored_objects

    certificates.ensure(where)
    stored_objects.set_torn_aside(where)
    constants.SSL_SHUTDOWN_TIMEOUT = TLS_SHUTDOWN_TIMEOUT  # hypercorn has no setting
    try:
        asyncio.run(_serve(where, settings))
    except LocalCloudError as error:
        sys.exit(str(error))  # `up` shows this line


async def _serve(home: Home, settings: ServerSettings) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    from hpoq.local.server.assembly import assemble

    cloud = assemble(home, settings, lambda: _report_ready(settings.ready))
    config = Config()
    config.bind = [f"fd://{settings.listener}"]
    config.certfile, config.keyfile = str(home.certificate), str(home.key)
    config.keep_alive_timeout = KEEP_ALIVE
    config.graceful_timeout = 1
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_ignore_lost_connections)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    async def stop_requested() -> None:
        await stopping.wait()
        await asyncio.to_thread(cloud.finish)  # requests are still answered

    task = asyncio.create_task(cloud.snapshots.run())
    await serve(cloud.gateway, config, shutdown_trigger=stop_requested)
    task.cancel()
    logging.shutdown()
    os._exit(0)  # the state is stored; ministack's threads may still wait in long polls


def _ignore_lost_connections(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log errors of the loop, except for connections that clients dropped."""
    if not isinstance(context.get("exception"), TimeoutError | ConnectionError):
        loop.default_exception_handler(context)


def _report_ready(descriptor: int) -> None:
    """Tell the launcher that the cloud answers requests."""
    os.write(descriptor, b"ready\n")
    os.close(descriptor)
