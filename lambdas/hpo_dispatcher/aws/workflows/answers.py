"""Answers to workflows: Step Functions and SageMaker Pipelines.

Log lines and errors name the code of an error only, because its message may quote the token.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, assert_never

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from hpo_dispatcher.aws.clients import CONFIG, code
from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.workflows.answers import OwedAnswer, WorkflowFailure, WorkflowResult
from hpo_dispatcher.contract.workflows.callbacks import CallbackKind
from hpo_dispatcher.ports import Reply, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

# Few and short attempts, because the next cycle tries again.
ANSWERS = CONFIG.merge(
    Config(retries={"mode": "standard", "total_max_attempts": 3}, read_timeout=10)
)
# Errors of SendTaskSuccess and SendTaskFailure that no repetition changes: API reference of Step
# Functions. TaskTimedOut also says that the task "has already been closed".
_CLOSED_TASKS = frozenset(["TaskDoesNotExist", "TaskTimedOut", "InvalidToken"])
# Errors of SendPipelineExecutionStepSuccess that say that no such step waits.
_CLOSED_STEPS = frozenset(["ResourceNotFound", "ResourceNotFoundException"])


class AwsWorkflows:
    """``Workflows`` of one account and Region.

    Args:
        step_functions: creates a client of Step Functions, when first needed.
        sagemaker: creates a client of SageMaker, when first needed.
    """

    def __init__(
        self,
        step_functions: Callable[[], Any],
        sagemaker: Callable[[], SageMakerClient],
    ) -> None:
        self._create_step_functions = step_functions
        self._create_sagemaker = sagemaker
        self._lock = threading.Lock()  # a session creates one client at a time

    @cached_property
    def _step_functions(self) -> Any:
        return self._create_step_functions()

    @cached_property
    def _sagemaker(self) -> SageMakerClient:
        return self._create_sagemaker()

    def succeed(self, owed: OwedAnswer, result: WorkflowResult) -> Reply:
        """See ``Workflows``."""
        token = owed.callback.token
        match owed.callback.kind:
            case CallbackKind.STEP_FUNCTIONS:
                with self._lock:
                    tasks = self._step_functions
                with _calling("states:SendTaskSuccess", _CLOSED_TASKS) as reply:
                    tasks.send_task_success(taskToken=token, output=result.to_json())
            case CallbackKind.PIPELINE:
                with self._lock:
                    steps = self._sagemaker
                parameters = result.output_parameters().items()
                with _calling("sagemaker:SendPipelineExecutionStepSuccess", _CLOSED_STEPS) as reply:
                    steps.send_pipeline_execution_step_success(
                        CallbackToken=token,
                        OutputParameters=[
                            {"Name": name, "Value": value[: aws_limits.OUTPUT_PARAMETER_VALUE]}
                            for name, value in parameters
                        ],
                        ClientRequestToken=_request_token(token, "success"),
                    )
            case _:
                assert_never(owed.callback.kind)
        return reply.of_call

    def fail(self, owed: OwedAnswer, failure: WorkflowFailure) -> Reply:
        """See ``Workflows``."""
        token = owed.callback.token
        match owed.callback.kind:
            case CallbackKind.STEP_FUNCTIONS:
                with self._lock:
                    tasks = self._step_functions
                with _calling("states:SendTaskFailure", _CLOSED_TASKS) as reply:
                    tasks.send_task_failure(
                        taskToken=token,
                        error=cut(failure.error, aws_limits.TASK_ERROR),
                        cause=cut(failure.cause, aws_limits.TASK_CAUSE),
                    )
            case CallbackKind.PIPELINE:
                with self._lock:
                    steps = self._sagemaker
                reason = f"{failure.error}: {failure.cause}"
                with _calling("sagemaker:SendPipelineExecutionStepFailure", _CLOSED_STEPS) as reply:
                    steps.send_pipeline_execution_step_failure(
                        CallbackToken=token,
                        FailureReason=cut(reason, aws_limits.STEP_FAILURE_REASON),
                        ClientRequestToken=_request_token(token, "failure"),
                    )
            case _:
                assert_never(owed.callback.kind)
        return reply.of_call

    def heartbeat(self, owed: OwedAnswer) -> Reply:
        """See ``Workflows``; callback steps have no heartbeat."""
        if owed.callback.kind is not CallbackKind.STEP_FUNCTIONS:
            return Reply.TAKEN
        with self._lock:
            tasks = self._step_functions
        with _calling("states:SendTaskHeartbeat", _CLOSED_TASKS) as reply:
            tasks.send_task_heartbeat(taskToken=owed.callback.token)
        return reply.of_call


class _Answered:
    """The reply to one call."""

    of_call = Reply.TAKEN


@contextmanager
def _calling(call: str, closed: frozenset[str]) -> Iterator[_Answered]:
    """Convert the errors of a call to its reply, or to ``Unavailable``."""
    answered = _Answered()
    try:
        yield answered
    except ClientError as error:
        if code(error) not in closed:
            raise Unavailable(f"{call}: {code(error)}") from None
        answered.of_call = Reply.NOBODY_WAITS
    except BotoCoreError as error:
        raise Unavailable(f"{call}: {type(error).__name__}") from None


def _request_token(token: str, answer: str) -> str:
    """Return a ClientRequestToken, the same for each repetition: 32 to 128 characters."""
    return hashlib.sha256(f"{answer}:{token}".encode()).hexdigest()


def cut(text: str, most: int) -> str:
    """Return a text of at most so many bytes in UTF-8, and so at most so many characters."""
    if len(text.encode()) <= most:
        return text
    return f"{text.encode()[: most - 3].decode(errors='ignore')}..."
