"""Who may see the pages and act on them: other users, other sites, and pages of old browsers."""

from __future__ import annotations

import socket
import stat
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
from werkzeug.test import Client as Visitor

from hpoq.ui.access import TOKEN, PageAccess
from hpoq.ui.account import Account
from hpoq.ui.app import ROUTES, Application
from hpoq.ui.server import opening_page, serving
from tests.support.dispatcher_account import Account as MotoAccount
from tests.support.dispatcher_account import account, session
from tests.support.page_visitor import HOST, visitor_of

__all__ = ["account", "session"]
CANCEL = "/requests/fraud/queued/cancel"
PATHS = ("/", "/requests/fraud/queued", "/dead-letters", "/campaigns",
         "/campaigns/fraud/credit", "/campaigns/fraud/credit/figures.json", "/tuning-jobs",
         "/tuning-jobs/a", "/tuning-jobs/a/figures.json", "/training-jobs/a",
         "/training-jobs/a/log.json")  # fmt: skip


@pytest.fixture
def waiting(account: MotoAccount) -> MotoAccount:
    """A request that waits."""
    account.request("fraud", "queued", after=["later"])
    account.cycle()
    return account


def sent(account: MotoAccount) -> int:
    return account.waiting("fraud")


@pytest.mark.parametrize("path", PATHS)
def test_a_page_without_the_token_shows_nothing(waiting: MotoAccount, path: str) -> None:
    access = PageAccess(["127.0.0.1"])
    visitor = Visitor(Application(Account(waiting.session), access))
    for query in ({}, {TOKEN: ""}, {TOKEN: "guess"}, {TOKEN: access.form_token}):
        answer = visitor.get(path, query_string=query, base_url=HOST)
        assert answer.status_code == 403
        assert "queued" not in answer.text
        assert "address that `hpoq ui` printed" in answer.text
    assert not visitor.get_cookie("hpoq-8732", domain="127.0.0.1")


def test_the_paths_above_are_all_there_are() -> None:
    rules = {rule.rule for rule in ROUTES.iter_rules() if "GET" in (rule.methods or ())}
    assert len(rules) == len(PATHS) + 1  # and static files, which say nothing of the account


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_cannot_use(
    waiting: MotoAccount,
) -> None:
    access = PageAccess(["127.0.0.1"])
    visitor = Visitor(Application(Account(waiting.session), access))
    answer = visitor.get("/", query_string={TOKEN: access.token}, base_url=HOST)
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert access.token not in answer.text
    # A redirect would lose a strict cookie where another program has opened the address.
    assert answer.status_code == 200
    assert visitor.get("/", base_url=HOST).status_code == 200
    assert (
        visitor.get("/", base_url="http://127.0.0.1:9000").status_code == 403
    )  # of another server


@pytest.mark.parametrize("host", ["evil.example:8732", "127.0.0.1.evil.example", "[::1]:8732"])
def test_other_names_of_this_address_are_refused(waiting: MotoAccount, host: str) -> None:
    visitor, access = visitor_of(Account(waiting.session))
    answer = visitor.get("/", query_string={TOKEN: access.token}, base_url=f"http://{host}")
    assert answer.status_code == 400
    assert "Set-Cookie" not in answer.headers


ORIGINS = [
    None, "null", "http://evil.example", "http://127.0.0.1:9000", "https://127.0.0.1:8732",
    "http://localhost:8732", "http://127.0.0.1:8732.evil.example",
]  # fmt: skip


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_change_from_another_origin_is_refused(waiting: MotoAccount, origin: str | None) -> None:
    visitor, access = visitor_of(Account(waiting.session))
    headers = {"Origin": origin} if origin else {}
    form = {TOKEN: access.form_token}
    answer = visitor.post(CANCEL, data=form, headers=headers, base_url=HOST)
    assert answer.status_code == 403
    assert sent(waiting) == 0


@pytest.mark.parametrize("token", [None, "", "guess", "the cookie's"])
def test_a_change_without_the_token_of_the_form_is_refused(
    waiting: MotoAccount, token: str | None
) -> None:
    visitor, access = visitor_of(Account(waiting.session))
    form = {TOKEN: access.token if token == "the cookie's" else token} if token else {}
    answer = visitor.post(CANCEL, data=form, headers={"Origin": HOST}, base_url=HOST)
    assert answer.status_code == 403
    assert sent(waiting) == 0


def test_a_change_without_the_cookie_is_refused(waiting: MotoAccount) -> None:
    access = PageAccess(["127.0.0.1"])
    visitor = Visitor(Application(Account(waiting.session), access))
    form = {TOKEN: access.form_token}
    answer = visitor.post(CANCEL, data=form, headers={"Origin": HOST}, base_url=HOST)
    assert answer.status_code == 403
    assert sent(waiting) == 0


def test_no_address_changes_anything_when_it_is_opened(waiting: MotoAccount) -> None:
    visitor, access = visitor_of(Account(waiting.session))
    for action in ("cancel", "hold", "release", "priority"):
        path = f"/requests/fraud/queued/{action}"
        query = {TOKEN: access.form_token, "priority": "9"}
        headers = {"Origin": HOST}
        answer = visitor.get(path, query_string=query, headers=headers, base_url=HOST)
        assert answer.status_code == 405
    assert sent(waiting) == 0


def test_read_only_pages_offer_no_actions_and_refuse_them(waiting: MotoAccount) -> None:
    visitor, access = visitor_of(Account(waiting.session), read_only=True)
    text = visitor.get("/requests/fraud/queued", base_url=HOST).text
    assert 'method="post"' not in text
    assert "read-only" in text
    for token in (access.form_token, ""):
        form = {TOKEN: token}
        answer = visitor.post(CANCEL, data=form, headers={"Origin": HOST}, base_url=HOST)
        assert answer.status_code == 403
    assert sent(waiting) == 0


def test_pages_cannot_be_framed_read_or_remembered_by_others(waiting: MotoAccount) -> None:
    visitor, _ = visitor_of(Account(waiting.session))
    headers = visitor.get("/", base_url=HOST).headers
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "same-origin"  # "no-referrer" would leave out the Origin


def test_pages_run_scripts_of_this_server_only(waiting: MotoAccount) -> None:
    """Otherwise a name that is not escaped somewhere would be a script."""
    visitor, _ = visitor_of(Account(waiting.session))
    headers = visitor.get("/", base_url=HOST).headers
    policy = dict(
        rule.strip().partition(" ")[::2] for rule in headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert policy["base-uri"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_address_with_the_token_is_sent_to_no_other_page(waiting: MotoAccount) -> None:
    access = PageAccess(["127.0.0.1"])
    visitor = Visitor(Application(Account(waiting.session), access))
    answer = visitor.get("/", query_string={TOKEN: access.token}, base_url=HOST)
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_the_token_is_not_in_the_command_line_of_the_browser() -> None:
    address = "http://127.0.0.1:8732/?token=secret&x=1"
    with opening_page(address) as opened:
        assert "secret" not in opened
        file = Path(unquote(urlparse(opened).path))
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert "url=http://127.0.0.1:8732/?token=secret&amp;x=1" in file.read_text()
    assert not file.exists()


def test_the_pages_are_served_to_this_machine_only(account: MotoAccount) -> None:
    """All addresses that begin with 127 are this machine's; only one of them is served."""
    with serving(Account(account.session)) as server:
        port = urlparse(server.url).port
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        with pytest.raises(OSError, match=r"refused|unreachable|assign|timed out"):
            socket.create_connection(("127.0.0.2", port), timeout=5)


def test_two_servers_have_different_tokens() -> None:
    tokens: list[Any] = [
        token for _ in range(2) for token in vars(PageAccess([])).values() if isinstance(token, str)
    ]
    assert len(set(tokens)) == 4
    assert min(map(len, tokens)) >= 43  # 256 random bits
