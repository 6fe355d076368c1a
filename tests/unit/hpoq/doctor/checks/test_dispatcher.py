from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.settings import parse_deployment
from hpoq.doctor.checks import dispatcher, storage, training
from hpoq.doctor.checks.registry import NECESSARY
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import Verdict
from hpoq.doctor.run import examine
from hpoq.errors import NotDeployed
from tests.support.stubbed import stubbed
from tests.support.tuning_requests import ENVIRONMENT


@pytest.mark.parametrize(
    ("status", "verdict", "words"),
    [
        ("CREATE_COMPLETE", Verdict.OK, "hpoq is CREATE_COMPLETE"),
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


CALLER = {"UserId": "A", "Account": "123456789012", "Arn": "arn:aws-us-gov:iam::123456789012:root"}


@contextmanager
def rolled_back(examined: Examined, policy: dict[str, Any] | None) -> Iterator[None]:
    stack = {
        "StackName": "hpoq", "CreationTime": datetime.now(UTC), "StackStatus": "ROLLBACK_COMPLETE",
    }  # fmt: skip
    expected = {"PolicyArn": "arn:aws-us-gov:iam::123456789012:policy/hpoq-training-jobs"}
    with (
        stubbed(examined.client("cloudformation"), ("describe_stacks", {"Stacks": [stack]})),
        stubbed(examined.client("sts"), ("get_caller_identity", CALLER)),
        Stubber(examined.client("iam")) as iam,
    ):
        if policy is None:
            iam.add_client_error("get_policy", "NoSuchEntity", expected_params=expected)
        else:
            iam.add_response("get_policy", policy, expected)
        yield


def test_a_first_deployment_that_failed_can_be_repeated(examined: Examined) -> None:
    with rolled_back(examined, None):
        (found,) = dispatcher.stack(examined)
    assert found.verdict is Verdict.FAULT
    assert "Run `aws cloudformation delete-stack" in str(found)


def test_a_second_region_needs_another_name(examined: Examined) -> None:
    """IAM names are unique in an account, so a stack of the same name cannot be created."""
    with rolled_back(examined, {"Policy": {"PolicyName": "hpoq-training-jobs"}}):
        (found,) = dispatcher.stack(examined)
    assert found.verdict is Verdict.FAULT
    assert "a deployment in another Region has its IAM names. Delete the stack. " in str(found)
    assert "`npx cdk deploy -c name=hpoq-eu`" in str(found)


class EmptyLedger:
    """A client of a deployment without a completed cycle, with or without settings."""

    def __init__(self, settings: SettingsDocument | None = None) -> None:
        self._settings = settings

    @property
    def settings(self) -> SettingsDocument:
        if self._settings is None:
            raise NotDeployed("the dispatcher of 'hpoq' has not run yet.")
        return self._settings

    def capacity(self) -> None:
        return None


def test_before_the_first_cycle_one_line_says_that_this_is_normal(examined: Examined) -> None:
    vars(examined)["reader"] = EmptyLedger()
    checks = {"cycles": dispatcher.cycles, "queues": storage.queues, "role": training.role}
    (found,) = examine(examined, checks)
    assert found.verdict is Verdict.FAULT
    assert "normal for ten minutes after a deployment. Wait, or run it: `aws lambda" in str(found)


def test_cycles_that_fail_from_the_first_one_on_are_another_fault(examined: Examined) -> None:
    deployment = parse_deployment({"teams": {"fraud": {}}})
    vars(examined)["reader"] = EmptyLedger(SettingsDocument.of(ENVIRONMENT, deployment, {}))
    (found,) = dispatcher.cycles(examined)
    assert found.check not in NECESSARY
    assert "no dispatch cycle has completed yet. Read its log: " in str(found)


def test_a_permission_that_the_dispatchers_role_lost_is_a_fault(examined: Examined) -> None:
    deployment = parse_deployment({"teams": {"fraud": {}}})
    vars(examined)["settings"] = SettingsDocument.of(ENVIRONMENT, deployment, {})
    role = {"Role": "arn:aws-us-gov:iam::123456789012:role/hpoq-Dispatcher"}
    decisions = [
        {"EvaluationResults": [{"EvalActionName": "any", "EvalDecision": decision}]}
        for decision in ("allowed", "implicitDeny", "explicitDeny", "allowed")
    ]
    with (
        stubbed(examined.client("lambda"), ("get_function_configuration", role)),
        stubbed(
            examined.client("iam"), *(("simulate_principal_policy", each) for each in decisions)
        ),
    ):
        found, passing = dispatcher.permissions(examined)
    assert found.verdict is passing.verdict is Verdict.FAULT
    queue = "arn:aws-us-gov:sqs:eu-west-1:123456789012:hpoq-fraud-requests"
    assert f"may not call sqs:ReceiveMessage on {queue}. Restore it" in str(found)
    assert "may not call iam:PassRole on " in str(passing)
