"""Queues that somebody has deleted."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import Stubber

from hpo_dispatcher.aws.sqs import SqsQueues
from hpo_dispatcher.ports import Unavailable


# The codes of the JSON protocol and of the older query protocol: Common errors of the SQS API.
@pytest.mark.parametrize("code", ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"])
def test_a_deleted_queue_is_named_with_where_to_read_how_to_restore_it(code: str) -> None:
    client = boto3.Session("a", "b", region_name="eu-west-1").client("sqs")
    with Stubber(client) as stub:
        stub.add_client_error("get_queue_url", code)
        with pytest.raises(Unavailable) as raised:
            SqsQueues(client, "hpoq").receive("fraud")
    assert str(raised.value) == (
        "the queue hpoq-fraud-requests does not exist; docs/runbook.md says how to bring it back"
    )


def test_another_error_of_a_queue_is_not_its_deletion() -> None:
    client = boto3.Session("a", "b", region_name="eu-west-1").client("sqs")
    with Stubber(client) as stub:
        stub.add_client_error("get_queue_url", "AccessDenied", "not authorized")
        with pytest.raises(Unavailable, match="AccessDenied"):
            SqsQueues(client, "hpoq").receive("fraud")
