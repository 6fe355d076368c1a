"""Somebody deleted a resource of the deployment: a fault that names it and how to restore it."""

from __future__ import annotations

import pytest
from botocore.stub import Stubber

from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.settings import parse_deployment
from hpoq.doctor.checks import alarms, dispatcher, storage, training
from hpoq.doctor.checks.registry import Check
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import Verdict
from tests.support.tuning_requests import ENVIRONMENT

TOPIC = "arn:aws:sns:eu-west-1:123456789012:hpoq-alarms"
RESOURCES = {
    "DispatcherHeartbeat1A": ("hpoq-heartbeat", "AWS::Events::Rule"),
    "MonitoringAlarms1A": (TOPIC, "AWS::SNS::Topic"),
}
QUEUE = "AWS.SimpleQueueService.NonExistentQueue"
RESTORE = "docs/runbook.md#a-resource-of-the-stack-was-changed"
BACKUP = "docs/runbook.md#the-ledger-was-lost-or-restored"


# The codes are those of the API references, for the operation that finds nothing.
@pytest.mark.parametrize(
    ("check", "operation", "code", "gone", "fix"),
    [
        (storage.ledger, "dynamodb:describe_table", "ResourceNotFoundException",
         "the table hpoq-ledger is gone", BACKUP),
        (storage.queues, "sqs:get_queue_url", QUEUE,
         "the queue hpoq-fraud-requests is gone", RESTORE),
        (storage.bucket, "s3:head_bucket", "404", "the artifact bucket artifacts is gone", RESTORE),
        (training.role, "iam:get_role", "NoSuchEntity",
         "the training role arn:aws:iam::123456789012:role/training is gone", RESTORE),
        (dispatcher.function, "lambda:get_function_configuration", "ResourceNotFoundException",
         "the function hpoq-dispatcher is gone", RESTORE),
        (dispatcher.rules, "events:describe_rule", "ResourceNotFoundException",
         "the rule hpoq-heartbeat is gone", RESTORE),
        (alarms.topic, "sns:get_topic_attributes", "NotFound",
         f"the alarm topic {TOPIC} is gone", RESTORE),
    ],
)  # fmt: skip
def test_a_deleted_resource_is_a_fault_that_names_it_and_how_to_restore_it(
    examined: Examined, check: Check, operation: str, code: str, gone: str, fix: str
) -> None:
    deployment = parse_deployment({"teams": {"fraud": {}}})
    vars(examined)["settings"] = SettingsDocument.of(ENVIRONMENT, deployment, {})
    vars(examined)["resources"] = RESOURCES
    service, _, method = operation.partition(":")
    with Stubber(examined.client(service)) as stub:
        stub.add_client_error(method, code, http_status_code=404)
        (finding,) = check(examined)
    assert finding.verdict is Verdict.FAULT
    assert finding.text == gone
    assert fix in finding.fix
