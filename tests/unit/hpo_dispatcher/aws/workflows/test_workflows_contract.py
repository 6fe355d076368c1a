"""The contract of ``Workflows``, tested on both adapters: in memory, and botocore's clients.

The services answer as the API references of Step Functions and SageMaker say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ReadTimeoutError
from botocore.stub import Stubber

from hpo_dispatcher.aws.workflows.answers import ANSWERS, AwsWorkflows, cut
from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.workflows.answers import OwedAnswer, WorkflowFailure, WorkflowResult
from hpo_dispatcher.contract.workflows.callbacks import Callback, CallbackKind
from hpo_dispatcher.ports import Reply, Unavailable, Workflows
from hpoq.simulation.in_memory_workflows import MemoryWorkflows
from tests.support.waiting_workflows import (
    EXECUTION,
    STEP_TOKEN,
    TASK_TOKEN,
    WaitingWorkflows,
)

TASK = OwedAnswer(
    callback=Callback(kind=CallbackKind.STEP_FUNCTIONS, token=TASK_TOKEN),
    team="fraud",
    request_id="a",
)
STEP = OwedAnswer(
    callback=Callback(kind=CallbackKind.PIPELINE, token=STEP_TOKEN, pipeline="credit"),
    team="fraud",
    request_id="a",
)
RESULT = WorkflowResult(team="fraud", request_id="a", tuning_job_name="fraud-a-1")
TABLE = Path(__file__).parents[4] / "fixtures/workflow_answers.yaml"
FAILURE = WorkflowFailure(error="Hpoq.Failed", cause="no training job succeeded")
BOTH = pytest.mark.parametrize("owed", [TASK, STEP], ids=["step functions", "pipeline"])


@dataclass(frozen=True)
class Services:
    """The workflows, and a way to let a step wait."""

    workflows: Workflows
    scripted: WaitingWorkflows | MemoryWorkflows

    def wait(self, owed: OwedAnswer) -> None:
        if isinstance(self.scripted, MemoryWorkflows):
            self.scripted.wait(owed.callback.token)
        else:
            self.scripted.waiting.add(owed.callback.token)

    @property
    def answered(self) -> list[str]:
        """The tokens that were answered, in order."""
        return [token for token, *_ in self.scripted.answered]


@pytest.fixture(params=["memory", "aws"])
def services(request: pytest.FixtureRequest, session: boto3.Session) -> Iterator[Services]:
    if request.param == "memory":
        memory = MemoryWorkflows()
        yield Services(memory, memory)
        return
    scripted = WaitingWorkflows(session)
    yield Services(of(session), scripted)
    scripted.close()


def of(session: boto3.Session) -> AwsWorkflows:
    return AwsWorkflows(
        lambda: session.client("stepfunctions", config=ANSWERS),
        lambda: session.client("sagemaker", config=ANSWERS),
    )


@BOTH
def test_a_step_that_waits_takes_success(services: Services, owed: OwedAnswer) -> None:
    services.wait(owed)
    assert services.workflows.succeed(owed, RESULT) is Reply.TAKEN
    assert services.answered == [owed.callback.token]


@BOTH
def test_a_step_that_waits_takes_failure(services: Services, owed: OwedAnswer) -> None:
    services.wait(owed)
    assert services.workflows.fail(owed, FAILURE) is Reply.TAKEN
    assert services.answered == [owed.callback.token]


@BOTH
def test_repeating_an_answer_is_harmless(services: Services, owed: OwedAnswer) -> None:
    services.wait(owed)
    for _ in range(3):
        services.workflows.succeed(owed, RESULT)
    assert services.workflows.fail(owed, FAILURE) is Reply.NOBODY_WAITS
    assert services.answered == [owed.callback.token]


@BOTH
def test_a_step_that_does_not_wait_is_no_error(services: Services, owed: OwedAnswer) -> None:
    assert services.workflows.succeed(owed, RESULT) is Reply.NOBODY_WAITS
    assert services.workflows.fail(owed, FAILURE) is Reply.NOBODY_WAITS
    assert services.answered == []


def test_a_task_gets_heartbeats_while_it_waits(services: Services) -> None:
    services.wait(TASK)
    assert services.workflows.heartbeat(TASK) is Reply.TAKEN
    assert services.scripted.heartbeats == {TASK_TOKEN: 1}
    services.workflows.succeed(TASK, RESULT)
    assert services.workflows.heartbeat(TASK) is Reply.NOBODY_WAITS


def test_a_callback_step_has_no_heartbeat(services: Services) -> None:
    assert services.workflows.heartbeat(STEP) is Reply.TAKEN


# The golden answers of AWS.


def golden() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(TABLE.read_text())
    return found


def client_of(operation: str) -> str:
    return "stepfunctions" if "Task" in operation else "sagemaker"


def call(workflows: Workflows, operation: str) -> Reply:
    owed = TASK if "Task" in operation else STEP
    if operation.endswith("Heartbeat"):
        return workflows.heartbeat(owed)
    if operation.endswith("Success"):
        return workflows.succeed(owed, RESULT)
    return workflows.fail(owed, FAILURE)


@pytest.mark.parametrize("answer", golden(), ids=lambda each: f"{each['operation']} {each['code']}")
def test_what_aws_answers_means_done_or_later(
    answer: dict[str, Any], session: boto3.Session
) -> None:
    operation = answer["operation"]
    client = boto3.client(client_of(operation), region_name="eu-central-1")
    workflows = AwsWorkflows(lambda: client, lambda: client)
    name = {
        "SendTaskSuccess": "send_task_success",
        "SendTaskFailure": "send_task_failure",
        "SendTaskHeartbeat": "send_task_heartbeat",
        "SendPipelineExecutionStepSuccess": "send_pipeline_execution_step_success",
        "SendPipelineExecutionStepFailure": "send_pipeline_execution_step_failure",
    }[operation]
    with Stubber(client) as stub:
        stub.add_client_error(name, answer["code"], answer["message"] + TASK_TOKEN)
        if answer["reaction"] == "done":
            assert call(workflows, operation) is Reply.NOBODY_WAITS
        else:
            with pytest.raises(Unavailable) as caught:
                call(workflows, operation)
            assert TASK_TOKEN not in str(caught.value)
            assert answer["code"] in str(caught.value)


def test_the_calls_are_those_of_the_api_references() -> None:
    tasks = boto3.client("stepfunctions", region_name="eu-central-1")
    steps = boto3.client("sagemaker", region_name="eu-central-1")
    workflows = AwsWorkflows(lambda: tasks, lambda: steps)
    with Stubber(tasks) as task, Stubber(steps) as step:
        task.add_response(
            "send_task_success", {}, {"taskToken": TASK_TOKEN, "output": RESULT.to_json()}
        )
        task.add_response(
            "send_task_failure",
            {},
            {"taskToken": TASK_TOKEN, "error": FAILURE.error, "cause": FAILURE.cause},
        )
        task.add_response("send_task_heartbeat", {}, {"taskToken": TASK_TOKEN})
        workflows.succeed(TASK, RESULT)
        workflows.fail(TASK, FAILURE)
        workflows.heartbeat(TASK)
        answered = {"PipelineExecutionArn": EXECUTION}
        step.add_response("send_pipeline_execution_step_failure", answered)
        workflows.fail(STEP, FAILURE)


@BOTH
def test_an_answer_keeps_the_limits_of_its_service(
    owed: OwedAnswer, session: boto3.Session
) -> None:
    """botocore checks the lengths of the service model before it sends a call."""
    scripted = WaitingWorkflows(session, {TASK_TOKEN, STEP_TOKEN})
    try:
        long = WorkflowFailure(error="Hpoq.Failed" + "x" * 1000, cause="ä" * 100_000)
        assert of(session).fail(owed, long) is Reply.TAKEN
    finally:
        scripted.close()
    [(_, _, answer)] = scripted.answered
    reason = answer.get("FailureReason", "")
    assert len(reason) <= aws_limits.STEP_FAILURE_REASON
    assert len(answer.get("error", "")) <= aws_limits.TASK_ERROR
    assert len(answer.get("cause", "")) <= aws_limits.TASK_CAUSE
    model = "x" * 3000
    result = RESULT.model_copy(update={"model_uri": f"s3://bucket/{model}"})
    scripted = WaitingWorkflows(session, {TASK_TOKEN, STEP_TOKEN})
    try:
        assert of(session).succeed(owed, result) is Reply.TAKEN
    finally:
        scripted.close()


def test_a_text_is_cut_between_characters() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("abcdef", 5) == "ab..."
    assert len(cut("ä" * 10, 12).encode()) <= 12


def test_a_timeout_is_no_answer(session: boto3.Session) -> None:
    def time_out(**_: Any) -> None:
        raise ReadTimeoutError(endpoint_url="https://injected")

    session.events.register("before-call.sfn", time_out)
    try:
        with pytest.raises(Unavailable, match="ReadTimeoutError"):
            of(session).succeed(TASK, RESULT)
    finally:
        session.events.unregister("before-call.sfn", time_out)
