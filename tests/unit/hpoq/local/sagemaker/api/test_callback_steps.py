"""Callback steps of pipelines: the emulator runs none, and answers as AWS does about others."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpo_dispatcher.aws.workflows.answers import AwsWorkflows
from hpo_dispatcher.contract.workflows.answers import OwedAnswer, WorkflowFailure, WorkflowResult
from hpo_dispatcher.contract.workflows.callbacks import Callback, CallbackKind
from hpo_dispatcher.ports import Reply
from tests.support.waiting_workflows import STEP_TOKEN

OWED = OwedAnswer(
    callback=Callback(kind=CallbackKind.PIPELINE, token=STEP_TOKEN, pipeline="credit"),
    team="fraud",
    request_id="a",
)


def test_no_step_waits_for_the_dispatchers_answer(sagemaker: Any) -> None:
    workflows = AwsWorkflows(lambda: None, lambda: sagemaker)
    result = WorkflowResult(team="fraud", request_id="a", tuning_job_name="fraud-a-1")
    assert workflows.succeed(OWED, result) is Reply.NOBODY_WAITS
    failure = WorkflowFailure(error="Hpoq.Failed", cause="because")
    assert workflows.fail(OWED, failure) is Reply.NOBODY_WAITS


def test_an_unknown_token_is_not_found(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match="ResourceNotFound"):
        sagemaker.send_pipeline_execution_step_failure(CallbackToken="a" * 10)
