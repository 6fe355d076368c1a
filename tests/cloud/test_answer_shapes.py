"""The embedded cloud answers in the shapes of AWS, for every operation that hpoq calls."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.settings import Guardrails
from hpo_dispatcher.contract.templates import read_templates
from hpo_dispatcher.tuning_job.build import build
from hpoq.client import Client
from hpoq.doctor.examined import Examined
from hpoq.doctor.run import examine
from hpoq.local.lifecycle.processes import wait_until
from hpoq.repair.run import repair
from tests.support.answer_scene import Scene
from tests.support.answer_shapes import answers_of, operations_called
from tests.support.deployed_stack import Deployed
from tests.support.state_machines import waiting_tasks
from tests.support.tuning_requests import IMAGE, request

PATIENCE = 60
# ministack names no reason by an empty code, which AWS leaves out. hpoq does not read them.
EMPTY_CODES = {
    f"lambda:GetFunctionConfiguration.{name}: AWS never answers ''"
    for name in ("StateReasonCode", "LastUpdateStatusReasonCode")
}
# The embedded cloud has no pipelines: it answers that no such step waits.
NO_PIPELINES = {
    "sagemaker:SendPipelineExecutionStepFailure",
    "sagemaker:SendPipelineExecutionStepSuccess",
}


def physical_id(deployed: Deployed, prefix: str, kind: str) -> str:
    pages = deployed.client("cloudformation").get_paginator("list_stack_resources")
    (found,) = [
        each["PhysicalResourceId"]
        for page in pages.paginate(StackName="hpoq")
        for each in page["StackResourceSummaries"]
        if each["LogicalResourceId"].startswith(prefix) and each["ResourceType"] == kind
    ]
    return str(found)


def tuning_job(settings: SettingsDocument) -> dict[str, Any]:
    """Return a request for a tuning job that no team sent; its data may be missing."""
    return build(
        request(
            request_id=f"shapes-{time.time_ns()}",
            resource_limits={"max_training_jobs": 2, "max_parallel_training_jobs": 1},
        ),
        "fraud",
        read_templates()["smoke"],
        Guardrails(),
        settings.environment,
        image=IMAGE,
        limits=settings.deployment.limits,
    )


@pytest.fixture(scope="module")
def scene(deployed: Deployed) -> Scene:
    client, s3 = deployed.client, deployed.client("s3")
    function = deployed.outputs["DispatcherFunctionName"]
    client("lambda").invoke(FunctionName=function)  # publishes the settings, and writes a log
    settings = Client("hpoq", deployed.session).settings
    bucket = deployed.outputs["ArtifactBucketName"]
    for part in ("train", "validation", "test"):
        s3.put_object(Bucket=bucket, Key=f"data/credit-default/{part}/shapes", Body=b"a")
    group = f"/aws/lambda/{function}"

    def streams() -> list[Any]:
        return list(client("logs").describe_log_streams(logGroupName=group)["logStreams"])

    assert wait_until(lambda: bool(streams()), PATIENCE)
    queue = client("sqs").create_queue(QueueName="shapes")["QueueUrl"]
    rule = physical_id(deployed, "DispatcherHeartbeat", "AWS::Events::Rule")
    return Scene(
        session=deployed.session,
        stack="hpoq",
        table=deployed.outputs["LedgerTableName"],
        queue=queue,
        queue_name="shapes",
        bucket=bucket,
        object_key="data/credit-default/train/shapes",
        role=deployed.outputs["TrainingRoleArnFraud"],
        policy=physical_id(deployed, "TrainingBase", "AWS::IAM::ManagedPolicy"),
        topic=deployed.outputs["AlarmTopicArn"],
        rule=rule.rpartition("|")[2].rpartition("/")[2],
        function=function,
        key=client("kms").create_key()["KeyMetadata"]["KeyId"],
        log_group=group,
        log_stream=streams()[0]["logStreamName"],
        tuning_job=tuning_job(settings),
        task_tokens=waiting_tasks(deployed, 2),
    )


def test_the_embedded_clouds_answers_have_the_shapes_of_aws(scene: Scene) -> None:
    with answers_of(scene.session) as answers:
        errors = scene.play()
    assert errors.keys() == NO_PIPELINES
    assert operations_called().keys() - answers.operations == NO_PIPELINES
    assert set(answers.problems) <= EMPTY_CODES


def test_the_answers_to_the_commands_have_the_shapes_of_aws(deployed: Deployed) -> None:
    session = deployed.session
    with answers_of(session) as answers:
        list(examine(Examined(deployment="hpoq", session=session)))
        repair("hpoq", apply=False, session=session)
        client = Client("hpoq", session)
        for team in client.teams():
            entries = list(client.entries(team))
            client.get_all(team, [entry.request_id for entry in entries])
    assert set(answers.problems) <= EMPTY_CODES
    assert len(answers.operations) >= 20
