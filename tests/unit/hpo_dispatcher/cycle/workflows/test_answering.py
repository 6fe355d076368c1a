"""Workflows are answered once, whatever becomes of the request that they wait for."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpo_dispatcher.contract.entry import BestTrainingJob, Status
from hpo_dispatcher.contract.message import parse_fields
from hpo_dispatcher.cycle.pacing import Deadline
from hpo_dispatcher.cycle.workflows.verdict import MOST_ATTEMPTS
from hpo_dispatcher.ports import Ending
from tests.support.dispatcher_account import RANGES, Account, ample_time
from tests.support.killed_dispatcher import much_later
from tests.support.ledger_record import take_in
from tests.support.waiting_workflows import (
    ON,
    STEP_TOKEN,
    WaitingWorkflows,
    callback_step,
    send,
    task_token,
    workflows,
)

__all__ = ["workflows"]

STEP = callback_step(hyperparameter_ranges=RANGES)


def cycles(account: Account, count: int = 3) -> None:
    for _ in range(count):
        account.cycle()


def status(account: Account, request_id: str) -> Status:
    entry = account.dispatcher().requests.get("fraud", request_id)
    assert entry is not None
    return entry.status


def owed(account: Account) -> list[str]:
    return [each.request_id for each in account.dispatcher().answers.owed()]


def test_a_request_that_completes_is_a_success_once(
    account: Account, workflows: WaitingWorkflows
) -> None:
    send(account, "a")
    account.send("fraud", STEP)
    cycles(account, 4)
    told = workflows.answers()
    operation, output = told.pop(task_token("a"))
    assert operation == "SendTaskSuccess"
    entry = account.dispatcher().requests.get("fraud", "a")
    assert entry is not None
    assert (output["team"], output["request_id"], output["tuning_job_name"]) == (
        "fraud", "a", entry.tuning_job_name,
    )  # fmt: skip
    operation, answer = told.pop(STEP_TOKEN)
    assert operation == "SendPipelineExecutionStepSuccess"
    parameters = {each["Name"]: each["Value"] for each in answer["OutputParameters"]}
    assert parameters["tuning_job_name"] in account.tuning_jobs()
    assert told == {}
    assert owed(account) == []


def test_the_answer_names_the_model_of_the_best_training_job(
    account: Account, workflows: WaitingWorkflows
) -> None:
    send(account, "a")
    account.cycle()
    dispatcher = account.dispatcher()
    best = BestTrainingJob(
        name="fraud-a-1-003", objective=0.78125, metric="validation:auc", hyperparameters={}
    )
    entry = dispatcher.requests.get("fraud", "a")
    assert entry is not None
    ending = Ending(
        team="fraud",
        request_id="a",
        was=(Status.IN_PROGRESS,),
        status=Status.COMPLETED,
        ended_at=datetime.now(UTC),
        tuning_job_name=entry.tuning_job_name,
        best=best,
    )
    assert dispatcher.requests.finish([ending])
    uri = "s3://artifacts/teams/fraud/output/fraud-a-1-003/output/model.tar.gz"
    asked: list[str] = []

    def described(params: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        asked.append(json.loads(params["body"])["TrainingJobName"])
        from types import SimpleNamespace

        return SimpleNamespace(status_code=200), {"ModelArtifacts": {"S3ModelArtifacts": uri}}

    account.session.events.register("before-call.sagemaker.DescribeTrainingJob", described)
    try:
        account.cycle()
    finally:
        account.session.events.unregister("before-call.sagemaker.DescribeTrainingJob", described)
    _, output = workflows.answers()[task_token("a")]
    assert output["best_training_job"] == "fraud-a-1-003"
    assert (output["objective_metric"], output["objective_value"]) == ("validation:auc", 0.78125)
    assert output["model_uri"] == uri
    assert asked == ["fraud-a-1-003"]


def test_a_request_that_completes_without_an_objective_value_is_a_success_without_a_model(
    account: Account, workflows: WaitingWorkflows
) -> None:
    send(account, "a")
    account.cycle()
    requests = account.dispatcher().requests
    entry = requests.get("fraud", "a")
    assert entry is not None
    ending = Ending(
        team="fraud", request_id="a", was=(Status.IN_PROGRESS,), status=Status.COMPLETED,
        ended_at=datetime.now(UTC), tuning_job_name=entry.tuning_job_name,
    )  # fmt: skip
    assert requests.finish([ending])
    account.cycle()
    operation, output = workflows.answers()[task_token("a")]
    assert operation == "SendTaskSuccess"
    assert output == {
        "team": "fraud", "request_id": "a", "tuning_job_name": entry.tuning_job_name,
        "best_training_job": None, "objective_metric": None, "objective_value": None,
        "model_uri": None,
    }  # fmt: skip


def test_a_rejected_message_is_a_failure_with_its_reason(
    account: Account, workflows: WaitingWorkflows
) -> None:
    send(account, "a", template="none")
    account.send("fraud", callback_step(zzz=1))
    account.send("fraud", json.dumps({"task_token": task_token("b"), "x": "x" * 300_000}))
    account.cycle()
    told = workflows.answers()
    operation, answer = told[task_token("a")]
    assert (operation, answer["error"]) == ("SendTaskFailure", "Hpoq.Rejected")
    assert answer["cause"].startswith("template: unknown template 'none'")
    assert told[task_token("b")][1]["cause"].startswith("body: ")
    operation, answer = told[STEP_TOKEN]
    assert operation == "SendPipelineExecutionStepFailure"
    assert answer["FailureReason"].startswith("Hpoq.Rejected: zzz: unknown field")
    assert owed(account) == []


def test_a_request_that_sagemaker_refuses_is_a_failure(
    account: Account, workflows: WaitingWorkflows
) -> None:
    def refuse(**_: Any) -> None:
        error: Any = {"Error": {"Code": "ValidationException", "Message": "no such metric"}}
        raise ClientError(error, "CreateHyperParameterTuningJob")

    send(account, "a")
    event = "before-call.sagemaker.CreateHyperParameterTuningJob"
    account.session.events.register(event, refuse)
    try:
        cycles(account, 2)
    finally:
        account.session.events.unregister(event, refuse)
    _, answer = workflows.answers()[task_token("a")]
    assert answer["error"] == "Hpoq.Rejected"
    assert "no such metric" in answer["cause"]


def test_a_message_whose_request_id_is_taken_fails_and_the_first_one_succeeds(
    account: Account, workflows: WaitingWorkflows
) -> None:
    send(account, "a")
    send(account, "b", request_id="a", priority=3)
    cycles(account)
    told = workflows.answers()
    assert told[task_token("a")][0] == "SendTaskSuccess"
    operation, answer = told[task_token("b")]
    assert operation == "SendTaskFailure"
    assert "already used" in answer["cause"]


def test_a_task_that_is_retried_gets_the_end_of_the_same_request(
    account: Account, workflows: WaitingWorkflows
) -> None:
    """A Retry of the state sends the same request again, with a new token."""
    send(account, "a")
    cycles(account)
    send(account, "b", request_id="a")
    cycles(account)
    told = workflows.answers()
    assert told[task_token("a")][1] == told[task_token("b")][1]
    assert len(account.tuning_jobs()) == 1


def test_a_cancelled_request_is_a_failure(account: Account, workflows: WaitingWorkflows) -> None:
    account.send("fraud", {"action": "hold"})
    send(account, "a")
    account.send("fraud", {"action": "cancel", "request_id": "b"})
    account.cycle()
    send(account, "b")
    account.send("fraud", {"action": "cancel", "request_id": "a"})
    account.cycle()
    told = workflows.answers()
    assert told[task_token("a")][1] == {
        "error": "Hpoq.Cancelled", "cause": "cancelled by its team",
    }  # fmt: skip
    assert told[task_token("b")][1]["error"] == "Hpoq.Cancelled"


@pytest.mark.parametrize(
    ("ended", "child"),
    [(Status.FAILED, "SendTaskFailure"), (Status.STOPPED, "SendTaskSuccess")],
)
def test_a_tuning_job_without_success_is_a_failure_as_is_what_it_cancels(
    account: Account, workflows: WaitingWorkflows, ended: Status, child: str
) -> None:
    send(account, "a")
    send(account, "b", after=["a"])
    account.cycle()
    dispatcher = account.dispatcher()
    entry = dispatcher.requests.get("fraud", "a")
    assert entry is not None
    ending = Ending(
        team="fraud",
        request_id="a",
        was=(Status.IN_PROGRESS,),
        status=ended,
        ended_at=datetime.now(UTC),
        tuning_job_name=entry.tuning_job_name,
        reason="no training job succeeded",
    )
    assert dispatcher.requests.finish([ending])
    cycles(account)
    told = workflows.answers()
    assert told[task_token("a")][1] == {
        "error": f"Hpoq.{ended}", "cause": "no training job succeeded",
    }  # fmt: skip
    operation, answer = told[task_token("b")]
    assert operation == child
    assert answer.get("error") in (None, "Hpoq.Cancelled")
    assert owed(account) == []


def test_the_workflow_of_a_removed_team_is_answered_once_its_request_ends(
    account: Account, workflows: WaitingWorkflows
) -> None:
    """The tuning job runs on. A request that is still queued waits for the team's return."""
    send(account, "a")
    account.cycle()
    send(account, "b")
    take_in(account)
    account.configure(workflows=ON, teams={"vision": {}})
    cycles(account)
    assert workflows.answers().keys() == {task_token("a")}
    assert status(account, "b") is Status.QUEUED
    account.configure(workflows=ON)
    cycles(account)
    told = workflows.answers()
    assert told.keys() == {task_token("a"), task_token("b")}
    assert {operation for operation, _ in told.values()} == {"SendTaskSuccess"}


def test_a_redriven_dead_letter_runs_and_tells_nobody(
    account: Account, workflows: WaitingWorkflows
) -> None:
    send(account, "a", template="none")
    account.cycle()
    [letter] = account.dead_letters("fraud")
    fixed = json.loads(letter["body"])
    del fixed["template"]
    account.send("fraud", fixed)
    cycles(account)
    assert status(account, "a") is Status.COMPLETED
    assert workflows.answers().keys() == {task_token("a")}, "only that it was rejected"
    assert workflows.heartbeats == {}
    assert owed(account) == []


def test_a_task_gets_a_heartbeat_from_every_cycle_while_its_request_waits(
    account: Account, workflows: WaitingWorkflows
) -> None:
    account.send("fraud", {"action": "hold"})
    send(account, "a")
    account.send("fraud", STEP)
    cycles(account)
    assert workflows.heartbeats == {task_token("a"): 3}
    assert workflows.answers() == {}


def test_a_heartbeat_that_fails_is_logged_and_repeated_by_the_next_cycle(
    account: Account, workflows: WaitingWorkflows, caplog: pytest.LogCaptureFixture
) -> None:
    account.send("fraud", {"action": "hold"})
    send(account, "a")
    workflows.denied = {task_token("a")}
    account.cycle()
    [line] = [each for each in caplog.records if each.message == "no heartbeat sent"]
    assert vars(line)["reason"] == "states:SendTaskHeartbeat: AccessDeniedException"
    account.cycle()
    assert workflows.heartbeats == {task_token("a"): 1}
    assert owed(account) == ["a"]


def test_nobody_is_told_anything_once_the_workflow_has_given_up(
    account: Account, workflows: WaitingWorkflows
) -> None:
    account.send("fraud", {"action": "hold"})
    send(account, "a")
    account.cycle()
    workflows.reset()  # the execution was stopped
    account.cycle()
    assert owed(account) == []
    assert status(account, "a") is Status.QUEUED


def test_a_pipeline_that_is_stopped_cancels_its_request_and_gets_its_answer(
    account: Account, workflows: WaitingWorkflows
) -> None:
    account.send("fraud", {"action": "hold"})
    account.send("fraud", STEP)
    account.cycle()
    account.send("fraud", STEP | {"status": "Stopping"})
    account.cycle()
    assert workflows.answers()[STEP_TOKEN][0] == "SendPipelineExecutionStepFailure"
    request = parse_fields(STEP, "message")
    assert status(account, str(request.request_id)) is Status.CANCELLED
    assert owed(account) == []


def test_a_pipeline_whose_messages_arrive_in_the_other_order_gets_one_answer(
    account: Account, workflows: WaitingWorkflows
) -> None:
    account.send("fraud", STEP | {"status": "Stopping"})
    account.cycle()
    account.send("fraud", STEP)
    cycles(account)
    assert workflows.answers()[STEP_TOKEN][0] == "SendPipelineExecutionStepFailure"
    assert account.tuning_jobs() == []
    assert owed(account) == []


def test_nothing_is_told_about_a_request_without_a_token(
    account: Account, workflows: WaitingWorkflows
) -> None:
    account.request("fraud", "a")
    account.request("fraud", "b", template="none")
    cycles(account)
    assert workflows.answers() == {}
    assert workflows.heartbeats == {}
    assert owed(account) == []


@pytest.mark.parametrize(
    ("settings", "message", "field"),
    [
        ({}, {"request_id": "a", "hyperparameter_ranges": RANGES}, "task_token"),
        ({"pipelines": ["*"]}, {"request_id": "a", "hyperparameter_ranges": RANGES}, "task_token"),
        ({}, STEP, "pipelineExecutionArn"),
        ({"state_machines": ["*"], "pipelines": ["cred"]}, STEP, "pipelineExecutionArn"),
    ],
)
def test_a_workflow_that_the_settings_do_not_name_is_rejected_and_gets_no_answer(
    account: Account,
    workflows: WaitingWorkflows,
    settings: dict[str, Any],
    message: dict[str, Any],
    field: str,
) -> None:
    account.configure(workflows=settings)
    with_token = message if "token" in message else message | {"task_token": task_token("a")}
    account.send("fraud", with_token)
    cycles(account)
    assert workflows.answers() == {}
    assert account.tuning_jobs() == []
    [letter] = account.dead_letters("fraud")
    assert letter["hpoq-field"] == field
    assert task_token("a") not in str(letter)
    assert STEP_TOKEN not in str(letter)


@pytest.mark.parametrize("pattern", ["credit", "Credit", "cred*", "*"])
def test_a_pipeline_is_matched_ignoring_case_because_its_arn_is_in_lower_case(
    account: Account, workflows: WaitingWorkflows, pattern: str
) -> None:
    account.configure(workflows={"pipelines": [pattern]})
    account.send("fraud", STEP)
    cycles(account)
    assert STEP_TOKEN in workflows.answers()


def test_a_service_that_takes_no_answers_delays_them_and_nothing_else(
    account: Account, workflows: WaitingWorkflows
) -> None:
    def deny(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "SendTaskSuccess")

    send(account, "a")
    account.send("fraud", STEP)
    account.session.events.register_first("before-call.sfn.SendTaskSuccess", deny)
    try:
        account.cycle()
        counts = [account.cycle().unanswered_workflows for _ in range(3)]  # without a problem
        assert counts[-1] == 1, "the alarm unanswered-workflow counts it"
        assert workflows.answers().keys() == {STEP_TOKEN}
        [postponed] = account.dispatcher().answers.owed()
        assert (postponed.request_id, postponed.attempts) == ("a", 1)
    finally:
        account.session.events.unregister("before-call.sfn.SendTaskSuccess", deny)
    account.cycle()
    assert workflows.answers().keys() == {STEP_TOKEN}, "a minute has not passed"
    much_later(account.dispatcher())
    assert workflows.answers()[task_token("a")][0] == "SendTaskSuccess"
    assert owed(account) == []
    assert account.cycle().unanswered_workflows == 0


@pytest.mark.parametrize("left", [{}, {"pipelines": ["other"]}])
def test_workflows_that_the_settings_no_longer_name_are_kept_for_two_weeks(
    account: Account,
    workflows: WaitingWorkflows,
    caplog: pytest.LogCaptureFixture,
    left: dict[str, Any],
) -> None:
    account.send("fraud", {"action": "hold"})
    send(account, "b")
    account.send("fraud", STEP)
    account.cycle()
    account.configure(workflows=left)
    dispatcher, now = account.dispatcher(), datetime.now(UTC)
    first = dispatcher.run(ample_time())
    assert first.unanswered_workflows == 2
    reasons = {vars(each).get("reason") for each in caplog.records}
    assert "the setting workflows does not name the workflow any more" in reasons
    for each in dispatcher.answers.owed():  # two weeks later
        dispatcher.answers.postpone(replace(each, attempts=MOST_ATTEMPTS - 1, retry_at=now))
    last = dispatcher.run(ample_time())
    assert (last.given_up_workflows, last.unanswered_workflows, owed(account)) == (2, 0, [])
    assert dispatcher.run(ample_time()).given_up_workflows == 0
    assert workflows.heartbeats == {task_token("b"): 1}, "none since"
    assert workflows.answers() == {}


def test_a_success_that_the_settings_no_longer_permit_says_so(
    account: Account, workflows: WaitingWorkflows, caplog: pytest.LogCaptureFixture
) -> None:
    """The permission to look for the model goes with the setting."""

    def deny(**_: Any) -> None:
        asked.append("call")
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeTrainingJob")

    asked: list[str] = []
    send(account, "a")
    account.cycle()
    dispatcher = account.dispatcher()
    entry = dispatcher.requests.get("fraud", "a")
    assert entry is not None
    ending = Ending(
        team="fraud",
        request_id="a",
        was=(Status.IN_PROGRESS,),
        status=Status.COMPLETED,
        ended_at=datetime.now(UTC),
        tuning_job_name=entry.tuning_job_name,
        best=BestTrainingJob(name="a-1", objective=0.5, metric="auc", hyperparameters={}),
    )
    assert dispatcher.requests.finish([ending])
    account.configure(workflows={})
    event = "before-call.sagemaker.DescribeTrainingJob"
    account.session.events.register(event, deny)
    try:
        assert account.cycle().unanswered_workflows == 1
    finally:
        account.session.events.unregister(event, deny)
    [line] = [each for each in caplog.records if each.message == "workflow not answered"]
    assert "the setting workflows does not name" in vars(line)["reason"]
    assert (asked, workflows.answers()) == ([], {})


def test_a_setting_that_returns_within_two_weeks_loses_no_answer(
    account: Account, workflows: WaitingWorkflows
) -> None:
    send(account, "a")
    account.cycle()
    account.configure(workflows={})
    cycles(account)  # meanwhile its tuning job ends
    assert workflows.answers() == {}
    account.configure(workflows=ON)
    much_later(account.dispatcher())
    assert workflows.answers().keys() == {task_token("a")}
    assert owed(account) == []


def test_without_time_the_answers_are_left_to_the_next_cycle(
    account: Account, workflows: WaitingWorkflows
) -> None:
    send(account, "a")
    account.cycle()
    seconds = iter([900.0] * 3)
    short = Deadline(remaining=lambda: next(seconds, 1.0), total=900.0)
    account.dispatcher().run(short)
    assert workflows.answers() == {}
    account.cycle()
    assert task_token("a") in workflows.answers()


def test_an_unreadable_request_is_left_to_the_version_that_wrote_it(
    account: Account, workflows: WaitingWorkflows
) -> None:
    account.send("fraud", {"action": "hold"})
    send(account, "a")
    account.cycle()
    account.dynamodb.update_item(
        TableName="hpoq-ledger",
        Key={"team": {"S": "fraud"}, "id": {"S": "a"}},
        UpdateExpression="SET version = :later",
        ExpressionAttributeValues={":later": {"N": "99"}},
    )
    dispatcher = account.dispatcher()
    try:
        dispatcher.run(ample_time())
    except Exception as error:
        assert "version 99" in str(error)
    assert owed(account) == ["a"]
    assert workflows.answers() == {}


def test_a_token_is_nowhere_but_in_the_partition_that_no_team_can_read(
    account: Account, workflows: WaitingWorkflows, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[str] = []

    def record(params: Any, **_: Any) -> None:
        sent.append(str(params))

    account.session.events.register("before-call.events", record)
    account.session.events.register("before-call.sagemaker.CreateHyperParameterTuningJob", record)
    try:
        account.send("fraud", {"action": "hold", "request_id": "c"})
        send(account, "a")
        send(account, "b", template="none")
        send(account, "c")
        account.send("fraud", STEP)
        wired = account.wired()
        for _ in range(3):
            wired.run(ample_time(), None)
    finally:
        account.session.events.unregister("before-call.events", record)
        account.session.events.unregister(
            "before-call.sagemaker.CreateHyperParameterTuningJob", record
        )
    rows = account.dynamodb.scan(TableName="hpoq-ledger")["Items"]
    seen = "".join(
        [
            *(json.dumps(row) for row in rows if row["team"]["S"] != "#owed"),
            *(str(letter) for letter in account.dead_letters("fraud")),
            *sent,
            *(json.dumps(vars(record), default=str) for record in caplog.records),
        ]
    )
    assert "workflow answered" in seen, "the log is part of it"
    for token in (STEP_TOKEN, *map(task_token, "abc")):
        assert token not in seen
    assert workflows.answers().keys() == {STEP_TOKEN, task_token("a"), task_token("b")}
