"""What others wrote into a request or a deployment reaches no terminal as control characters."""

from __future__ import annotations

import sys

import pytest

from hpo_dispatcher.contract.entry import BestTrainingJob, Status
from hpoq.doctor.findings import warning
from tests.support.command_line import Run
from tests.support.dispatcher_account import Account

TITLE, OVERRIDE = "\x1b]0;owned\x07", "\u202e"
WICKED = f"{TITLE}{OVERRIDE}well"


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch, hpoq: Run) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)


@pytest.fixture
def ended(account: Account) -> None:
    """Two requests that have ended, one with a reason and one with a result."""
    best = BestTrainingJob(
        name="a-001", objective=0.78, metric=WICKED, hyperparameters={WICKED: WICKED}
    )
    for request_id, status, found in (("a", Status.COMPLETED, best), ("f", Status.FAILED, None)):
        account.request("fraud", request_id)
        account.cycle()
        counters = {"Completed": 3}
        account.end("fraud", request_id, status, reason=WICKED, counters=counters, best=found)


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize(
    "command",
    [
        ["status", "a"], ["status", "f"], ["best", "a"], ["watch", "a", "f"],
        ["list"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_commands_show_what_others_wrote_without_its_control_characters(
    hpoq: Run, command: list[str]
) -> None:
    _, out, err = hpoq(*command)
    said = out + err
    assert "owned" in said
    assert TITLE not in said
    assert OVERRIDE not in said


def test_the_doctor_shows_what_others_wrote_without_its_control_characters(
    hpoq: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "hpoq.doctor.run.examine", lambda _: iter([warning("alarms", WICKED, "See the runbook")])
    )
    _, out, _ = hpoq("doctor")
    assert "owned" in out
    assert TITLE not in out
    assert OVERRIDE not in out
