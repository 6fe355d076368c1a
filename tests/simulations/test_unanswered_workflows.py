"""Days of simulated time in which no service takes the answers that workflows wait for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.cycle.outcome import Summary
from tests.support.dispatcher_account import Account, ample_time
from tests.support.waiting_workflows import (
    WaitingWorkflows,
    send,
    task_token,
    workflows,
)

__all__ = ["workflows"]


def after(dispatcher: Dispatcher, start: datetime, hours: int) -> Summary:
    """Run a cycle so many hours after a start."""
    at = start + timedelta(hours=hours)
    return replace(dispatcher, clock=lambda: at).run(ample_time())


def owed(account: Account) -> list[str]:
    return [each.request_id for each in account.dispatcher().answers.owed()]


def test_a_fault_of_the_account_for_a_day_is_a_failure(
    account: Account, workflows: WaitingWorkflows
) -> None:
    def refuse(**_: Any) -> None:
        text = "Could not assume role arn:aws:iam::111122223333:role/x."
        error: Any = {"Error": {"Code": "ValidationException", "Message": text}}
        raise ClientError(error, "CreateHyperParameterTuningJob")

    send(account, "a")
    event = "before-call.sagemaker.CreateHyperParameterTuningJob"
    account.session.events.register(event, refuse)
    try:
        dispatcher, now = account.dispatcher(), datetime.now(UTC)
        for hours in range(0, 40, 2):
            after(dispatcher, now, hours)
    finally:
        account.session.events.unregister(event, refuse)
    _, answer = workflows.answers()[task_token("a")]
    assert answer["error"] == "Hpoq.Failed"
    assert "Could not assume role" in answer["cause"]
    assert owed(account) == []


def test_after_two_weeks_of_failed_attempts_the_dispatcher_gives_up(
    account: Account, workflows: WaitingWorkflows
) -> None:
    def deny(**_: Any) -> None:
        calls.append("call")
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "SendTaskFailure")

    calls: list[str] = []
    send(account, "a", template="none")
    account.session.events.register_first("before-call.sfn.SendTaskFailure", deny)
    try:
        dispatcher, now = account.dispatcher(), datetime.now(UTC)
        ran = [after(dispatcher, now, hours) for hours in range(0, 24 * 16, 6)]
    finally:
        account.session.events.unregister("before-call.sfn.SendTaskFailure", deny)
    assert 50 <= len(calls) <= 64
    assert owed(account) == []
    assert sum(summary.given_up_workflows for summary in ran) == 1
