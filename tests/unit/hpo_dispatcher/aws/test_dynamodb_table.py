"""Transactions that DynamoDB cancels: a failed condition is final, a throttled write is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpo_dispatcher.aws.dynamodb_table import CONFLICT_RETRIES, Table
from hpo_dispatcher.ports import LeaseLost, Unavailable

FAILED, NONE = "ConditionalCheckFailed", "None"


class Cancelling:
    """A DynamoDB that cancels transactions with these reasons, then accepts one."""

    def __init__(self, *cancellations: Sequence[str]) -> None:
        self._cancellations = list(cancellations)
        self.written: list[Any] = []

    def transact_write_items(self, *, TransactItems: Any) -> None:  # noqa: N803  boto3's name
        if self._cancellations:
            reasons = [{"Code": code} for code in self._cancellations.pop(0)]
            answer: Any = {
                "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
                "CancellationReasons": reasons,
            }
            raise ClientError(answer, "TransactWriteItems")
        self.written = TransactItems


def write(dynamodb: Any, *, leased: bool = False) -> tuple[set[str], list[float]]:
    """Write two groups; return those that were written, and the pauses."""
    pauses: list[float] = []
    table = Table(dynamodb, "ledger", sleep=pauses.append, jitter=lambda: 0.0)
    groups = {name: [{"Delete": {"Key": {"id": {"S": name}}}}] for name in "ab"}
    lease: Any = [{"ConditionCheck": {}}] if leased else []
    return table.write_those_that_can(groups, lambda _: lease), pauses


# The codes as the API reference of TransactWriteItems lists them.
@pytest.mark.parametrize(
    "code", ["ThrottlingError", "TransactionConflict", "ProvisionedThroughputExceeded"]
)
def test_a_throttled_or_conflicting_transaction_is_written_a_moment_later(code: str) -> None:
    written, pauses = write(Cancelling([NONE, code], [code, code]))
    assert written == {"a", "b"}
    assert len(pauses) == 2
    assert 0 < pauses[0] < pauses[1]


@pytest.mark.parametrize("code", ["ThrottlingError", "ProvisionedThroughputExceeded"])
def test_a_throttled_lease_check_is_not_a_lost_lease(code: str) -> None:
    written, _ = write(Cancelling([code, NONE, NONE]), leased=True)
    assert written == {"a", "b"}
    with pytest.raises(LeaseLost):
        write(Cancelling([FAILED, code, NONE]), leased=True)


def test_only_the_group_whose_condition_failed_is_left_out() -> None:
    dynamodb = Cancelling([FAILED, "ThrottlingError"])
    assert write(dynamodb)[0] == {"b"}
    assert len(dynamodb.written) == 1


def test_repetitions_are_bounded() -> None:
    with pytest.raises(Unavailable, match="throttled"):
        write(Cancelling(*[["ThrottlingError", NONE]] * (CONFLICT_RETRIES + 1)))


def test_other_cancellations_are_not_repeated() -> None:
    with pytest.raises(Unavailable):
        write(Cancelling(["ValidationError", NONE]))
