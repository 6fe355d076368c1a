"""The local web server of the pages."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from hpo_dispatcher.contract.errors import HpoqError
from hpoq.ui.account import Account
from hpoq.ui.app import Application

HOST = "127.0.0.1"
PORT = 8732


class PortTaken(HpoqError):
    """A port that is already in use."""


class _Quiet(WSGIRequestHandler):
    """A request handler without a log, because open pages send requests every few seconds."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""


def listen(account: Account, port: int | None = None) -> BaseWSGIServer:
    """Open a listening server; ``serve_forever`` makes it answer.

    Args:
        account: the account to show.
        port: a port on 127.0.0.1; None for 8732, or a free one if it is in use; 0 for a free one.

    Raises:
        PortTaken: the port cannot be used.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    for each in (PORT, 0) if port is None else (port,):
        server = _listen(account, each)
        if server:
            return server
    raise PortTaken(f"port {port} of {HOST} is in use. Choose another with --port")


def url(server: BaseWSGIServer) -> str:
    """Return the address of the pages."""
    return f"http://{HOST}:{server.port}/"


@contextmanager
def serving(account: Account) -> Iterator[str]:
    """Serve in a thread while the block runs; yield the address."""
    server = listen(account, 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield url(server)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _listen(account: Account, port: int) -> BaseWSGIServer | None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen()
        except OSError:
            return None
        # the server duplicates the descriptor
        return make_server(
            HOST, port, Application(account, [HOST, "localhost"]),
            threaded=True, request_handler=_Quiet, fd=listener.fileno(),
        )  # fmt: skip
