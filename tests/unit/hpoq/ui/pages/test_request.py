"""The page of a request and the actions on it."""

from __future__ import annotations

from typing import Any

import pytest

from hpoq.client import Client
from hpoq.ui.access import TOKEN
from hpoq.ui.account import Account
from tests.support.dispatcher_account import Account as MotoAccount
from tests.support.dispatcher_account import account, session
from tests.support.page_scene import REASON, entry, put, request_json, scene
from tests.support.page_visitor import HOST, visit, visitor_of

__all__ = ["account", "session"]


def act(account: MotoAccount, path: str, **form: str) -> Any:
    """Send a form of the pages."""
    visitor, access = visitor_of(Account(account.session))
    form = {TOKEN: access.form_token, **form}
    return visitor.post(path, data=form, headers={"Origin": HOST}, base_url=HOST)


def test_reasons_of_failed_training_jobs_stand_on_the_request_with_a_link(
    account: MotoAccount,
) -> None:
    text = visit(scene(account), "/requests/vision/resnet-deep")
    assert "Why training jobs failed" in text
    assert '<a href="/training-jobs/tuned-013">tuned-013</a>' in text
    assert text.count(REASON) == 2  # of the request, of the training jobs


def test_a_reason_stands_in_the_row_of_the_training_job_that_failed(account: MotoAccount) -> None:
    text = visit(scene(account), "/tuning-jobs/anything")
    row = text[text.index('<a href="/training-jobs/tuned-013">') :]
    assert row.index(REASON) < row.index("</tr>", row.index("</tr>") + 1)
    assert 'href="#failed"' in text
    assert 'id="failed"' in text


def test_a_rejected_request_leads_to_what_was_sent(account: MotoAccount) -> None:
    text = visit(scene(account), "/requests/fraud/upside-down")
    assert 'href="/dead-letters?team=fraud"' in text
    assert "hpoq redrive --team fraud --edit --filter upside-down" in text


@pytest.mark.parametrize(
    ("fields", "offered"),
    [
        ({}, {"priority", "hold", "cancel"}),
        ({"on_hold": True}, {"priority", "release", "cancel"}),
        ({"status": "InProgress"}, {"cancel"}),
        ({"status": "Stopping"}, set()),
        ({"status": "Completed"}, set()),
    ],
)
def test_a_page_offers_the_actions_that_change_something(
    account: MotoAccount, fields: dict[str, Any], offered: set[str]
) -> None:
    session = scene(account)
    put(account, [entry("one", **fields)])
    text = visit(session, "/requests/fraud/one")
    found = {
        name
        for name in ("cancel", "hold", "release", "priority")
        if f'action="/requests/fraud/one/{name}"' in text
    }
    assert found == offered


def queued(account: MotoAccount) -> Client:
    account.request("fraud", "wanted", after=["later"])
    account.cycle()
    return Client("hpoq", account.session)


def test_a_request_is_held_released_moved_and_cancelled_from_its_page(account: MotoAccount) -> None:
    client = queued(account)
    path = "/requests/fraud/wanted"

    answer = act(account, f"{path}/hold")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{path}?sent=hold")
    account.cycle()
    assert client.get("fraud", "wanted").on_hold

    act(account, f"{path}/release")
    account.cycle()
    assert not client.get("fraud", "wanted").on_hold

    act(account, f"{path}/priority", priority="-7")
    account.cycle()
    assert client.get("fraud", "wanted").priority == -7

    act(account, f"{path}/cancel")
    account.cycle()
    assert client.get("fraud", "wanted").status == "Cancelled"


@pytest.mark.parametrize("priority", ["", "high", "1.5", "1001", "9" * 5000])
def test_a_priority_that_is_none_is_refused_in_a_line(account: MotoAccount, priority: str) -> None:
    queued(account)
    answer = act(account, "/requests/fraud/wanted/priority", priority=priority)
    assert answer.status_code == 400
    assert "priority" in answer.text
    assert account.waiting("fraud") == 0


def test_unknown_actions_and_teams_are_refused(account: MotoAccount) -> None:
    queued(account)
    assert act(account, "/requests/fraud/wanted/delete").status_code == 404
    assert act(account, "/requests/nobody/wanted/cancel").status_code == 404
    assert act(account, "/requests/fraud/not%20an%20id/cancel").status_code == 400


def test_what_was_sent_is_said_but_never_echoed(account: MotoAccount) -> None:
    queued(account)
    assert "Sent: hold." in visit(account.session, "/requests/fraud/wanted?sent=hold")
    text = visit(account.session, "/requests/fraud/wanted?sent=<b>money</b>")
    assert "money" not in text


def test_what_was_sent_in_a_request_is_escaped(account: MotoAccount) -> None:
    session = scene(account)
    text = request_json("evil", hyperparameters={"x": "</pre><script>alert(1)</script>"})
    put(account, [entry("evil", request_json=text)])
    assert "<script>alert" not in visit(session, "/requests/fraud/evil")
