"""`hpoq redrive` without an option only looks; with one, it touches what it matches."""

from __future__ import annotations

import json
import os
from unittest.mock import patch

import pytest

from tests.support.command_line import Run
from tests.support.dispatcher_account import Account


@pytest.fixture
def rejected(account: Account) -> None:
    """Two rejected messages of the team."""
    account.request("fraud", "first", template="gpu")
    account.send("fraud", "not JSON")
    account.cycle()


def listed(hpoq: Run) -> list[str]:
    """Return what `hpoq redrive` lists, without waiting for a visibility timeout."""
    return sorted(each["field"] for each in json.loads(hpoq("redrive", "--json")[1]))


@pytest.mark.usefixtures("rejected")
def test_looking_twice_shows_the_same(hpoq: Run) -> None:
    assert listed(hpoq) == listed(hpoq) == ["body", "template"]
    assert "2 of 2 messages in the dead-letter queue" in hpoq("redrive")[2]
    assert "1 of 2 messages in the dead-letter queue" in hpoq("redrive", "--filter", "gpu")[2]


@pytest.mark.usefixtures("rejected")
def test_a_message_is_listed_under_the_id_of_its_request(hpoq: Run) -> None:
    messages = {
        each["field"]: each["message_id"] for each in json.loads(hpoq("redrive", "--json")[1])
    }
    _, out, _ = hpoq("redrive")
    assert "first" in out
    assert messages["template"] not in out
    assert messages["body"] in out  # a message that is not JSON has no other id


@pytest.mark.usefixtures("rejected")
def test_editing_what_a_filter_selects_leaves_the_others_visible(hpoq: Run) -> None:
    with patch.dict(os.environ, {"EDITOR": "sed -i s/gpu/smoke/"}):
        assert "1 message resubmitted" in hpoq("redrive", "--edit", "--filter", "gpu")[2]
    assert listed(hpoq) == ["body"]


@pytest.mark.usefixtures("rejected")
def test_a_message_that_is_still_wrong_after_the_edit_stays(hpoq: Run, account: Account) -> None:
    with patch.dict(os.environ, {"EDITOR": "sed -i s/template/tmplate/"}):
        status, _, err = hpoq("redrive", "--edit", "--filter", "gpu")
    assert status == 1
    assert "tmplate: unknown field. Did you mean template?" in err
    assert listed(hpoq) == ["body", "template"]
    assert account.waiting("fraud") == 0


@pytest.mark.usefixtures("rejected")
@pytest.mark.parametrize(
    ("option", "question"),
    [
        ("--send", "Resubmit, unchanged, 2 of 2 messages of team fraud?"),
        ("--delete", "Delete 2 of 2 messages of team fraud?"),
    ],
)
def test_a_script_confirms_with_yes(hpoq: Run, option: str, question: str) -> None:
    status, _, err = hpoq("redrive", option)
    assert (status, err) == (1, f"hpoq: {question} Confirm with --yes; nothing was changed\n")
    assert listed(hpoq) == ["body", "template"]
    assert hpoq("redrive", option, "--yes")[0] == 0
    assert listed(hpoq) == []
