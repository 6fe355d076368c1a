from __future__ import annotations

import pytest

from hpo_dispatcher.contract.errors import InvalidRequest
from hpoq.client import Client
from tests.support.dispatcher_account import RANGES, Account, account, session

__all__ = ["account", "session"]

SMALL = {"hyperparameter_ranges": RANGES}
LARGE = SMALL | {"hyperparameters": {f"h{n}": "x" * 2500 for n in range(70)}}  # 175 KB


def test_large_requests_go_in_as_many_batches_as_sqs_needs(account: Account) -> None:
    sent = Client().submit("fraud", [LARGE] * 8)  # 1.4 MB; a batch may hold 1 MiB
    assert len(set(sent)) == 8
    assert account.waiting("fraud") == 8


def test_ids_come_back_in_the_order_of_the_requests(account: Account) -> None:
    named = [SMALL | {"request_id": f"r{n}"} for n in range(23)]
    assert Client().submit("fraud", named) == [f"r{n}" for n in range(23)]


def test_one_wrong_request_keeps_all_from_being_sent(account: Account) -> None:
    with pytest.raises(InvalidRequest):
        Client().submit("fraud", [*[SMALL] * 12, {"hyperparameter_ranges": {}}])
    assert account.waiting("fraud") == 0
