"""A browser without a screen, as werkzeug has one, that has opened the pages with their token."""

from __future__ import annotations

from typing import Any

from werkzeug.test import Client

from hpoq.ui.access import TOKEN, PageAccess
from hpoq.ui.account import Account
from hpoq.ui.app import Application

HOST = "http://127.0.0.1:8732"
AMPLE = 60.0  # seconds; pages wait until everything is known


def visitor_of(
    account: Account, *, read_only: bool = False, patience: float = AMPLE
) -> tuple[Client, PageAccess]:
    """Return a visitor with the cookie, and the tokens of the pages."""
    access = PageAccess(["127.0.0.1"])
    visitor = Client(Application(account, access, read_only=read_only, patience=patience))
    visitor.get("/", query_string={TOKEN: access.token}, base_url=HOST)
    return visitor, access


def visit(session: Any, path: str = "/", **options: Any) -> str:
    """Return the text of a page of the account of a session."""
    visitor, _ = visitor_of(Account(session), **options)
    return visitor.get(path, base_url=HOST).text
