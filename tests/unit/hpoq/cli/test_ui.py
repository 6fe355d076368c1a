"""The command that serves the pages."""

from __future__ import annotations

import re
import webbrowser
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
import urllib3

from hpoq.ui.server import PageServer
from tests.support.command_line import Run
from tests.support.dispatcher_account import Account


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect what is opened in a browser, and press Ctrl-C once the pages would be served."""
    found: list[str] = []

    def interrupted(_: PageServer) -> None:
        raise KeyboardInterrupt

    def read(address: str) -> bool:
        found.extend((address, Path(unquote(urlparse(address).path)).read_text()))
        return True

    monkeypatch.setattr(PageServer, "serve_forever", interrupted)
    monkeypatch.setattr(webbrowser, "open", read)
    monkeypatch.setattr("hpoq.ui.figures.loading.begin", lambda: None)
    return found


def test_the_printed_address_has_a_token_and_the_browser_gets_it_in_a_private_file(
    hpoq: Run, opened: list[str]
) -> None:
    status, _, said = hpoq("ui", "--port", "0")
    assert status == 0
    (address,) = re.findall(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", said.replace("\n", ""))
    file, content = opened
    assert file.startswith("file:///")
    assert address in content
    assert "Stopped serving the pages" in said


def test_no_browser_is_opened_without_being_wanted(hpoq: Run, opened: list[str]) -> None:
    assert hpoq("ui", "--port", "0", "--no-browser", "--read-only")[0] == 0
    assert opened == []


def test_the_port_is_closed_to_other_machines_and_in_the_end_to_all(
    hpoq: Run, opened: list[str]
) -> None:
    _, _, said = hpoq("ui", "--port", "0", "--no-browser")
    (port,) = re.findall(r"http://127\.0\.0\.1:(\d+)/", said)
    with pytest.raises(urllib3.exceptions.MaxRetryError):
        urllib3.request("GET", f"http://127.0.0.1:{port}/", retries=0)


def test_an_account_without_region_is_one_line(
    account: Account, hpoq: Run, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    status, _, said = hpoq("ui", "--port", "0", "--no-browser")
    assert status == 1
    assert "Set AWS_DEFAULT_REGION" in said
    assert "Traceback" not in said
