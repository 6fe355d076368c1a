"""The rows that say which workflows wait for an answer.

They have a partition of their own, which no team can read, because a token is a capability.
"""

from __future__ import annotations

from hpo_dispatcher.contract.entry import timestamp
from hpo_dispatcher.contract.ledger.dynamodb_json import Item
from hpo_dispatcher.contract.ledger.rows import OWED, PLAIN, moment, reading
from hpo_dispatcher.contract.workflows.answers import OwedAnswer
from hpo_dispatcher.contract.workflows.callbacks import Callback, CallbackKind


def owed_key(callback: Callback) -> Item:
    """Return the key of the row of one waiting step."""
    return {"team": OWED, "id": callback.digest}


def owed_item(owed: OwedAnswer) -> Item:
    """Return the row that keeps an answer that is owed."""
    item: Item = owed_key(owed.callback) | {
        "version": PLAIN,
        "of_team": owed.team,
        "of_id": owed.request_id,
        "kind": str(owed.callback.kind),
        "token": owed.callback.token,
        "pipeline": owed.callback.pipeline,
        "refusal": owed.refusal,
        "attempts": owed.attempts,
    }
    return item | ({"retry_at": timestamp(owed.retry_at)} if owed.retry_at else {})


def owed_from(item: Item) -> OwedAnswer:
    """Return that row as a value.

    Raises:
        Unreadable: a later version wrote the row, or it is damaged.
    """
    with reading(item):
        return OwedAnswer(
            callback=Callback(
                kind=CallbackKind(item["kind"]),
                token=item["token"],
                pipeline=item.get("pipeline", ""),
            ),
            team=item["of_team"],
            request_id=item["of_id"],
            refusal=item.get("refusal", ""),
            attempts=int(item.get("attempts", 0)),
            retry_at=moment(item.get("retry_at")),
        )
