"""Requests that have ended expire after ``finished_requests_days``; no other row ever does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.settings import parse_deployment
from hpoq.repair.run import repair
from tests.support.dispatcher_account import Account, account, session

__all__ = ["account", "session"]

DAYS = 30
ENDED = {"good", "bad", "cancelled"}


def rows(account: Account) -> dict[str, dict[str, Any]]:
    found = account.dynamodb.scan(TableName="hpoq-ledger")["Items"]
    return {f"{row['team']['S']}/{row['id']['S']}": row for row in found}


def lives_of_each_kind(account: Account) -> None:
    account.request("fraud", "good")
    account.request("fraud", "bad", strategy="Guess")
    account.request("fraud", "cancelled", after=["never"])
    account.request("fraud", "waiting", after=["never"])
    account.cycle()
    account.send("fraud", {"action": "cancel", "request_id": "cancelled"})
    account.cycle()


def test_every_request_that_ended_expires_and_nothing_else_does(account: Account) -> None:
    account.configure(finished_requests_days=DAYS)
    before = datetime.now(UTC)
    lives_of_each_kind(account)
    after = datetime.now(UTC) + timedelta(seconds=1)
    expiring = {key: row for key, row in rows(account).items() if "expires_at" in row}
    assert expiring.keys() == {f"fraud/{name}" for name in ENDED}
    for row in expiring.values():
        at = datetime.fromtimestamp(int(row["expires_at"]["N"]), UTC)  # seconds: DynamoDB's TTL
        assert before - timedelta(seconds=1) <= at - timedelta(days=DAYS) <= after


def test_nothing_expires_unless_it_is_set(account: Account) -> None:
    lives_of_each_kind(account)
    assert {key for key, row in rows(account).items() if "expires_at" in row} == set()


def test_a_message_sent_again_after_its_request_expired_runs_no_second_tuning_job(
    account: Account,
) -> None:
    account.configure(finished_requests_days=DAYS)
    account.request("fraud", "good")
    account.cycle()
    account.cycle()
    (ran,) = account.tuning_jobs()
    account.dynamodb.delete_item(  # what DynamoDB does with an expired row
        TableName="hpoq-ledger", Key={"team": {"S": "fraud"}, "id": {"S": "good"}}
    )
    account.request("fraud", "good")
    account.cycle()
    account.cycle()
    assert account.tuning_jobs() == [ran]
    assert rows(account)["fraud/good"]["status"] == {"S": "Completed"}


def test_a_row_that_is_written_while_the_setting_is_off_no_longer_expires(
    account: Account,
) -> None:
    account.configure(finished_requests_days=DAYS)
    account.request("fraud", "good")
    account.cycle()
    account.cycle()
    account.dynamodb.update_item(  # the state of an old backup
        TableName="hpoq-ledger",
        Key={"team": {"S": "fraud"}, "id": {"S": "good"}},
        UpdateExpression="SET #status = :status",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":status": {"S": "Stopped"}},
    )
    account.configure()
    account.dispatcher()  # publishes the settings, which the repair reads
    assert "expires_at" in rows(account)["fraud/good"]
    repair("hpoq", apply=True, session=account.session)
    row = rows(account)["fraud/good"]
    assert row["status"] == {"S": "Completed"}
    assert "expires_at" not in row


def test_requests_stay_as_long_as_their_messages_may_come_again() -> None:
    """SQS keeps a message 14 days in each of the two queues: "SQS message retention period"."""
    with pytest.raises(InvalidSettings, match="finished_requests_days"):
        parse_deployment({"teams": {"fraud": {}}, "finished_requests_days": 27})
