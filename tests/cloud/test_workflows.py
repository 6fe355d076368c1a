"""The example state machine waits for requests of the deployed dispatcher, with IAM enforced.

Callback steps of SageMaker Pipelines, which the embedded cloud does not have, are tested by the
contract of the API: tests/unit/hpo_dispatcher/aws/workflows.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from hpoq.client import Client
from hpoq.local.cloud import Cloud
from hpoq.local.lifecycle.processes import wait_until
from tests.support import state_machines, tiny_jobs
from tests.support.deployed_stack import ROOT, Deployed

PATIENCE = 240
NAME = "answering"
EXAMPLE = json.loads((ROOT / "examples/workflows/state_machine.asl.json").read_text())
RANGES = {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}}


@pytest.fixture(scope="module")
def answering(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """A deployment of short training jobs, which answers some state machines."""
    return tiny_jobs.deploy(
        cloud,
        NAME,
        tmp_path_factory.mktemp("workflows"),
        teams={"fraud": {}},
        templates="templates-of-ours",  # a folder beside cdk.json
        workflows={"state_machines": ["tune-*"]},
    )


def execute(deployed: Deployed, machine: str, name: str, **given: Any) -> str:
    """Start an execution of the example and return its ARN."""
    fields = {
        "queue_url": deployed.queue("fraud"), "template": "tiny", "hyperparameter_ranges": RANGES,
    }  # fmt: skip
    started = deployed.client("stepfunctions").start_execution(
        stateMachineArn=machine, name=name, input=json.dumps(fields | given)
    )
    return str(started["executionArn"])


def invoke(deployed: Deployed) -> None:
    """Run a cycle, as the heartbeat does."""
    function = deployed.outputs["DispatcherFunctionName"]
    deployed.client("lambda").invoke(FunctionName=function)


def described(deployed: Deployed, execution: str) -> dict[str, Any]:
    """Return an execution once the dispatcher has answered it."""

    def ended() -> bool:
        invoke(deployed)
        client = deployed.client("stepfunctions")
        return bool(client.describe_execution(executionArn=execution)["status"] != "RUNNING")

    assert wait_until(ended, PATIENCE)
    client = deployed.client("stepfunctions")
    return dict(client.describe_execution(executionArn=execution))


def test_the_deployment_has_the_templates_of_its_own_folder(answering: Deployed) -> None:
    """The other tests run tuning jobs with the template ``tiny`` of this folder."""
    invoke(answering)  # publishes the settings
    settings = Client(NAME, answering.session).settings
    assert settings.deployment.default_template == "tiny"
    assert settings.templates["tiny"].description == "A script of a few milliseconds."
    assert {"smoke", "credit-default-cpu"} <= set(settings.templates), "the bundled ones, too"


def test_the_example_gets_the_result_of_its_request_or_the_reason_of_its_rejection(
    answering: Deployed,
) -> None:
    name = f"tune-{time.time_ns()}"
    machine = state_machines.create(answering, name, EXAMPLE)
    wrong = execute(answering, machine, f"wrong-{name}", template="none")
    right = execute(answering, machine, name)

    rejected = described(answering, wrong)
    assert rejected["status"] == "SUCCEEDED"
    assert json.loads(rejected["output"])["fix"].startswith("template: unknown template 'none'")

    completed = described(answering, right)
    assert completed["status"] == "SUCCEEDED"
    output = json.loads(completed["output"])
    job = answering.client("sagemaker").describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=output["tuning_job"]
    )
    assert job["HyperParameterTuningJobStatus"] in ("Completed", "Failed", "Stopped")
    best = job["BestTrainingJob"]
    trained = answering.client("sagemaker").describe_training_job(
        TrainingJobName=best["TrainingJobName"]
    )
    assert output["model"] == trained["ModelArtifacts"]["S3ModelArtifacts"]
    metric = best["FinalHyperParameterTuningJobObjectiveMetric"]
    assert output["objective"] == pytest.approx(metric["Value"])


def test_a_state_machine_that_the_settings_do_not_name_gets_no_answer(answering: Deployed) -> None:
    name = f"other-{time.time_ns()}"
    machine = state_machines.create(answering, name, EXAMPLE)
    execution = execute(answering, machine, name, template="none")
    sqs = answering.client("sqs")

    def taken() -> bool:
        invoke(answering)
        counts = sqs.get_queue_attributes(
            QueueUrl=answering.queue("fraud"),
            AttributeNames=[
                "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible",
            ],
        )["Attributes"]  # fmt: skip
        return all(int(count) == 0 for count in counts.values())

    assert wait_until(taken, PATIENCE)
    client = answering.client("stepfunctions")
    assert client.describe_execution(executionArn=execution)["status"] == "RUNNING"
    client.stop_execution(executionArn=execution)
