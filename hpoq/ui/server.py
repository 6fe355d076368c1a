"""The local web server of the pages."""

from __future__ import annotations

import html
import logging
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from hpo_dispatcher.contract.errors import HpoqError
from hpoq.ui.access import TOKEN, PageAccess
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


class PageServer:
    """A listening server of pages; ``serve_forever`` makes it answer."""

    def __init__(self, server: BaseWSGIServer, access: PageAccess) -> None:
        self._server = server
        self._access = access

    @property
    def url(self) -> str:
        """The address of the pages without the access token."""
        return f"http://{HOST}:{self._server.port}/"

    @property
    def address(self) -> str:
        """The address that opens the pages: it contains the access token."""
        return f"{self.url}?{TOKEN}={self._access.token}"

    def serve_forever(self) -> None:
        """Answer until ``shutdown``."""
        self._server.serve_forever()

    def shutdown(self) -> None:
        """End ``serve_forever`` of another thread."""
        self._server.shutdown()

    def server_close(self) -> None:
        """Close the port."""
        self._server.server_close()


def listen(account: Account, port: int | None = None, *, read_only: bool = False) -> PageServer:
    """Open a listening server.

    Args:
        account: the account to show.
        port: a port on 127.0.0.1; None for 8732, or a free one if it is in use; 0 for a free one.
        read_only: offer no actions and refuse them.

    Raises:
        PortTaken: the port cannot be used.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    access = PageAccess([HOST, "localhost"])
    application = Application(account, access, read_only=read_only)
    for each in (PORT, 0) if port is None else (port,):
        server = _listen(application, each)
        if server:
            return PageServer(server, access)
    raise PortTaken(f"port {port} of {HOST} is in use. Choose another with --port")


@contextmanager
def serving(account: Account, *, read_only: bool = False) -> Iterator[PageServer]:
    """Serve in a thread while the block runs."""
    server = listen(account, 0, read_only=read_only)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def opening_page(address: str) -> Iterator[str]:
    """Write a page that opens an address, for the block; yield its ``file:`` address.

    Other users of the machine can see the command line of a browser, but they cannot read this
    file: the address contains the access token.
    """
    with tempfile.TemporaryDirectory(prefix="hpoq-ui-") as folder:  # only its owner can read it
        file = Path(folder) / "open.html"
        file.write_text(
            f'<!doctype html><meta http-equiv="refresh" content="0;url={html.escape(address)}">'
        )
        yield file.as_uri()


def _listen(application: Application, port: int) -> BaseWSGIServer | None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen()
        except OSError:
            return None
        # the server duplicates the descriptor
        return make_server(
            HOST, port, application,
            threaded=True, request_handler=_Quiet, fd=listener.fileno(),
        )  # fmt: skip
