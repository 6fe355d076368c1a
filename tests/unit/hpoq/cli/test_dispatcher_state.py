"""A silent dispatcher, and messages that it has not taken in, are said where people look."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hpo_dispatcher.contract.documents.capacity import CapacityDocument
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpoq.presentation import silence
from tests.support.command_line import Run
from tests.support.dispatcher_account import Account

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("minutes", "said"),
    [(0, ""), (14, ""), (15, "last cycle 15 min 00 s ago, at 2026-11-28 11:45:00 UTC. ")],
)
def test_a_dispatcher_is_silent_after_fifteen_minutes(minutes: int, said: str) -> None:
    text = silence(NOW - timedelta(minutes=minutes), NOW)
    assert text.startswith(said)
    assert bool(text) == bool(said)


def test_before_the_first_cycle_the_ten_minutes_are_explained() -> None:
    assert silence(None, NOW) == (
        "no dispatch cycle has completed yet. The dispatcher runs every ten minutes; see no-cycle "
        "in docs/runbook.md"
    )


def grow_silent(account: Account) -> None:
    """Let the last cycle have ended 16 minutes ago."""
    documents = account.dispatcher().documents
    document = CapacityDocument.parse(documents.get(CAPACITY_DOCUMENT))
    assert document is not None
    earlier = document.model_copy(update={"at": document.at - timedelta(minutes=16)})
    documents.put(CAPACITY_DOCUMENT, earlier.to_json())


@pytest.mark.parametrize(
    "command", [["list"], ["status", "sent"], ["status", "a"], ["status", "running"], ["capacity"]]
)
def test_every_command_that_looks_says_it(hpoq: Run, account: Account, command: list[str]) -> None:
    account.configure(limits={"tuning_jobs": 1})
    account.request("fraud", "running", priority=1)
    account.request("fraud", "a")
    account.cycle()
    account.request("fraud", "sent")
    assert "last cycle" not in hpoq(*command)[2]
    grow_silent(account)
    said = hpoq(*command)[2]
    assert "last cycle 16 min" in said
    assert "1 message in the queue of team fraud, not yet taken in by a dispatch cycle" in said
    assert "`hpoq doctor`" in said
