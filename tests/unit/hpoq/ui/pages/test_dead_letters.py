"""Rejected messages: what was sent, and why it was rejected."""

from __future__ import annotations

import html

from hpoq.client import Client
from tests.support.dispatcher_account import Account as MotoAccount
from tests.support.dispatcher_account import account, session
from tests.support.page_scene import scene
from tests.support.page_visitor import visit

__all__ = ["account", "session"]


def test_each_message_stands_with_its_reason_and_its_text(account: MotoAccount) -> None:
    text = html.unescape(visit(scene(account), "/dead-letters"))
    assert "min 0.1 is above max 0.001. Swap them" in text
    assert "hyperparameter_ranges.lr" in text
    assert '"request_id": "upside-down"' in text
    assert '{"request_id": "cut-off", "hyperparameter_ranges": {"lr": ' in text  # not even JSON
    assert "not valid JSON" in text


def test_one_team_can_be_chosen(account: MotoAccount) -> None:
    text = visit(scene(account), "/dead-letters?team=vision")
    assert "cut-off" in text
    assert "upside-down" not in text


def test_looking_changes_nothing(account: MotoAccount) -> None:
    session = scene(account)
    for _ in range(2):
        assert "upside-down" in visit(session, "/dead-letters")
    (letter,) = account.dead_letters("fraud")  # visible at once
    assert "upside-down" in letter["body"]


def test_of_many_messages_the_first_are_read(account: MotoAccount) -> None:
    for number in range(25):
        account.send("fraud", f"not JSON {number}")
    account.cycle()
    client = Client("hpoq", account.session)
    assert 10 <= len(client.dead_letters("fraud", hold_seconds=0, most=10)) < 20
    assert len(client.dead_letters("fraud")) == 25


def test_messages_are_escaped(account: MotoAccount) -> None:
    session = scene(account)
    account.send("fraud", '{"request_id": "<script>alert(1)</script>", "x<b>": 1}')
    account.cycle()
    text = visit(session, "/dead-letters")
    assert "<script>alert" not in text
    assert "x<b>" not in text
    assert "x&lt;b&gt;" in text
