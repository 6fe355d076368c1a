"""Two deployments in one account, each with a team of the same name, ignore each other.

The events are those that hpoq publishes; moto matches them against the rules' patterns.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from boto3 import Session
from moto import mock_aws
from moto.events.models import EventPattern

from hpo_dispatcher.aws.eventbridge import EventBridge
from hpo_dispatcher.aws.sagemaker import SageMakerTuning
from hpo_dispatcher.contract.documents.events import StateChange, Submitted
from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.ports import AlreadyOurs, Creation, NameTaken
from hpoq.client import Client
from tests.support.api_calls import api_calls
from tests.support.dispatcher_account import RANGES, Account, account, session
from tests.support.synthesized_stack import synthesize

__all__ = ["account", "session"]

DEPLOYMENTS = ("hpoq", "hpoq-2")
CHANGE = StateChange(
    team="fraud", request_id="r", status=Status.QUEUED, previous_status=None,
    at=datetime(2026, 11, 23, tzinfo=UTC),
)  # fmt: skip


def resources(deployment: str, kind: str) -> dict[str, Any]:
    template = synthesize(name=deployment, teams={"fraud": {"notify": True}})
    return template.find_resources(kind)


def matching(entry: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the rules of both deployments that an event matches."""
    event: Any = {
        "source": entry["Source"],
        "detail-type": entry["DetailType"],
        "detail": json.loads(entry["Detail"]),
    }
    return {
        (deployment, next(part for part in ("Notices", "Submitted", "Ended") if part in name))
        for deployment in DEPLOYMENTS
        for name, rule in resources(deployment, "AWS::Events::Rule").items()
        if (pattern := rule["Properties"].get("EventPattern"))
        and EventPattern.load(json.dumps(pattern)).matches_event(event)
    }


def published_by(deployment: str, session: Session) -> dict[str, Any]:
    """Return the event that a deployment's dispatcher publishes for a state change."""
    with mock_aws(), api_calls(session) as calls:
        log = logging.getLogger(__name__)
        EventBridge(session.client("events"), "default", deployment, log).publish([CHANGE])
    ((_, parameters),) = calls.requested
    return dict(parameters["Entries"][0])


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_a_state_change_reaches_the_team_of_its_own_deployment_only(
    deployment: str, session: Session
) -> None:
    entry = published_by(deployment, session)
    assert json.loads(entry["Detail"])["deployment"] == deployment
    assert matching(entry) == {(deployment, "Notices")}


def test_a_clients_event_invokes_the_dispatcher_of_its_own_deployment_only(
    account: Account,
) -> None:
    with api_calls(account.session) as calls:
        Client("hpoq", account.session).submit("fraud", [{"hyperparameter_ranges": RANGES}])
    (sent,) = [parameters for name, parameters in calls.requested if name == "PutEvents"]
    (entry,) = sent["Entries"]
    assert json.loads(entry["Detail"]) == {"deployment": "hpoq", "team": "fraud", "count": 1}
    assert matching(entry) == {("hpoq", "Submitted")}
    other = Submitted(deployment="hpoq-2", team="fraud", count=1).to_json()
    assert matching(entry | {"Detail": other}) == {("hpoq-2", "Submitted")}


@pytest.mark.parametrize("detail", [{}, {"team": "fraud", "count": 1}])
def test_an_event_of_an_earlier_client_invokes_every_dispatcher(detail: dict[str, Any]) -> None:
    """``exists`` may be one of several alternatives.

    "Create Amazon EventBridge event patterns" says that the values of a list are alternatives,
    "Exists matching" that a filter matches leaf nodes. widdix/terraform-aws-marbot combines the
    same two forms in rules that run on AWS.
    """
    entry = {
        "Source": "hpoq",
        "DetailType": "Requests Submitted",
        "Detail": json.dumps(detail),
    }
    assert matching(entry) == {(deployment, "Submitted") for deployment in DEPLOYMENTS}


def test_alarms_count_their_own_deployment_only() -> None:
    for deployment in DEPLOYMENTS:
        alarms = resources(deployment, "AWS::CloudWatch::Alarm").values()
        shared = [
            alarm["Properties"]["AlarmName"]
            for alarm in alarms
            if not any(
                isinstance(each["Value"], dict)  # a resource of the stack
                or each["Value"] == f"{deployment}-dispatcher"
                for each in alarm["Properties"]["Dimensions"]
            )
        ]
        assert alarms
        assert shared == []


def test_the_dashboard_shows_its_own_deployment_only() -> None:
    for deployment in DEPLOYMENTS:
        (dashboard,) = resources(deployment, "AWS::CloudWatch::Dashboard").values()
        body = json.dumps(dashboard["Properties"]["DashboardBody"])
        other = next(each for each in DEPLOYMENTS if each != deployment)
        assert f"{deployment}-dispatcher" in body
        assert f"{other}-dispatcher" not in body


def test_a_tuning_job_of_the_other_deployments_request_is_not_taken_for_its_own(
    account: Account,
) -> None:
    account.request("fraud", "same")
    account.cycle()
    with api_calls(account.session) as calls:
        account.request("fraud", "other")
        account.cycle()
    (request,) = [each for name, each in calls.requested if name == "CreateHyperParameterTuningJob"]
    (name,) = [each for each in account.tuning_jobs() if "same" in each]
    tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]} | {"hpoq:request-id": "same"}

    def create(deployment: str) -> Creation:
        wanted = tags | {"hpoq:deployment": deployment}
        tuning = SageMakerTuning(account.sagemaker, Redactor.of(()))
        return tuning.create(
            dict(request)
            | {
                "HyperParameterTuningJobName": name,
                "Tags": [{"Key": key, "Value": value} for key, value in wanted.items()],
            }
        )

    assert create("hpoq") == AlreadyOurs()
    assert create("hpoq-2") == NameTaken("request same of deployment hpoq")
