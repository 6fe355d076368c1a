"""A damaged document of the ledger stops no cycle: it counts as missing and is written again."""

from __future__ import annotations

import pytest

from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpo_dispatcher.cycle.lease import CycleIncomplete
from hpo_dispatcher.scheduling.history.memory import MEMORY
from tests.support.dispatcher_account import Account, account, session

__all__ = ["account", "session"]


@pytest.mark.parametrize("name", [CAPACITY_DOCUMENT, MEMORY])
@pytest.mark.parametrize("content", ['{"at": ', "[]"])
def test_the_cycle_replaces_it_and_says_so(account: Account, name: str, content: str) -> None:
    account.request("fraud", "first")
    account.cycle()
    documents = account.dispatcher().documents
    documents.put(name, content)
    account.request("fraud", "second")
    with pytest.raises(CycleIncomplete, match=f"the document {name} of the ledger cannot be read"):
        account.cycle()
    assert documents.get(name) != content
    account.cycle()
    assert len(account.tuning_jobs()) == 2
