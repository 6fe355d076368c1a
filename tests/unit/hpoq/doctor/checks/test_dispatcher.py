from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hpoq.doctor.checks import dispatcher
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import Verdict
from tests.support.stubbed import stubbed


@pytest.mark.parametrize(
    ("status", "verdict", "words"),
    [
        ("CREATE_COMPLETE", Verdict.OK, "hpoq is CREATE_COMPLETE"),
        ("ROLLBACK_COMPLETE", Verdict.FAULT, "Run `aws cloudformation delete-stack"),
        ("UPDATE_ROLLBACK_FAILED", Verdict.FAULT, "the stack is UPDATE_ROLLBACK_FAILED"),
        ("UPDATE_IN_PROGRESS", Verdict.WARNING, "Wait until the deployment has ended"),
    ],
)
def test_the_state_of_the_stack(
    examined: Examined, status: str, verdict: Verdict, words: str
) -> None:
    stack = {"StackName": "hpoq", "CreationTime": datetime.now(UTC), "StackStatus": status}
    with stubbed(examined.client("cloudformation"), ("describe_stacks", {"Stacks": [stack]})):
        (found,) = dispatcher.stack(examined)
    assert found.verdict is verdict
    assert words in str(found)
