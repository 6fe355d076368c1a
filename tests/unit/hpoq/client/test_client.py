from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from boto3 import Session
from botocore.stub import Stubber

from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.scheduling.history.queue_counts import BEFORE_ALL
from hpoq.client import Client
from tests.support.api_calls import api_calls
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


def test_requests_are_read_by_their_ids_and_unprocessed_keys_again(account: Account) -> None:
    account.configure(limits={"tuning_jobs": 1})  # moto copies its tables at every start
    ids = [f"r{n}" for n in range(130)]  # BatchGetItem takes 100 keys
    Client().submit("fraud", [SMALL | {"request_id": id_} for id_ in [*ids, "another"]])
    account.cycle()
    with api_calls(account.session) as calls:
        client = Client("hpoq", account.session)
        found = client.get_all("fraud", [*ids, "missing", ids[0]])
    assert sorted(found) == sorted(ids)
    assert {entry.team for entry in found.values()} == {"fraud"}
    read = [parameters for name, parameters in calls.requested if name == "BatchGetItem"]
    assert [len(each["RequestItems"]["hpoq-ledger"]["Keys"]) for each in read] == [100, 31]


def test_keys_that_dynamodb_did_not_process_are_read_again() -> None:
    """BatchGetItem returns what it had no capacity or no room for: "BatchGetItem" in the API."""
    first = {"team": {"S": "fraud"}, "id": {"S": "a"}}
    second = {"team": {"S": "fraud"}, "id": {"S": "b"}}
    row = {"status": {"S": "Queued"}, "accepted_at": {"S": "2026-11-23T12:00:00+00:00"}}
    aws = Session("testing", "testing", region_name="eu-central-1").client("dynamodb")
    session: Any = SimpleNamespace(client=lambda *_, **__: aws)
    client = Client("hpoq", session)
    with Stubber(aws) as dynamodb:
        for keys, item, left in (([first, second], first, [second]), ([second], second, [])):
            dynamodb.add_response(
                "batch_get_item",
                {
                    "Responses": {"hpoq-ledger": [item | row]},
                    "UnprocessedKeys": {"hpoq-ledger": {"Keys": left}} if left else {},
                },
                {"RequestItems": {"hpoq-ledger": {"Keys": keys, "ConsistentRead": True}}},
            )
        assert list(client.get_all("fraud", ["a", "b"])) == ["a", "b"]


def test_the_requests_between_two_sort_keys_of_a_queue_are_counted_with_one_read(
    account: Account,
) -> None:
    account.configure(limits={"tuning_jobs": 1})
    Client().submit("fraud", [SMALL | {"request_id": f"r{n:02}"} for n in range(30)])
    account.cycle()
    queued = account.dispatcher().requests.heads("fraud", 99)
    keys = [entry.queue_sort_key for entry in queued]
    with api_calls(account.session) as calls:
        client = Client("hpoq", account.session)
        assert client.queued_between("fraud", keys[3], keys[12]) == 10
        assert client.queued_between("fraud", BEFORE_ALL, keys[0]) == 1
        assert client.queued_between("vision", BEFORE_ALL, keys[0]) == 0
    assert [name for name, _ in calls.requested] == ["Query"] * 3


def test_a_count_that_takes_more_than_one_read_or_is_not_permitted_is_unknown() -> None:
    aws = Session("testing", "testing", region_name="eu-central-1").client("dynamodb")
    session: Any = SimpleNamespace(client=lambda *_, **__: aws)
    client = Client("hpoq", session)
    with Stubber(aws) as dynamodb:
        dynamodb.add_response("query", {"Count": 7})
        dynamodb.add_response("query", {"Count": 7, "LastEvaluatedKey": {"id": {"S": "a"}}})
        dynamodb.add_client_error("query", "AccessDeniedException")
        found = [client.queued_between("fraud", BEFORE_ALL, "b") for _ in range(3)]
    assert found == [7, None, None]
