"""The ledger as clients read it: entries and published documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from hpo_dispatcher.aws.dynamodb_table import BATCH_GET
from hpo_dispatcher.contract import names
from hpo_dispatcher.contract.entry import Entry
from hpo_dispatcher.contract.ledger.dynamodb_json import Item, from_wire, to_wire
from hpo_dispatcher.contract.ledger.entry_item import entry_from
from hpo_dispatcher.contract.ledger.rows import DEPLOYMENT
from hpoq.client.connection import DeploymentConnection
from hpoq.client.explained import explained

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class LedgerReader:
    """A reader of the ledger's table."""

    def __init__(self, connection: DeploymentConnection) -> None:
        self._connection = connection
        self._ledger = f"ledger of {connection.deployment}"
        self._table = names.ledger_table(connection.deployment)

    def document(self, name: str) -> str | None:
        """Return a document that the dispatcher publishes; None before its first cycle."""
        item = self._item(DEPLOYMENT, name)
        return str(item["document"]) if item else None

    def get(self, team: str, request_id: str) -> Entry | None:
        """Return the entry of a request; None if there is none."""
        item = self._item(team, request_id)
        return entry_from(item) if item else None

    def _item(self, team: str, id_: str) -> Item | None:
        with explained(self._ledger):
            answer = self._dynamodb.get_item(
                TableName=self._table,
                Key=to_wire({"team": team, "id": id_}),
                ConsistentRead=True,
            )
        return from_wire(answer["Item"]) if "Item" in answer else None

    def entries(self, team: str) -> Iterator[Entry]:
        """Yield a team's entries, ordered by request id."""
        with explained(self._ledger):
            pages = self._dynamodb.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="team = :team",
                ExpressionAttributeValues=to_wire({":team": team}),
                ConsistentRead=True,
            )
            for page in pages:
                for item in page["Items"]:
                    yield entry_from(from_wire(item))

    def get_all(self, team: str, request_ids: Iterable[str]) -> dict[str, Entry]:
        """Return the entries with these request ids that exist, by request id."""
        left: list[Any] = [to_wire({"team": team, "id": id_}) for id_ in dict.fromkeys(request_ids)]
        found: list[Entry] = []
        with explained(self._ledger):
            while left:
                batch, left = left[:BATCH_GET], left[BATCH_GET:]
                answer: Any = self._dynamodb.batch_get_item(
                    RequestItems={self._table: {"Keys": batch, "ConsistentRead": True}}
                )
                items = answer["Responses"].get(self._table, ())
                found += [entry_from(from_wire(item)) for item in items]
                left += answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
        return {entry.request_id: entry for entry in found}

    def queued_between(self, team: str, first: str, last: str) -> int | None:
        """Return how many requests of a team's queue are between two sort keys, both included.

        Returns:
            None if that takes more than one read, or is not permitted.
        """
        try:
            answer = self._dynamodb.query(
                TableName=self._table,
                IndexName=names.LEDGER_INDEX,
                KeyConditionExpression="line = :team AND line_position BETWEEN :first AND :last",
                ExpressionAttributeValues=to_wire({":team": team, ":first": first, ":last": last}),
                Select="COUNT",
            )
        except (BotoCoreError, ClientError):
            return None
        return None if "LastEvaluatedKey" in answer else answer["Count"]

    @cached_property
    def _dynamodb(self) -> DynamoDBClient:
        return self._connection.service("dynamodb")  # type: ignore[no-any-return]
