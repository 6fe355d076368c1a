from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from hpoq.doctor.checks import storage
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import Finding, Verdict
from tests.support.stubbed import stubbed


def ledger(examined: Examined, indexes: Sequence[dict[str, str]]) -> Finding:
    """Return the finding about an active table with these indexes."""
    table: dict[str, Any] = {"TableName": "hpoq-ledger", "TableStatus": "ACTIVE"}
    if indexes:  # DynamoDB leaves the field out if there are none
        table["GlobalSecondaryIndexes"] = list(indexes)
    with stubbed(examined.client("dynamodb"), ("describe_table", {"Table": table})):
        (finding,) = storage.ledger(examined)
    return finding


@pytest.mark.parametrize("status", ["ACTIVE", "UPDATING"])
def test_a_ledger_with_its_index_is_sound(examined: Examined, status: str) -> None:
    found = ledger(examined, [{"IndexName": "line", "IndexStatus": status}])
    assert found.verdict is Verdict.OK


@pytest.mark.parametrize(
    ("indexes", "words"),
    [
        ([], "index line of the table hpoq-ledger is gone. Restore it as"),
        (
            [{"IndexName": "other", "IndexStatus": "ACTIVE"}],
            "index line of the table hpoq-ledger is gone. Restore it as",
        ),
        (
            [{"IndexName": "line", "IndexStatus": "DELETING"}],
            "index line of the table hpoq-ledger is DELETING. Restore it as",
        ),
        (
            [{"IndexName": "line", "IndexStatus": "CREATING"}],
            "index line of the table hpoq-ledger is CREATING. Wait until",
        ),
    ],
)
def test_a_ledger_without_its_index_is_a_fault(
    examined: Examined, indexes: Sequence[dict[str, str]], words: str
) -> None:
    found = ledger(examined, indexes)
    assert found.verdict is Verdict.FAULT
    assert words in str(found)
