"""The whole path from requests of two teams in SQS to tuned models in S3."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Entry, Status
from hpoq.client import Client
from hpoq.local.lifecycle.processes import wait_until
from tests.support import credit_data
from tests.support.deployed_stack import Deployed

PATIENCE = 240.0  # seconds for all three requests
TRIALS = 4


@pytest.fixture(scope="module")
def data(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Upload the credit-default data set to where the template reads it."""
    credit_data.upload(deployed, tmp_path_factory.mktemp("data"))


def request(request_id: str, strategy: str) -> dict[str, Any]:
    return credit_data.search(request_id, strategy, trials=TRIALS, epochs=2)


@pytest.mark.usefixtures("data")
@pytest.mark.timeout(PATIENCE + 60)
def test_three_requests_of_two_teams_become_trained_models(deployed: Deployed) -> None:
    client = Client("hpoq", session=deployed.session)
    client.submit("fraud", [request("fraud-a", "Bayesian"), request("fraud-b", "Random")])
    _send_plainly(deployed, request("vision-a", "Bayesian"))

    asked = {("fraud", "fraud-a"), ("fraud", "fraud-b"), ("vision", "vision-a")}
    ended: dict[tuple[str, str], Entry] = {}

    def all_ended() -> bool:
        for team, request_id in asked - ended.keys():
            entry = _entry(client, team, request_id)
            if entry is not None and entry.status.ended:
                ended[team, request_id] = entry
        return len(ended) == len(asked)

    assert wait_until(all_ended, PATIENCE, step=0.5), {
        key: entry.status for key, entry in ended.items()
    }
    assert [entry.status for entry in ended.values()] == [Status.COMPLETED] * 3, _why(ended)
    for entry in ended.values():
        assert entry.counters["Completed"] == TRIALS
        assert entry.best is not None
        assert entry.best.objective > (0.72 if credit_data.CSV.exists() else 0.5)
        assert set(entry.best.hyperparameters) >= {"lr", "batch-size"}
        _model_is_in_the_bucket(deployed, entry)


def _entry(client: Client, team: str, request_id: str) -> Entry | None:
    return next((e for e in client.entries(team) if e.request_id == request_id), None)


def _why(entries: dict[tuple[str, str], Entry]) -> dict[str, str]:
    return {entry.request_id: f"{entry.status}: {entry.reason}" for entry in entries.values()}


def _send_plainly(deployed: Deployed, body: dict[str, Any]) -> None:
    """Send a message as a team without hpoq's client does."""
    deployed.client("sqs").send_message(
        QueueUrl=deployed.queue("vision"), MessageBody=json.dumps(body)
    )
    event = {"Source": "hpoq", "DetailType": "Requests Submitted", "Detail": "{}"}
    answer = deployed.client("events").put_events(Entries=[event])
    assert answer["FailedEntryCount"] == 0


def _model_is_in_the_bucket(deployed: Deployed, entry: Entry) -> None:
    assert entry.best is not None
    job = deployed.client("sagemaker").describe_training_job(TrainingJobName=entry.best.name)
    bucket, _, key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").partition("/")
    assert bucket == deployed.outputs["ArtifactBucketName"]
    assert deployed.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"] > 0
