"""The deployment's documents: one row of the ledger's table each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from hpo_dispatcher.aws.dynamodb_table import Table
from hpo_dispatcher.contract.entry import timestamp
from hpo_dispatcher.contract.ledger.rows import DEPLOYMENT


class DynamoDBDocuments:
    """``Documents`` on DynamoDB."""

    def __init__(
        self, table: Table, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._table = table
        self._clock = clock

    def get(self, name: str) -> str | None:
        """Return a document's content, or None if it does not exist."""
        item = self._table.item({"team": DEPLOYMENT, "id": name})
        return str(item["document"]) if item else None

    def put(self, name: str, content: str) -> None:
        """Write a document, replacing what it said."""
        item = {
            "team": DEPLOYMENT,
            "id": name,
            "document": content,
            "updated_at": timestamp(self._clock()),
        }
        self._table.put(item)
