"""The contract of ``OwedAnswers``, tested on both adapters: in memory and on DynamoDB."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hpo_dispatcher.contract.workflows.answers import OwedAnswer
from hpo_dispatcher.contract.workflows.callbacks import Callback, CallbackKind
from hpo_dispatcher.ports import OwedAnswers
from hpoq.simulation.in_memory_workflows import MemoryOwedAnswers
from tests.support.dispatcher_account import Account
from tests.support.waiting_workflows import STEP_TOKEN, task_token

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(params=["memory", "dynamodb"])
def answers(request: pytest.FixtureRequest) -> OwedAnswers:
    if request.param == "memory":
        return MemoryOwedAnswers()
    account: Account = request.getfixturevalue("account")
    return account.dispatcher().answers


def owed(name: str, **fields: Any) -> OwedAnswer:
    callback = Callback(kind=CallbackKind.STEP_FUNCTIONS, token=task_token(name))
    return OwedAnswer(callback=callback, team="fraud", request_id=name, **fields)


STEP = OwedAnswer(
    callback=Callback(kind=CallbackKind.PIPELINE, token=STEP_TOKEN, pipeline="credit"),
    team="vision",
    request_id="b",
    refusal="template: unknown template 'x'. Use one of smoke",
)


def test_what_is_owed_is_kept_until_it_is_settled(answers: OwedAnswers) -> None:
    answers.owe([owed("a"), STEP])
    assert sorted(answers.owed(), key=lambda each: each.team) == [owed("a"), STEP]
    answers.settle([owed("a"), owed("unknown")])
    answers.settle([owed("a")])
    assert answers.owed() == [STEP]


def test_nothing_is_owed_in_an_empty_ledger(answers: OwedAnswers) -> None:
    assert answers.owed() == []


def test_an_answer_that_is_owed_already_stays_as_it_is(answers: OwedAnswers) -> None:
    """A repeated message neither resets the attempts nor forgets a rejection."""
    rejected = owed("a", refusal="wrong")
    answers.owe([rejected, owed("a")])
    answers.owe([owed("a")])
    assert answers.owed() == [rejected]


def test_several_workflows_may_wait_for_one_request(answers: OwedAnswers) -> None:
    second = replace(owed("b"), request_id="a")
    answers.owe([owed("a"), second])
    assert len(answers.owed()) == 2


def test_a_postponed_answer_says_when_to_retry(answers: OwedAnswers) -> None:
    answers.owe([owed("a")])
    later = owed("a", attempts=3, retry_at=NOON)
    answers.postpone(later)
    assert answers.owed() == [later]


def test_what_was_settled_meanwhile_is_not_owed_again(answers: OwedAnswers) -> None:
    answers.postpone(owed("a", attempts=3, retry_at=NOON))
    assert answers.owed() == []


def test_hundreds_of_answers_may_be_owed(answers: OwedAnswers) -> None:
    many = [owed(f"a{number}") for number in range(250)]
    answers.owe(many)
    assert len(answers.owed()) == 250
    answers.settle(many)
    assert answers.owed() == []


@pytest.mark.parametrize("change", ["SET version = :later", "SET kind = :later"])
def test_rows_of_a_later_version_and_damaged_rows_are_left_alone(
    account: Account, change: str
) -> None:
    answers = account.dispatcher().answers
    answers.owe([owed("a"), STEP])
    key = {"team": {"S": "#owed"}, "id": {"S": STEP.callback.digest}}
    account.dynamodb.update_item(
        TableName="hpoq-ledger",
        Key=key,
        UpdateExpression=change,
        ExpressionAttributeValues={":later": {"N": "99"}},
    )
    assert answers.owed() == [owed("a")]
