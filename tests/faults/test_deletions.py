"""Somebody deletes what a deployment needs: one clear line, nothing lost, and others go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.cycle.lease import CycleIncomplete
from hpo_dispatcher.cycle.observe import DELETED
from hpo_dispatcher.ports import Unavailable
from tests.support.dispatcher_account import Account, account, ample_time, session
from tests.support.killed_dispatcher import make_messages_visible, much_later

__all__ = ["account", "session"]

CREATE = "CreateHyperParameterTuningJob"
BAD = {"request_id": "bad", "hyperparameter_ranges": {}}


def entry(account: Account, request_id: str, team: str = "fraud") -> Entry:
    found = account.dispatcher().requests.get(team, request_id)
    assert found is not None
    return found


@contextmanager
def answering(account: Account, code: str, text: str, only: str = "") -> Iterator[None]:
    """Let SageMaker answer creations with an error, or those whose request contains a text."""

    def refuse(params: Any, **_: Any) -> None:
        if only.encode() in params["body"]:
            error: Any = {"Error": {"Code": code, "Message": text}}
            raise ClientError(error, CREATE)

    account.session.events.register(f"before-call.sagemaker.{CREATE}", refuse)
    try:
        yield
    finally:
        account.session.events.unregister(f"before-call.sagemaker.{CREATE}", refuse)


# The codes that the SageMaker API reference has for what does not exist.
@pytest.mark.parametrize("code", ["ResourceNotFound", "ValidationException"])
def test_a_child_of_a_deleted_tuning_job_ends_with_its_reason_and_holds_no_slot(
    account: Account, code: str
) -> None:
    account.configure(limits={"tuning_jobs": 1})
    account.request("fraud", "parent")
    account.cycle()
    account.cycle()
    parent = entry(account, "parent").tuning_job_name
    account.sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=parent)
    account.request("fraud", "child", warm_start_from=["parent"])
    account.request("vision", "other")
    text = f"Amazon SageMaker can't find a tuning job called {parent}. Type another name."

    with answering(account, code, text, only="ParentHyperParameterTuningJobs"):
        for _ in range(2):
            assert account.cycle().problems == ()

    child = entry(account, "child")
    assert child.status is Status.REJECTED
    assert text in child.reason
    (letter,) = account.dead_letters("fraud")
    assert text in letter["hpoq-problem"]
    assert entry(account, "other", "vision").status is not Status.QUEUED


def test_a_tuning_job_that_is_deleted_before_its_stop_ends_its_request_and_is_not_run_again(
    account: Account,
) -> None:
    account.request("fraud", "a")
    assert account.cycle().started == 1
    (name,) = account.tuning_jobs()
    account.send("fraud", {"action": "cancel", "request_id": "a"})
    account.sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)

    much_later(account.dispatcher())
    much_later(account.dispatcher(), hours=1)

    assert account.tuning_jobs() == []
    ended = entry(account, "a")
    assert (ended.status, ended.reason) == (Status.STOPPED, DELETED)


def delete_queue(account: Account, name: str) -> None:
    account.sqs.delete_queue(QueueUrl=account.sqs.get_queue_url(QueueName=name)["QueueUrl"])


LOST = "the queue hpoq-fraud-{} does not exist; docs/runbook.md says how to bring it back"


def test_without_a_request_queue_other_teams_go_on(account: Account) -> None:
    account.request("vision", "a")
    delete_queue(account, "hpoq-fraud-requests")

    with pytest.raises(CycleIncomplete) as incomplete:
        account.cycle()

    assert str(incomplete.value) == f"intake of fraud: {LOST.format('requests')}"
    assert len(account.tuning_jobs()) == 1
    account.sqs.create_queue(QueueName="hpoq-fraud-requests")
    account.request("fraud", "a")
    assert account.cycle().started == 1


def test_without_a_dead_letter_queue_bad_messages_stay_and_good_ones_run(account: Account) -> None:
    delete_queue(account, "hpoq-fraud-dead-letter")
    for number in range(3):
        account.send("fraud", BAD | {"request_id": f"bad-{number}"})
    account.request("fraud", "good")
    account.request("vision", "good")

    with pytest.raises(CycleIncomplete) as incomplete:
        account.cycle()

    assert str(incomplete.value) == f"intake of fraud: {LOST.format('dead-letter')}"
    assert len(account.tuning_jobs()) == 2
    assert account.waiting("fraud") == 3, "the good message is accounted for"

    account.sqs.create_queue(QueueName="hpoq-fraud-dead-letter")
    make_messages_visible(account)
    assert account.cycle().rejected == 3
    letters = account.dead_letters("fraud")
    assert {letter["hpoq-field"] for letter in letters} == {"hyperparameter_ranges"}
    assert account.waiting("fraud") == 0


def test_actions_beside_a_message_that_cannot_be_rejected_are_applied_once(
    account: Account,
) -> None:
    delete_queue(account, "hpoq-fraud-dead-letter")
    account.send("fraud", BAD)
    account.send("fraud", {"action": "hold"})
    with pytest.raises(CycleIncomplete):
        account.cycle()
    account.send("fraud", {"action": "release"})
    account.request("fraud", "a")
    make_messages_visible(account)
    with pytest.raises(CycleIncomplete):
        account.cycle()

    assert entry(account, "a").status is Status.IN_PROGRESS


def test_without_a_dead_letter_queue_a_refused_request_waits_and_blocks_no_other(
    account: Account,
) -> None:
    delete_queue(account, "hpoq-fraud-dead-letter")
    for team, request_id in (("fraud", "refused"), ("fraud", "good"), ("vision", "good")):
        account.request(team, request_id)

    with answering(account, "ValidationException", "no such algorithm", only="refused"):
        with pytest.raises(CycleIncomplete, match="rejection of fraud/refused: the queue"):
            account.cycle()
        assert len(account.tuning_jobs()) == 2
        waiting = entry(account, "refused")
        assert waiting.status is Status.QUEUED
        assert "no such algorithm" in waiting.reason
        assert LOST.format("dead-letter") in waiting.reason

        account.sqs.create_queue(QueueName="hpoq-fraud-dead-letter")
        much_later(account.dispatcher())
    assert entry(account, "refused").status is Status.REJECTED
    (letter,) = account.dead_letters("fraud")
    assert letter["hpoq-problem"] == "no such algorithm"


def test_without_the_ledgers_index_a_cycle_ends_with_one_line_and_then_resumes(
    account: Account,
) -> None:
    """DynamoDB says ValidationException, where moto says ResourceNotFoundException."""
    account.request("fraud", "a")
    text = "The table does not have the specified index: line"

    def refuse(params: Any, **_: Any) -> None:
        if b'"IndexName"' in params["body"]:
            error: Any = {"Error": {"Code": "ValidationException", "Message": text}}
            raise ClientError(error, "Query")

    account.session.events.register("before-call.dynamodb.Query", refuse)
    with pytest.raises(Unavailable) as unavailable:
        account.cycle()
    account.session.events.unregister("before-call.dynamodb.Query", refuse)

    assert str(unavailable.value) == (
        "dynamodb:Query: An error occurred (ValidationException) when calling the Query operation: "
        + text
    )
    assert account.tuning_jobs() == []
    make_messages_visible(account)
    assert account.cycle().started == 1


# Words of SageMaker: tests/fixtures/aws_answers.yaml.
@pytest.mark.parametrize(
    "text",
    [
        "Could not assume role arn:aws:iam::123456789012:role/training. Please ensure that the "
        "role exists and allows principal 'sagemaker.amazonaws.com' to assume the role.",
        "No S3 objects found under S3 URL 's3://artifacts/data/' given in input data source.",
    ],
    ids=["role", "bucket"],
)
def test_without_the_role_or_the_bucket_requests_wait_with_the_reason_and_run_later(
    account: Account, text: str
) -> None:
    account.request("fraud", "a")
    with answering(account, "ValidationException", text):
        summary = account.cycle()
    assert (summary.started, summary.account_faults) == (0, 1)
    waiting = entry(account, "a")
    assert waiting.status is Status.QUEUED
    assert text in waiting.reason
    assert account.dead_letters("fraud") == []

    much_later(account.dispatcher())
    assert len(account.tuning_jobs()) == 1


def test_a_deleted_training_job_has_no_model_and_fails_no_cycle(account: Account) -> None:
    """DescribeTrainingJob says ValidationException: tests/fixtures/aws_answers.yaml."""
    assert account.dispatcher().tuning.model_uri("fraud-a-1-001-1a2b3c4d") is None


def test_an_account_without_a_heartbeat_catches_up_with_the_next_event(account: Account) -> None:
    """The rule was deleted: the event of an ended tuning job runs a cycle, too."""
    account.request("fraud", "a")
    asked_at = datetime.now(UTC) + timedelta(seconds=1)
    summary = account.dispatcher().run(ample_time(), asked_at)
    assert summary.started == 1
