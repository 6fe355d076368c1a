"""The answers that are owed to workflows, in the ledger's table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hpo_dispatcher.aws.dynamodb_table import ROWS, ConditionFailed, Table, Write, batches
from hpo_dispatcher.aws.transitions import delete
from hpo_dispatcher.contract.entry import timestamp
from hpo_dispatcher.contract.errors import Unreadable
from hpo_dispatcher.contract.ledger.dynamodb_json import Item, to_wire
from hpo_dispatcher.contract.ledger.owed_rows import owed_from, owed_item, owed_key
from hpo_dispatcher.contract.ledger.rows import OWED
from hpo_dispatcher.contract.workflows.answers import OwedAnswer


class DynamoDBOwedAnswers:
    """``OwedAnswers`` on one DynamoDB table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def owe(self, answers: Sequence[OwedAnswer]) -> None:
        """See ``OwedAnswers``."""
        groups: dict[str, list[Write]] = {
            each.callback.digest: [
                {
                    "Put": {
                        "Item": to_wire(owed_item(each)),
                        "ConditionExpression": "attribute_not_exists(id)",
                    }
                }
            ]
            for each in reversed(answers)  # the first of several for one step stays
        }
        self._write(groups)

    def owed(self) -> Sequence[OwedAnswer]:
        """See ``OwedAnswers``; rows of a later version are left to it."""
        return self._table.rows(
            _readable,
            None,
            KeyConditionExpression="team = :partition",
            ExpressionAttributeValues=to_wire({":partition": OWED}),
            ConsistentRead=True,
        )

    def postpone(self, owed: OwedAnswer) -> None:
        """See ``OwedAnswers``."""
        assert owed.retry_at  # noqa: S101  the next attempt of a postponed answer
        try:
            self._table.update(
                owed_key(owed.callback),
                "SET attempts = :attempts, retry_at = :retry_at",
                "attribute_exists(id)",
                {":attempts": owed.attempts, ":retry_at": timestamp(owed.retry_at)},
            )
        except ConditionFailed:  # another dispatcher has settled it
            return

    def settle(self, answers: Sequence[OwedAnswer]) -> None:
        """See ``OwedAnswers``."""
        self._write({each.callback.digest: [delete(owed_key(each.callback))] for each in answers})

    def _write(self, groups: Mapping[str, list[Write]]) -> None:
        for batch in batches(list(groups.items()), lambda _: 0, rows=ROWS):
            self._table.write_those_that_can(dict(batch))


def _readable(item: Item) -> OwedAnswer | None:
    try:
        return owed_from(item)
    except Unreadable:
        return None
