from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.settings import parse_deployment
from hpoq.doctor.checks import dispatcher
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import Verdict
from tests.support.stubbed import stubbed
from tests.support.tuning_requests import ENVIRONMENT


@pytest.mark.parametrize(
    ("status", "verdict", "words"),
    [
        ("CREATE_COMPLETE", Verdict.OK, "hpoq is CREATE_COMPLETE"),
        ("ROLLBACK_COMPLETE", Verdict.FAULT, "Run `aws cloudformation delete-stack"),
        ("UPDATE_ROLLBACK_FAILED", Verdict.FAULT, "the stack is UPDATE_ROLLBACK_FAILED"),
        ("UPDATE_IN_PROGRESS", Verdict.WARNING, "Wait until the deployment has ended"),
    ],
)
def test_the_state_of_the_stack(
    examined: Examined, status: str, verdict: Verdict, words: str
) -> None:
    stack = {"StackName": "hpoq", "CreationTime": datetime.now(UTC), "StackStatus": status}
    with stubbed(examined.client("cloudformation"), ("describe_stacks", {"Stacks": [stack]})):
        (found,) = dispatcher.stack(examined)
    assert found.verdict is verdict
    assert words in str(found)


def test_a_permission_that_the_dispatchers_role_lost_is_a_fault(examined: Examined) -> None:
    deployment = parse_deployment({"teams": {"fraud": {}}})
    vars(examined)["settings"] = SettingsDocument.of(ENVIRONMENT, deployment, {})
    role = {"Role": "arn:aws-us-gov:iam::123456789012:role/hpoq-Dispatcher"}
    decisions = [
        {"EvaluationResults": [{"EvalActionName": "any", "EvalDecision": decision}]}
        for decision in ("allowed", "implicitDeny", "allowed")
    ]
    with (
        stubbed(examined.client("lambda"), ("get_function_configuration", role)),
        stubbed(
            examined.client("iam"), *(("simulate_principal_policy", each) for each in decisions)
        ),
    ):
        (found,) = dispatcher.permissions(examined)
    assert found.verdict is Verdict.FAULT
    queue = "arn:aws-us-gov:sqs:eu-west-1:123456789012:hpoq-fraud-requests"
    assert f"may not call sqs:ReceiveMessage on {queue}. Restore it" in str(found)
