"""Serving the pages on this machine."""

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
    """Nothing can be served there."""


class _Quiet(WSGIRequestHandler):
    """Says nothing of requests that went well; a page that is open asks every few seconds."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Errors are logged by those who see them."""


def listen(account: Account, port: int | None = None) -> BaseWSGIServer:
    """A server that listens; ``serve_forever`` makes it answer.

    Args:
        account: what is shown.
        port: of 127.0.0.1; None: 8732, or a free one if that is taken; 0: a free one.

    Raises:
        PortTaken: the port asked for cannot be used.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    for each in (PORT, 0) if port is None else (port,):
        server = _listen(account, each)
        if server:
            return server
    raise PortTaken(f"port {port} of {HOST} is taken. Give another with --port")


def url(server: BaseWSGIServer) -> str:
    """Where its pages are."""
    return f"http://{HOST}:{server.port}/"


@contextmanager
def serving(account: Account) -> Iterator[str]:
    """Serve in a thread for as long as the block lasts; yields the address."""
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
        # the server takes a copy of the descriptor
        return make_server(
            HOST, port, Application(account, [HOST, "localhost"]),
            threaded=True, request_handler=_Quiet, fd=listener.fileno(),
        )  # fmt: skip
