"""One queue over several accounts and Regions, with IAM and sts:AssumeRole enforced."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.names import tuning_job_name
from hpoq.client import Client
from hpoq.local.cloud import Cloud
from hpoq.local.lifecycle.processes import wait_until
from tests.support.deployed_stack import Deployed
from tests.support.iam_users import user_with
from tests.support.three_targets import (
    HOME,
    RANGES,
    RESEARCH,
    TARGETS,
    deploy_three,
    on,
    places,
)

pytestmark = pytest.mark.ci  # it deploys into three places

NAME = "spread"
PATIENCE = 120
TEAMS = {"fraud": {"targets": [*TARGETS]}, "vision": {}}


@pytest.fixture(scope="module")
def spread(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """Deploy with three targets."""
    folder = tmp_path_factory.mktemp("spread")
    deployed = deploy_three(cloud, NAME, folder, tuning_jobs=5, teams=TEAMS)
    cycle(deployed)
    return deployed


def cycle(deployed: Deployed) -> dict[str, Any]:
    """Run a dispatch cycle in the deployed function; return its summary, or its error."""
    answer = deployed.client("lambda").invoke(
        FunctionName=deployed.outputs["DispatcherFunctionName"]
    )
    found: dict[str, Any] = json.loads(answer["Payload"].read())
    return found


def hpoq(deployed: Deployed, *arguments: str, folder: Path | None = None) -> str:
    """Run a command of the deployment as the user of a shell does; return its output."""
    command = [sys.executable, "-m", "hpoq.cli", *arguments, "--deployment", NAME]
    environ = deployed.cloud.environ() | {"COLUMNS": "160"}
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def submitted(client: Client, *targets: str, **more: Any) -> list[str]:
    """Send one request for each target; return their ids."""
    ids = [f"{target}-{time.time_ns()}" for target in targets]
    messages = [
        {"request_id": name, "targets": [target], "hyperparameter_ranges": RANGES, **more}
        for name, target in zip(ids, targets, strict=True)
    ]
    client.submit("fraud", messages)
    return ids


def ended(client: Client, ids: list[str]) -> dict[str, Entry]:
    """Wait until all requests have ended, without running a cycle."""

    def all_ended() -> bool:
        found = client.get_all("fraud", ids)
        return len(found) == len(ids) and all(each.status.ended for each in found.values())

    assert wait_until(all_ended, PATIENCE, step=0.5), client.get_all("fraud", ids)
    return client.get_all("fraud", ids)


def tuning_jobs(cloud: Cloud) -> set[str]:
    """Return the names of all tuning jobs that an account and Region lists."""
    client: Any = cloud.session().client("sagemaker")
    return {
        job["HyperParameterTuningJobName"]
        for page in client.get_paginator("list_hyper_parameter_tuning_jobs").paginate()
        for job in page["HyperParameterTuningJobSummaries"]
    }


def test_requests_train_where_they_may_and_events_from_there_end_them(spread: Deployed) -> None:
    client = Client(NAME, spread.session)

    ids = submitted(client, *TARGETS)
    entries = ended(client, ids)

    assert {entries[name].status for name in ids} == {Status.COMPLETED}
    assert [entries[name].target for name in ids] == [*TARGETS]
    for name, target in zip(ids, TARGETS, strict=True):
        job = tuning_job_name("fraud", name)
        where = [each for each in TARGETS if job in tuning_jobs(on(spread.cloud, each))]
        assert where == [target]
        sagemaker: Any = on(spread.cloud, target).session().client("sagemaker")
        found = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=job)
        place = places(spread.cloud)[target]
        assert found["HyperParameterTuningJobArn"].split(":")[3:5] == [
            place["region"],
            place["account"],
        ]
        assert found["TrainingJobDefinition"]["RoleArn"].split(":")[4] == place["account"]
        assert found["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] < 0


def test_a_request_of_all_targets_is_created_on_one(spread: Deployed) -> None:
    client = Client(NAME, spread.session)
    (name,) = submitted(client, HOME, targets=[*TARGETS])

    entry = ended(client, [name])[name]

    job = tuning_job_name("fraud", name)
    where = [each for each in TARGETS if job in tuning_jobs(on(spread.cloud, each))]
    assert where == [entry.target]


def test_results_of_another_account_are_read_with_the_profile_of_the_target(
    spread: Deployed,
) -> None:
    client = Client(NAME, spread.session)
    (name,) = submitted(client, RESEARCH)
    ended(client, [name])

    header, row, *_ = hpoq(spread, "results", name, "--team", "fraud").splitlines()

    assert "Completed" in row, header
    assert "lr" in header


def test_only_the_dispatcher_may_assume_the_access_role(spread: Deployed) -> None:
    """Others of home's account may not, even if their policies allow it and they know the id."""
    place = places(spread.cloud)
    arn = f"arn:aws:iam::{place[RESEARCH]['account']}:role/{NAME}-{RESEARCH}-access"
    allow = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}],
    }
    other = user_with(spread.session, spread.cloud, f"other-{time.time_ns()}", allow)
    external_id = f"hpoq/{place[HOME]['account']}/{NAME}/{RESEARCH}"

    with pytest.raises(ClientError, match="not authorized to perform: sts:AssumeRole"):
        other.client("sts").assume_role(
            RoleArn=arn, RoleSessionName="other", ExternalId=external_id
        )


@contextmanager
def revoked(cloud: Cloud, target: str) -> Iterator[None]:
    """Deny everything to the access role of a target, its present sessions included.

    So does "Revoke active sessions" of the IAM console, with the policy of this name.
    """
    iam: Any = on(cloud, target).session().client("iam")
    role, policy = f"{NAME}-{target}-access", "AWSRevokeOlderSessions"
    nothing = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [nothing]}
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))
    try:
        yield
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName=policy)


def test_a_target_whose_role_is_revoked_delays_only_what_must_run_there(spread: Deployed) -> None:
    client = Client(NAME, spread.session)
    with revoked(spread.cloud, RESEARCH):
        ids = submitted(client, *TARGETS)
        here = [name for name in ids if not name.startswith(RESEARCH)]

        assert {each.status for each in ended(client, here).values()} == {Status.COMPLETED}
        why = hpoq(spread, "why", ids[1], "--team", "fraud")
        said = hpoq(spread, "doctor")

        assert client.get("fraud", ids[1]).status is Status.QUEUED
        assert "research" in why
        assert "target research" in said
        assert "explicit deny" in said
    cycle(spread)

    assert ended(client, ids)[ids[1]].status is Status.COMPLETED


def test_a_request_waits_for_its_data_on_a_target_and_reads_the_copy(spread: Deployed) -> None:
    """The test writes the replica, in place of S3; IAM decides on the comparison."""
    client = Client(NAME, spread.session)
    key = f"shared/{time.time_ns()}/train.csv"
    home, place = spread.outputs["ArtifactBucketName"], places(spread.cloud)[RESEARCH]
    spread.client("s3").put_object(Bucket=home, Key=key, Body=b"a,b")
    folder = key.rpartition("/")[0]
    data = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{home}/{folder}/"}}
    channels = [{"ChannelName": "train", "DataSource": data}]
    overrides = {"TrainingJobDefinition": {"InputDataConfig": channels}}
    (early,) = submitted(client, RESEARCH, overrides=overrides)

    def reason() -> str:
        found = client.get_all("fraud", [early]).get(early)
        return found.reason if found else ""

    assert wait_until(lambda: "waits for its data" in reason(), PATIENCE, step=0.5), reason()
    assert f"s3://{home}/{key} differs or is missing there" in reason()
    client.act("fraud", "cancel", request_id=early)

    bucket = f"{NAME}-{RESEARCH}-{place['account']}-{place['region']}"
    there: Any = on(spread.cloud, RESEARCH).session().client("s3")
    there.put_object(Bucket=bucket, Key=key, Body=b"a,b")
    (name,) = submitted(client, RESEARCH, overrides=overrides)

    assert ended(client, [name])[name].status is Status.COMPLETED
    sagemaker: Any = on(spread.cloud, RESEARCH).session().client("sagemaker")
    job = tuning_job_name("fraud", name)
    found = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=job)
    (channel,) = found["TrainingJobDefinition"]["InputDataConfig"]
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == f"s3://{bucket}/{folder}/"


def repaired(deployed: Deployed) -> str:
    """Repair the ledger between two cycles, which events start; return the output."""
    outputs: list[str] = []

    def no_cycle_was_running() -> bool:
        outputs.append(hpoq(deployed, "repair", "--apply"))
        return "a dispatcher is running" not in outputs[-1]

    assert wait_until(no_cycle_was_running, PATIENCE, step=0.5), outputs[-1]
    return outputs[-1]


def test_entries_that_a_backup_did_not_have_are_restored_with_their_targets(
    spread: Deployed,
) -> None:
    client = Client(NAME, spread.session)
    ids = submitted(client, *TARGETS)
    ended(client, ids)
    for name in ids:
        spread.client("dynamodb").delete_item(
            TableName=spread.outputs["LedgerTableName"],
            Key={"team": {"S": "fraud"}, "id": {"S": name}},
        )

    said = repaired(spread)

    restored = client.get_all("fraud", ids)
    assert [restored[name].target for name in ids] == [*TARGETS], said
    assert {each.status for each in restored.values()} == {Status.COMPLETED}
    assert "warning" not in said


CAMPAIGN = """
strategy: Random
objective: {metric: score, type: Maximize}
targets: [home, research, west]
hyperparameter_ranges:
  lr: {type: continuous, min: 0.0001, max: 0.1, scaling: Logarithmic}
"""


def test_a_campaign_runs_on_all_targets_and_merges_their_trials(
    spread: Deployed, tmp_path: Path
) -> None:
    (tmp_path / "request.yaml").write_text(CAMPAIGN)
    plan = ["campaign", "plan", "request.yaml", "--name", "wide", "--trials", "24"]
    plan += ["--minutes", "0.01", "--strategy", "independent", "--limit", "instances=12"]
    planned = hpoq(spread, *plan, "--team", "fraud", folder=tmp_path)
    run = ["campaign", "run", "wide.plan.json", "--team", "fraud", "--every", "0.5"]

    said = hpoq(spread, *run, folder=tmp_path)

    assert "24/24 trials" in said, planned + said
    results = ["campaign", "results", "wide.plan.json", "--team", "fraud", "--out", "wide.csv"]
    hpoq(spread, *results, folder=tmp_path)
    rows = list(csv.DictReader((tmp_path / "wide.csv").open()))
    assert len(rows) == 24
    assert {row["target"] for row in rows} == {*TARGETS}
    assert len({row["hp.lr"] for row in rows}) == 24
