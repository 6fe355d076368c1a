"""The example pipeline: what its callback step sends, and the outputs that it declares."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from hpo_dispatcher.contract.message import parse_fields
from hpo_dispatcher.contract.request import ContinuousRange, TuningRequest
from hpo_dispatcher.contract.workflows.answers import WorkflowResult
from tests.support.waiting_workflows import callback_step

FILE = Path(__file__).parents[4] / "examples/workflows/pipeline.py"


def example() -> Any:
    spec = importlib.util.spec_from_file_location("pipeline", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def step() -> dict[str, Any]:
    [found] = example().definition("https://sqs/hpoq-fraud-requests")["Steps"]
    return dict(found)


def test_the_step_sends_a_request() -> None:
    parameters = {
        each["Name"]: each["DefaultValue"] for each in example().definition("")["Parameters"]
    }
    arguments = {
        name: parameters[value["Get"].removeprefix("Parameters.")]
        for name, value in step()["Arguments"].items()
    }
    request = parse_fields(callback_step(**arguments), "message")
    assert isinstance(request, TuningRequest)
    assert request.template == "smoke"
    assert isinstance(request.hyperparameter_ranges["lr"], ContinuousRange)


def test_the_step_declares_every_output_that_the_dispatcher_sends() -> None:
    declared = {each["OutputName"] for each in step()["OutputParameters"]}
    assert declared == set(WorkflowResult.model_fields)


def test_the_step_has_the_members_of_a_callback_step() -> None:
    """As sagemaker.workflow.callback_step.CallbackStep.to_request of the SDK 2.257 writes it."""
    assert step().keys() == {"Name", "Type", "Arguments", "SqsQueueUrl", "OutputParameters"}
    assert step()["Type"] == "Callback"
    assert {each["OutputType"] for each in step()["OutputParameters"]} <= {
        "String", "Integer", "Boolean", "Float",
    }  # fmt: skip


def test_the_definition_is_json() -> None:
    assert json.loads(json.dumps(example().definition("x")))["Version"] == "2020-12-01"
