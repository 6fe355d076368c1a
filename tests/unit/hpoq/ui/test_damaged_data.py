"""Damaged data: pages and commands say what is damaged, without a traceback or an error 500."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT, SETTINGS_DOCUMENT
from hpoq.ui.account import Account
from tests.support.dispatcher_account import Account as MotoAccount
from tests.support.dispatcher_account import account, session
from tests.support.page_visitor import HOST, visitor_of

__all__ = ["account", "session"]


def damaged_row(account: MotoAccount) -> None:
    """A row that lacks nearly everything."""
    put(account, {"team": {"S": "fraud"}, "id": {"S": "broken"}, "status": {"S": "Odd"}})


def row_of_a_later_version(account: MotoAccount) -> None:
    put(account, {"team": {"S": "fraud"}, "id": {"S": "later"}, "version": {"N": "99"}})


def damaged_capacity(account: MotoAccount) -> None:
    account.dispatcher().documents.put(CAPACITY_DOCUMENT, '{"at": ')


def capacity_of_another_shape(account: MotoAccount) -> None:
    account.dispatcher().documents.put(CAPACITY_DOCUMENT, '{"at": 3, "queues": []}')


def damaged_settings(account: MotoAccount) -> None:
    account.dispatcher().documents.put(SETTINGS_DOCUMENT, "[]")


def strange_dead_letters(account: MotoAccount) -> None:
    url = account.sqs.get_queue_url(QueueName="hpoq-fraud-dead-letter")["QueueUrl"]
    for body in ("not JSON", "[]", '"\\u0000"', "<b>bold</b>"):
        account.sqs.send_message(QueueUrl=url, MessageBody=body)


def put(account: MotoAccount, item: dict[str, Any]) -> None:
    account.session.client("dynamodb").put_item(TableName="hpoq-ledger", Item=item)


PAGES = ("/", "/requests/fraud/good", "/requests/fraud/broken", "/dead-letters")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damaged_row, "ledger row fraud/broken: cannot be read"),
        (row_of_a_later_version, "ledger row fraud/later"),
        (damaged_capacity, "the document capacity of the ledger cannot be read"),
        (capacity_of_another_shape, "the document capacity of the ledger cannot be read"),
        (damaged_settings, "settings: request: [] is not an object"),
        (strange_dead_letters, "&lt;b&gt;bold&lt;/b&gt;"),
    ],
)
def test_pages_say_what_is_damaged(
    account: MotoAccount, damage: Callable[[MotoAccount], None], said: str
) -> None:
    account.request("fraud", "good")
    account.cycle()
    damage(account)
    visitor, _ = visitor_of(Account(account.session))
    answers = [visitor.get(page, base_url=HOST) for page in PAGES]
    assert {answer.status_code for answer in answers} <= {200, 404, 502}
    assert any(said in " ".join(answer.text.split()) for answer in answers)
