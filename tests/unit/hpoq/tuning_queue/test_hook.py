"""The hook decides which queue gets a tuning job, also if several share a session."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from boto3 import Session

from hpo_dispatcher.contract.errors import InvalidRequest
from hpoq.tuning_queue.hook import Capture, TuningJobHook
from hpoq.tuning_queue.workspace import Uploads, Workspace
from tests.support.dispatcher_account import REGION
from tests.support.tuning_requests import api_request

NAME = api_request()["HyperParameterTuningJobName"]


@dataclass
class Sent:
    """A request in the queue of a team."""

    team: str
    api_request: dict[str, Any]
    region: str = REGION
    role: str = "arn:aws-cn:iam::444455556666:role/hpoq-fraud-training"
    tuning_job_name: str = ""
    status: str = "Queued"
    reason: str = ""

    def cancel(self) -> None:
        self.status = "Cancelled"


@dataclass
class Queue:
    """A queue that keeps what it is sent."""

    team: str
    sent: list[Sent] = field(default_factory=list)

    def capture(self) -> Capture:
        uploads = Uploads(Workspace(bucket="artifacts", prefix=f"teams/{self.team}/"))
        return Capture(owner=f"the queue of {self.team}", send=self._send, uploads=uploads)

    def _send(self, request: dict[str, Any], _: Uploads) -> Sent:
        self.sent.append(Sent(self.team, request))
        return self.sent[-1]


@pytest.fixture
def own() -> Session:
    return Session("testing", "testing", region_name=REGION)


def create(client: Any, **fields: Any) -> None:
    client.create_hyper_parameter_tuning_job(**api_request() | fields)


def test_tuning_jobs_of_a_session_go_to_its_queue_from_now_on(own: Session) -> None:
    hook, fraud = TuningJobHook(), Queue("fraud")
    hook.install_lasting(own.events, fraud.capture())
    client = own.client("sagemaker")
    create(client)
    create(client, HyperParameterTuningJobName="second")
    names = [each.api_request["HyperParameterTuningJobName"] for each in fraud.sent]
    assert names == [NAME, "second"]
    described = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="second")
    assert described["HyperParameterTuningJobStatus"] == "InProgress"
    assert hook.has_sent("fraud", NAME)
    assert not hook.has_sent("vision", NAME)


def test_the_answer_names_the_account_of_the_deployment_whatever_role_was_given(
    own: Session,
) -> None:
    hook, fraud = TuningJobHook(), Queue("fraud")
    hook.install_lasting(own.events, fraud.capture())
    definition = api_request()["TrainingJobDefinition"] | {"RoleArn": "SageMakerRole-of-mine"}
    created = own.client("sagemaker").create_hyper_parameter_tuning_job(
        **api_request() | {"TrainingJobDefinition": definition}
    )
    assert created["HyperParameterTuningJobArn"] == (
        f"arn:aws-cn:sagemaker:{REGION}:444455556666:hyper-parameter-tuning-job/{NAME}"
    )


def test_a_capture_has_precedence_over_the_queue_of_the_session(own: Session) -> None:
    hook, fraud, vision = TuningJobHook(), Queue("fraud"), Queue("vision")
    hook.install_lasting(own.events, fraud.capture())
    client, inner = own.client("sagemaker"), vision.capture()
    hook.begin(inner)
    create(client)
    hook.end(inner)
    create(client, HyperParameterTuningJobName="second")
    assert (len(vision.sent), len(fraud.sent)) == (1, 1)


def test_a_session_belongs_to_one_queue(own: Session) -> None:
    hook, fraud = TuningJobHook(), Queue("fraud")
    hook.install_lasting(own.events, fraud.capture())
    hook.install_lasting(own.events, Queue("fraud").capture())  # the same one again
    with pytest.raises(InvalidRequest, match="go to the queue of fraud already"):
        hook.install_lasting(own.events, Queue("vision").capture())
    create(own.client("sagemaker"))
    assert len(fraud.sent) == 1


def test_a_name_that_is_used_again_is_sent_again_under_this_name(own: Session) -> None:
    """The queue then says that it is taken, or that it is the same request."""
    hook, fraud = TuningJobHook(), Queue("fraud")
    hook.install_lasting(own.events, fraud.capture())
    client = own.client("sagemaker")
    create(client)
    fraud.sent[0].tuning_job_name = "fraud-the-real-one"
    create(client)
    names = [each.api_request["HyperParameterTuningJobName"] for each in fraud.sent]
    assert names == [NAME, NAME]
