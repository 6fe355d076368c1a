"""Every page in a browser, narrow and wide, light and dark: readable, labeled, without overflow.

``HPOQ_PICTURES=docs/images python -m pytest tests/browser`` makes the screenshots of the docs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpoq.ui.account import Account
from hpoq.ui.app import ROUTES
from hpoq.ui.server import PageServer, serving
from tests.support.axe import violations
from tests.support.browser import Browser, headless
from tests.support.dispatcher_account import deployment_in_moto, session
from tests.support.page_scene import RUNNING, campaign_entries, put, scene

__all__ = ["session"]
WIDTHS, SCHEMES = (1280, 390), ("light", "dark")
PAGES = {
    "overview": "",
    "request": "requests/fraud/sweep-1",
    "failed-request": "requests/vision/resnet-deep",
    "dead-letters": "dead-letters",
    "campaigns": "campaigns",
    "campaign": "campaigns/fraud/credit",
    "tuning-jobs": "tuning-jobs",
    "tuning-job": f"tuning-jobs/{RUNNING}",
    "training-job": "training-jobs/fraud-nightly-auc-x7k2p9qa-013",
    "not-found": "training-jobs/../nothing",
}
DRAWN = {
    "campaign": "!!document.querySelector('[data-drawn] svg.main-svg')",
    "tuning-job": "document.querySelectorAll('[data-drawn]').length === 5",
    "training-job": "!!document.querySelector('#metrics svg.main-svg')",
}
LOADED = "document.querySelector('main').dataset.refresh !== '1'"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, session: Any) -> Iterator[PageServer]:
    folder = tmp_path_factory.mktemp("account")
    with deployment_in_moto(folder, session) as account:
        made = scene(account)
        put(account, campaign_entries())
        with serving(Account(made)) as server:
            yield server


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, pages: PageServer) -> Iterator[Browser]:
    with headless(tmp_path_factory.mktemp("profile")) as started:
        started.enter(pages)
        yield started


def open_page(browser: Browser, pages: PageServer, name: str) -> None:
    browser.open(pages.url + PAGES[name].replace("training-jobs/../", ""))
    browser.wait_for(LOADED)
    browser.wait_for(DRAWN.get(name, "true"))


def test_every_kind_of_page_is_looked_at() -> None:
    shown = {rule.endpoint for rule in ROUTES.iter_rules() if "GET" in (rule.methods or ())}
    looked_at = {name.replace("-", "_") for name in PAGES}
    assert shown - looked_at == {
        "static", "tuning_job_figures", "campaign_figures", "log",
    }  # fmt: skip


@pytest.mark.timeout(180)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_and_can_be_read_by_everybody(
    browser: Browser, pages: PageServer, name: str, width: int, scheme: str
) -> None:
    browser.show(width, scheme)
    open_page(browser, pages, name)
    assert browser.get("document.documentElement.scrollWidth") <= width
    assert violations(browser) == []
    folder = os.environ.get("HPOQ_PICTURES")
    if folder and name != "not-found":
        browser.picture(Path(folder) / f"{name}-{width}-{scheme}.webp", width)


@pytest.mark.timeout(60)
def test_pale_text_and_a_field_without_label_would_be_found(
    browser: Browser, pages: PageServer
) -> None:
    browser.show(1280, "light")
    open_page(browser, pages, "overview")
    browser.get("document.querySelector('h1').style.color = '#ccc'; true")
    browser.get("document.querySelector('main').append(document.createElement('input')); true")
    assert {rule for rule, _ in violations(browser)} == {"color-contrast", "label"}


@pytest.mark.timeout(60)
def test_dark_pages_are_dark_and_light_ones_light(browser: Browser, pages: PageServer) -> None:
    lightness = """(() => { const [r, g, b] = getComputedStyle(document.body).backgroundColor
      .match(/\\d+/g).map(Number); return (r + g + b) / 3 })()"""
    open_page(browser, pages, "overview")
    browser.show(1280, "dark")
    assert browser.get(lightness) < 40
    browser.show(1280, "light")
    assert browser.get(lightness) > 240


@pytest.mark.timeout(60)
def test_tiles_filters_and_actions_work_without_a_mouse(
    browser: Browser, pages: PageServer
) -> None:
    open_page(browser, pages, "overview")
    browser.get("document.querySelector('a.tile[href*=Failed]').click(); true")
    browser.wait_for("location.search === '?status=Failed' && document.readyState === 'complete'")
    rows = "[...document.querySelectorAll('#requests a[href^=\"/requests\"]')]"
    failed = browser.get(f"{rows}.map(each => each.textContent.trim()).sort().join(' ')")
    assert failed == "credit-00004 resnet-deep"
    open_page(browser, pages, "request")
    browser.get("document.querySelector('form[action$=hold] button').click(); true")
    browser.wait_for("location.search === '?sent=hold' && document.readyState === 'complete'")
    assert "Sent: hold" in browser.get("document.body.innerText")


@pytest.mark.timeout(60)
def test_a_refresh_leaves_alone_what_somebody_fills_in(browser: Browser, pages: PageServer) -> None:
    open_page(browser, pages, "request")
    field = "document.querySelector('input[name=priority]')"
    browser.get(f"{field}.focus(); {field}.value = '77'; window.asked = 0; true")
    browser.get(
        "main.addEventListener('x', () => 0); refresh(false).then(() => window.asked++); true"
    )
    browser.wait_for("window.asked")
    assert browser.get(f"{field}.value") == "77"
