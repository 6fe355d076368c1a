"""The overview of an account with something of everything."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpo_dispatcher.contract.entry import Entry
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpoq.client import Client
from hpoq.presentation import objective, training_jobs
from hpoq.ui.account import Account
from hpoq.ui.ledger_view import LedgerView, live_seconds
from tests.support.dispatcher_account import Account as MotoAccount
from tests.support.dispatcher_account import account, session
from tests.support.page_scene import RUNNING, SceneSession, capacity, entry, put, scene
from tests.support.page_visitor import HOST, visit, visitor_of

__all__ = ["account", "session"]
DENIED = "your credentials do not allow"


def rows(text: str) -> list[str]:
    """Return the requests that a page lists."""
    table = text.partition('<section id="requests"')[2].partition("</section>")[0]
    return re.findall(r'<td><a href="/requests/[^/]+/([^"]+)"', table)


def test_tiles_count_and_filter(account: MotoAccount) -> None:
    text = visit(scene(account))
    tiles = re.findall(r'<a class="tile" href="([^"]+)"[^>]*>\s*<b>(\d+)</b><span>([^<]+)', text)
    assert ("/?status=Queued#requests", "7", "Queued") in tiles
    assert ("/dead-letters", "2", "dead letters") in tiles
    assert [name for _, _, name in tiles] == [
        "In progress", "Stopping", "Queued", "Completed", "Stopped", "Failed", "Rejected",
        "Cancelled", "dead letters",
    ]  # fmt: skip


def test_what_is_in_use_stands_above_the_requests(account: MotoAccount) -> None:
    text = visit(scene(account))
    assert text.index("In use") < text.index("<h2>Requests</h2>")
    assert "fraud 8, vision 4" in text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=Failed", ["resnet-deep"]),
        ("team=vision&status=Queued", ["augment-1", "augment-2", "paused-by-team"]),
        ("text=memory", ["resnet-deep"]),
        ("status=InProgress&team=vision", []),
    ],
)
def test_requests_are_filtered(account: MotoAccount, query: str, expected: list[str]) -> None:
    text = visit(scene(account), f"/?{query}")
    assert rows(text) == expected
    assert ("No request matches" in text) == (not expected)
    assert f"{len(expected)} that match, of 15" in text or not expected


def test_many_requests_are_on_pages_from_the_head_of_the_queue(account: MotoAccount) -> None:
    session = scene(account)
    put(account, [entry(f"many-{n:03}", minutes=2000 - n, priority=9) for n in range(120)])
    first = visit(session, "/?status=Queued")
    assert rows(first) == [f"many-{n:03}" for n in range(50)]
    assert "1 to 50 of 127 that match" in first
    assert 'href="/?status=Queued&amp;page=2#requests" rel="next"' in first
    third = visit(session, "/?status=Queued&page=3")
    assert rows(third)[:20] == [f"many-{n:03}" for n in range(100, 120)]
    assert rows(visit(session, "/?status=Queued&page=99")) == rows(third)


def test_running_requests_have_the_numbers_of_the_command(account: MotoAccount) -> None:
    session = scene(account)
    client = Client("hpoq", session)
    listed = client.live(client.get("fraud", "nightly-auc"))  # as `hpoq list` reads it
    assert listed.counters == {"Completed": 14, "InProgress": 4, "NonRetryableError": 1}
    text = html.unescape(visit(session))
    (row,) = re.findall(
        r'<tr[^>]*>\s*<td><a href="/requests/fraud/nightly-auc".*?</tr>', text, re.S
    )
    assert f'<a href="/tuning-jobs/{RUNNING}">{training_jobs(listed)}</a>' in row
    assert training_jobs(listed) == "14/40 (1 failed, 4 running)"
    assert f">{objective(listed)}<" in row
    assert objective(listed) == "0.9407"


@pytest.mark.parametrize(("running", "seconds"), [(1, 2), (4, 2), (10, 5), (50, 25)])
def test_many_running_requests_cost_two_calls_a_second(running: int, seconds: float) -> None:
    assert live_seconds(running) == seconds


class SlowLedger(Client):
    """A ledger that gives one entry and then waits."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.go = threading.Event()

    def entries(self, team: str, statuses: Any = ()) -> Iterator[Entry]:
        yield from list(super().entries(team, statuses))[:1]
        self.go.wait()


def test_first_figures_appear_while_thousands_of_requests_are_read(
    account: MotoAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = scene(account)
    monkeypatch.setattr("hpoq.ui.account.Client", SlowLedger)
    pages = Account(session)
    slow: Any = pages.client
    try:
        text = visitor_of(pages, patience=1.0)[0].get("/", base_url=HOST).text
    finally:
        slow.go.set()
    assert "<b>5</b><span>Queued" in text  # from the document of the last cycle
    assert "<b>3</b><span>In progress" in text
    assert "not known yet" in text  # how many have completed
    assert "fraud 8, vision 4" in text
    assert "Reading the requests" in text
    assert 'data-refresh="1"' in text
    # the heads of the queues are read first
    assert rows(text)[:2] == ["sweep-1", "sweep-2"]


def test_a_page_is_sent_after_its_patience_whatever_is_slow(
    account: MotoAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    session = scene(account)
    for name in ("settings", "capacity"):
        slow = property(lambda _: go.wait()) if name == "settings" else lambda _: go.wait()
        monkeypatch.setattr(f"hpoq.client.Client.{name}", slow)
    try:
        text = visitor_of(Account(session), patience=0.2)[0].get("/", base_url=HOST).text
    finally:
        go.set()
    assert "Reading the requests: 0 so far" in text
    assert RUNNING in text  # the tuning jobs are known


def denied(operation: str) -> ClientError:
    text = f"User is not authorized to perform: {operation}"
    return ClientError({"Error": {"Code": "AccessDeniedException", "Message": text}}, operation)


class Denying:
    """A client that may do nothing but some operations."""

    def __init__(self, client: Any, *allowed: str) -> None:
        self._client = client
        self._allowed = allowed
        self.meta = getattr(client, "meta", None)

    def __getattr__(self, name: str) -> Any:
        if name in self._allowed:
            return getattr(self._client, name)
        if name == "get_paginator":
            return Paginator
        return lambda **_: (_ for _ in ()).throw(denied(name))


class Paginator:
    def __init__(self, operation: str) -> None:
        self.paginate: Any = lambda **_: (_ for _ in ()).throw(denied(operation))


class Reader:
    """A session of a reader who may do only some operations of some services."""

    def __init__(self, session: Any, **allowed: tuple[str, ...]) -> None:
        self._session = session
        self._allowed = allowed
        self.region_name = session.region_name

    def client(self, service: str, **options: Any) -> Any:
        made = self._session.client(service, **options)
        return Denying(made, *self._allowed[service]) if service in self._allowed else made


@pytest.mark.parametrize(
    ("allowed", "seen", "unseen"),
    [
        ({"sagemaker": ()}, ["nightly-auc", "fraud 8", DENIED], [f"{RUNNING}<"]),
        ({"dynamodb": ()}, [RUNNING, DENIED], ["nightly-auc<"]),
        ({"sqs": ()}, ["nightly-auc", RUNNING], ["dead letters</span>", DENIED]),
        ({"dynamodb": ("get_item",)}, ["fraud 8, vision 4", RUNNING, "may not read"], []),
    ],
)  # fmt: skip
def test_a_reader_sees_what_the_policies_allow(
    account: MotoAccount,
    allowed: dict[str, tuple[str, ...]],
    seen: list[str],
    unseen: list[str],
) -> None:
    visitor, _ = visitor_of(Account(Reader(scene(account), **allowed)))  # type: ignore[arg-type]
    answer = visitor.get("/", base_url=HOST)
    assert answer.status_code == 200
    assert [each for each in seen if each not in answer.text] == []
    assert [each for each in unseen if each in answer.text] == []


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/tuning-jobs", 200, "do not allow list_hyper_parameter_tuning_jobs"),
        (f"/tuning-jobs/{RUNNING}", 403, DENIED),
        ("/training-jobs/tuned-001", 403, DENIED),
        ("/requests/fraud/nightly-auc", 200, "nightly-auc"),
        ("/dead-letters", 200, "upside-down"),
    ],
)
def test_without_access_to_sagemaker_no_page_fails(
    account: MotoAccount, path: str, status: int, text: str
) -> None:
    visitor, _ = visitor_of(Account(Reader(scene(account), sagemaker=())))  # type: ignore[arg-type]
    answer = visitor.get(path, base_url=HOST)
    assert answer.status_code == status
    assert text in answer.text


def test_without_access_to_training_jobs_and_logs_their_pages_say_so(account: MotoAccount) -> None:
    reader: Any = Reader(
        scene(account), logs=(),
        sagemaker=("describe_hyper_parameter_tuning_job", "describe_training_job"),
    )  # fmt: skip
    visitor, _ = visitor_of(Account(reader))
    page = visitor.get(f"/tuning-jobs/{RUNNING}", base_url=HOST)
    assert page.status_code == 200
    assert DENIED in page.text
    figures = visitor.get(f"/tuning-jobs/{RUNNING}/figures.json", base_url=HOST)
    assert figures.status_code == 200
    log = visitor.get("/training-jobs/tuned-001/log.json", base_url=HOST)
    assert log.status_code == 200
    assert DENIED in log.get_json()["note"]
    assert log.get_json()["lines"] == []


def test_messages_that_no_cycle_has_taken_in_are_said(account: MotoAccount) -> None:
    session = scene(account)
    account.request("fraud", "just-sent")
    assert "1 message in the queue of team fraud" in visit(session)


def test_texts_of_others_are_escaped(account: MotoAccount) -> None:
    session = scene(account)
    wicked = "<img src=x onerror=alert(1)>"
    put(account, [entry("evil", reason=wicked, template='"><script>')])
    document = capacity([entry("evil")])
    account.dispatcher().documents.put(CAPACITY_DOCUMENT, document.to_json())
    text = visit(session, f"/?text={wicked}")
    assert "<img" not in text
    assert "&lt;img src=x" in text
    assert "<script>" not in text


def test_a_team_that_is_added_while_the_pages_are_open_appears(account: MotoAccount) -> None:
    pages = Account(scene(account))
    assert "<option>speech</option>" not in visitor_of(pages)[0].get("/", base_url=HOST).text
    account.configure(teams={"fraud": {}, "vision": {}, "speech": {}})
    account.dispatcher()  # publishes the settings
    later = Account(account.session)
    later.client = pages.client  # whose settings have been read before
    later.ledger = LedgerView(pages.client, None, later.background)
    assert "<option>speech</option>" in visitor_of(later)[0].get("/", base_url=HOST).text


def test_times_name_their_zone(account: MotoAccount) -> None:
    session: SceneSession = scene(account)
    for path in ("/", "/requests/fraud/baseline", "/training-jobs/tuned-001"):
        found = re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d([^<.\"]*)", visit(session, path))
        assert found, path
        assert all(re.fullmatch(r" [A-Z+-][\w+-]*", zone) for zone in found), found
