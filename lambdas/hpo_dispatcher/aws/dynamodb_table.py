"""A DynamoDB table: paginated reads, conditional writes and transactions."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from hpo_dispatcher.aws.clients import code, unavailable
from hpo_dispatcher.contract.ledger.dynamodb_json import Item, from_wire, to_wire
from hpo_dispatcher.ports import LeaseLost, LedgerMissing, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_T = TypeVar("_T")
Write = dict[str, Any]  # one element of TransactItems
# Returns the writes that accompany the groups of a transaction, by their names.
Shared = Callable[[Collection[str]], list[Write]]

# TransactWriteItems: 100 items and 4 MB; a start writes two rows, and one checks the lease.
ROWS = 96
BATCH_GET = 100  # BatchGetItem: keys per call
# A third of 4 MB, because a non-ASCII character can take three times its bytes in transit.
BYTES = 1_300_000
CONFLICT_RETRIES = 8
# CancellationReasons of TransactWriteItems that say nothing about a condition: the same write may
# succeed a moment later (API reference of TransactWriteItems).
PASSING = frozenset(["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])


class ConditionFailed(Exception):
    """The condition of a single write did not hold."""


class Table:
    """The ledger's table. Every method raises ``Unavailable``, or ``LedgerMissing``."""

    def __init__(
        self,
        dynamodb: DynamoDBClient,
        name: str,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._dynamodb = dynamodb
        self._name = name
        self._sleep = sleep
        self._jitter = jitter  # from 0 to 1

    @contextmanager
    def _calling(self, operation: str) -> Iterator[None]:
        with unavailable(f"dynamodb:{operation}"):
            try:
                yield
            except ClientError as error:
                if code(error) != "ResourceNotFoundException":
                    raise
                raise LedgerMissing(
                    f"the ledger's table {self._name} does not exist. Nothing more is started, "
                    "messages stay in their queues; docs/runbook.md says how to bring it back"
                ) from None

    def item(self, key: Mapping[str, str]) -> Item | None:
        """Return a row, read consistently, or None."""
        with self._calling("GetItem"):
            answer = self._dynamodb.get_item(
                TableName=self._name, Key=to_wire(key), ConsistentRead=True
            )
        return from_wire(answer["Item"]) if "Item" in answer else None

    def items(self, keys: Sequence[Mapping[str, str]]) -> Iterator[Item]:
        """Yield the rows that exist, in any order, read consistently."""
        wanted: list[Any] = [to_wire(key) for key in keys]
        while wanted:
            batch, wanted = wanted[:BATCH_GET], wanted[BATCH_GET:]
            request: Any = {self._name: {"Keys": batch, "ConsistentRead": True}}
            with self._calling("BatchGetItem"):
                answer = self._dynamodb.batch_get_item(RequestItems=request)
            yield from map(from_wire, answer["Responses"].get(self._name, []))
            left: Any = answer.get("UnprocessedKeys", {}).get(self._name)
            wanted += left["Keys"] if left else []

    def put(self, item: Item) -> None:
        """Write a row, replacing any earlier one."""
        with self._calling("PutItem"):
            self._dynamodb.put_item(TableName=self._name, Item=to_wire(item))

    def rows(self, read: Callable[[Item], _T | None], count: int | None, **query: Any) -> list[_T]:
        """Query up to ``count`` rows over all pages; skip those that ``read`` turns into None."""
        rows: list[_T] = []
        start: dict[str, Any] = {}
        while True:
            limit: dict[str, Any] = {"Limit": count - len(rows)} if count else {}
            with self._calling("Query"):
                answer = self._dynamodb.query(TableName=self._name, **query, **limit, **start)
            found = (read(from_wire(item)) for item in answer["Items"])
            rows += [row for row in found if row is not None]
            if "LastEvaluatedKey" not in answer or (count and len(rows) >= count):
                return rows
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def update(
        self, key: Mapping[str, str], change: str, condition: str | None, values: Item
    ) -> Item:
        """Change one row.

        Returns:
            The row as it is now.

        Raises:
            ConditionFailed: the condition did not hold.
        """
        conditional: Any = {"ConditionExpression": condition} if condition else {}
        with self._calling("UpdateItem"):
            try:
                answer = self._dynamodb.update_item(
                    TableName=self._name,
                    Key=to_wire(key),
                    UpdateExpression=change,
                    ExpressionAttributeValues=to_wire(values),
                    ReturnValues="ALL_NEW",
                    **conditional,
                )
            except ClientError as error:
                if code(error) == "ConditionalCheckFailedException":
                    raise ConditionFailed from None
                raise
        return from_wire(answer["Attributes"])

    def write_those_that_can(
        self, groups: Mapping[str, list[Write]], shared: Shared = lambda _: []
    ) -> set[str]:
        """Write all groups whose conditions hold in one transaction, without the others.

        Args:
            groups: writes that belong together, by name.
            shared: returns writes for all written groups; may only check the lease.

        Raises:
            LeaseLost: the lease check failed; nothing was written.
        """
        groups = dict(groups)
        conflicts = 0
        while groups:
            failed = self._transact(groups, shared(groups.keys()))
            if failed is None:
                return set(groups)
            if not failed:  # a concurrent write of the same rows, or throttled
                conflicts += 1
                if conflicts > CONFLICT_RETRIES:
                    raise Unavailable(
                        "dynamodb:TransactWriteItems: too many conflicts or throttled writes"
                    )
                self._sleep(0.02 * 2**conflicts * (1 + self._jitter()) / 2)
            for name in failed:
                del groups[name]
        return set()

    def _transact(
        self, groups: Mapping[str, list[Write]], shared: Sequence[Write]
    ) -> set[str] | None:
        """Write all groups, or none.

        Returns:
            None if written, else the groups whose conditions failed; no groups if a repetition
            may succeed.
        """
        owners = [""] * len(shared) + [name for name, writes in groups.items() for _ in writes]
        writes = [*shared, *(write for group in groups.values() for write in group)]
        items: Any = [self._in_table(write) for write in writes]
        with self._calling("TransactWriteItems"):
            try:
                self._dynamodb.transact_write_items(TransactItems=items)
            except ClientError as error:
                if code(error) == "TransactionConflictException":
                    return set()
                if code(error) != "TransactionCanceledException":
                    raise
                failed, passing = _failed_conditions(error, owners)
                if "" in failed:
                    raise LeaseLost("another dispatcher has taken over") from None
                if not failed and not passing:
                    raise
                return failed
        return None

    def _in_table(self, write: Write) -> Write:
        return {kind: {"TableName": self._name, **fields} for kind, fields in write.items()}


def _failed_conditions(error: ClientError, owners: Sequence[str]) -> tuple[set[str], bool]:
    """Return the owners of the failed conditions, and whether a cause may pass by itself.

    Args:
        error: a TransactionCanceledException.
        owners: of the writes of the transaction, in their order.
    """
    codes = [reason.get("Code") for reason in error.response.get("CancellationReasons", [])]
    by_write = zip(owners, codes, strict=False)
    failed = {owner for owner, why in by_write if why == "ConditionalCheckFailed"}
    return failed, not PASSING.isdisjoint(codes)


def batches(items: Sequence[_T], size: Callable[[_T], int], rows: int = ROWS) -> list[list[_T]]:
    """Split items by number of rows and by bytes."""
    split: list[list[_T]] = []
    room = 0
    for item in items:
        needed = size(item)
        if not split or len(split[-1]) == rows or needed > room:
            split.append([])
            room = BYTES
        split[-1].append(item)
        room -= needed
    return split
