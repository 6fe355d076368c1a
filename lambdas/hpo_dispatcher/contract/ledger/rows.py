"""What the rows of the ledger share: versions, reserved keys, and the parsing of values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from hpo_dispatcher.contract.entry import Key, unreadable
from hpo_dispatcher.contract.errors import Unreadable
from hpo_dispatcher.contract.ledger.dynamodb_json import Item

# The version of a row. It is raised when an older hpoq can no longer read it: docs/decisions/0017.
VERSION = 3
# The version of rows about targets besides home: an older hpoq would look for the job at home.
ON_TARGETS = 3
# The version of rows about preemptions.
PREEMPTED = 2
# The version of all other rows.
PLAIN = 1
LEASE_KEY = {"team": "#dispatcher", "id": "lease"}
RUNNING = "#active"
BLOCKED = "#blocked"
SPENT = "#spent"
OWED = "#owed"
DEPLOYMENT = "#deployment"


# What the parsing of a value raises that is missing, or of another type or form.
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError)


@contextmanager
def reading(item: Item) -> Iterator[None]:
    """Turn what the parsing of a row raises into an error that names the row and what to do.

    Raises:
        Unreadable: a later hpoq wrote the row, or it is damaged.
    """
    try:
        _check_version(item)
        yield
    except _DAMAGE as error:
        raise unreadable((item["team"], item["id"]), error) from None


def _check_version(item: Item) -> None:
    """Raise if a later hpoq wrote a row; the oldest rows have no version."""
    version = int(item.get("version", 1))
    if version > VERSION:
        raise Unreadable(
            f"ledger row {item['team']}/{item['id']}",
            f"has version {version}, and this hpoq reads up to {VERSION}",
            "Use the hpoq that wrote it or a later one",
        )


def moment(text: str | None) -> datetime | None:
    """Parse a timestamp; None if there is none."""
    return datetime.fromisoformat(text) if text else None


def key_from(text: str | None) -> Key | None:
    """Parse the key of an entry, written as ``team/request_id``; None if there is none."""
    if not text:
        return None
    team, _, request_id = text.partition("/")
    return team, request_id


def integers(values: Mapping[str, Any]) -> dict[str, int]:
    """Return counts as ``int``; DynamoDB returns ``Decimal``."""
    return {key: int(value) for key, value in values.items()}
