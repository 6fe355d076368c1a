"""A workflow that the settings do not name is told nothing, whatever there is to tell."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hpo_dispatcher.contract.settings import WorkflowSettings
from hpo_dispatcher.contract.workflows.answers import OwedAnswer, WorkflowFailure, WorkflowResult
from hpo_dispatcher.contract.workflows.callbacks import Callback, CallbackKind
from hpo_dispatcher.cycle.workflows.permitted import PermittedWorkflows
from hpo_dispatcher.ports import Reply
from hpoq.simulation.in_memory_workflows import MemoryWorkflows

TASK = Callback(kind=CallbackKind.STEP_FUNCTIONS, token="task")
STEP = Callback(kind=CallbackKind.PIPELINE, token="step", pipeline="credit")
RESULT = WorkflowResult(team="fraud", request_id="a", tuning_job_name="fraud-a")
FAILURE = WorkflowFailure(error="Hpoq.Failed", cause="no data")
Call = Callable[[PermittedWorkflows, OwedAnswer], Reply]
CALLS: dict[str, Call] = {
    "success": lambda workflows, owed: workflows.succeed(owed, RESULT),
    "failure": lambda workflows, owed: workflows.fail(owed, FAILURE),
    "heartbeat": lambda workflows, owed: workflows.heartbeat(owed),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize(
    ("callback", "settings", "named"),
    [
        (TASK, {"state_machines": ["credit-*"]}, True),
        (TASK, {"pipelines": ["*"]}, False),
        (STEP, {"pipelines": ["credit"]}, True),
        (STEP, {"pipelines": ["other"], "state_machines": ["*"]}, False),
        (STEP, {}, False),
    ],
)
def test_only_a_workflow_that_the_settings_name_is_called(
    call: Call, callback: Callback, settings: dict[str, list[str]], named: bool
) -> None:
    services = MemoryWorkflows()
    services.wait(callback.token)
    permitted = PermittedWorkflows(
        workflows=services, settings=WorkflowSettings.model_validate(settings)
    )
    owed = OwedAnswer(callback=callback, team="fraud", request_id="a")
    assert call(permitted, owed) is (Reply.TAKEN if named else Reply.NOT_PERMITTED)
    assert named or not services.calls


def test_a_workflow_that_the_settings_name_gets_what_there_is_to_tell() -> None:
    services = MemoryWorkflows()
    permitted = PermittedWorkflows(
        workflows=services, settings=WorkflowSettings(state_machines=("*",))
    )
    for token in ("a", "b", "c"):
        services.wait(token)
        callback = Callback(kind=CallbackKind.STEP_FUNCTIONS, token=token)
        owed = OwedAnswer(callback=callback, team="fraud", request_id=token)
        CALLS[{"a": "success", "b": "failure", "c": "heartbeat"}[token]](permitted, owed)
    assert services.answered == [("a", RESULT), ("b", FAILURE)]
    assert services.heartbeats == {"c": 1}
