"""A service that throttles a call delays the cycle; the next cycle continues, and nothing is lost.

The rows with a ``service`` in tests/fixtures/aws_answers.yaml, each with its source.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from botocore.retries.standard import ThrottledRetryableChecker

from hpo_dispatcher.aws.clients import THROTTLED
from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.cycle.lease import CycleIncomplete
from hpo_dispatcher.ports import Unavailable
from tests.support.dispatcher_account import Account, account, session
from tests.support.killed_dispatcher import make_messages_visible

__all__ = ["account", "session"]

TABLE = Path(__file__).parents[1] / "fixtures" / "aws_answers.yaml"
ROWS = [each for each in yaml.safe_load(TABLE.read_text()) if "service" in each]
CALLS = [(each, operation) for each in ROWS for operation in each["operations"]]


@contextmanager
def throttled(session: boto3.Session, answer: dict[str, Any], operation: str) -> Iterator[None]:
    """Let every call of an operation be throttled, after botocore's retries."""
    event = f"before-call.*.{operation}"

    def refuse(model: Any, **_: Any) -> None:
        if model.service_model.signing_name == answer["service"]:
            error: Any = {"Error": {"Code": answer["code"], "Message": answer["message"]}}
            raise ClientError(error, operation)

    session.events.register(event, refuse)
    try:
        yield
    finally:
        session.events.unregister(event, refuse)


@pytest.mark.parametrize(
    ("answer", "operation"), CALLS, ids=lambda each: each if isinstance(each, str) else each["code"]
)
def test_a_request_starts_once_when_its_calls_are_no_longer_throttled(
    account: Account, answer: dict[str, Any], operation: str
) -> None:
    account.request("fraud", "a")
    with (
        throttled(account.session, answer, operation),
        suppress(Unavailable, CycleIncomplete, ClientError),
    ):
        account.cycle()
    make_messages_visible(account)
    for _ in range(2):
        account.cycle()

    assert len(account.tuning_jobs()) == 1
    entry = account.dispatcher().requests.get("fraud", "a")
    assert entry is not None
    assert entry.status in (Status.IN_PROGRESS, Status.COMPLETED)
    assert account.waiting("fraud") == 0
    assert account.dead_letters("fraud") == []


@pytest.mark.parametrize("answer", ROWS, ids=lambda each: each["code"])
def test_botocore_retries_it_and_the_metrics_count_it(answer: dict[str, Any]) -> None:
    assert answer["code"] in THROTTLED
    assert answer["code"] in ThrottledRetryableChecker._THROTTLED_ERROR_CODES
