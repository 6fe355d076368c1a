"""Each team has a workspace, and neither its users nor its training code reach another team."""

from __future__ import annotations

import io
import json
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from hpo_dispatcher.contract import names
from hpo_dispatcher.contract.aws_limits import TRAINING_LOG_GROUP
from hpoq.client import Client
from hpoq.local.lifecycle.processes import wait_until
from hpoq.local.session import CloudSession
from tests.support import workspace_attempts
from tests.support.deployed_stack import Deployed
from tests.support.iam_users import DENIED, user_with

PATIENCE = 180
# S3 answers a HEAD request without a body, so its error is the status.
REFUSED = (*DENIED, "403")


class TeamUser:
    """A user with exactly the managed policy of a team, who works as the team does."""

    def __init__(self, deployed: Deployed, team: str) -> None:
        self.team, self.deployed = team, deployed
        iam: Any = deployed.client("iam")
        name = f"{team}-{time.time_ns()}"
        self.session: CloudSession = user_with(deployed.session, deployed.cloud, name)
        arn = f"arn:aws:iam::{deployed.cloud.running.account}:policy/hpoq-{team}-team"
        iam.attach_user_policy(UserName=name, PolicyArn=arn)
        self.bucket = deployed.outputs["ArtifactBucketName"]
        self.workspace = names.workspace_prefix(team)

    def upload(self, key: str, content: bytes) -> str:
        """Upload an object to the workspace, and return its URI."""
        s3 = self.session.client("s3")
        s3.put_object(Bucket=self.bucket, Key=f"{self.workspace}{key}", Body=content)
        return f"s3://{self.bucket}/{self.workspace}{key}"

    def run(self, source: str, data: str) -> dict[str, Any]:
        """Run one training job of a script through the queue; return the tuning job."""
        request_id = f"own-{time.time_ns()}"
        channel = {
            "ChannelName": "train",
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": data,
                    "S3DataDistributionType": "FullyReplicated",
                }
            },
        }
        program = {"sagemaker_program": "attempts.py", "sagemaker_submit_directory": source}
        definition = {"InputDataConfig": [channel], "StaticHyperParameters": program}
        client = Client("hpoq", self.session)
        client.submit(
            self.team,
            [
                {
                    "request_id": request_id,
                    "template": "smoke",
                    "hyperparameter_ranges": {
                        "lr": {"type": "continuous", "min": 0.001, "max": 0.1}
                    },
                    "resource_limits": {"max_training_jobs": 1, "max_parallel_training_jobs": 1},
                    "overrides": {"TrainingJobDefinition": definition},
                }
            ],
        )

        def ended() -> bool:
            entry = client.get_all(self.team, [request_id]).get(request_id)
            return entry is not None and entry.status.ended

        assert wait_until(ended, PATIENCE, step=1), client.get_all(self.team, [request_id])
        name = names.tuning_job_name(self.team, request_id)
        sagemaker = self.session.client("sagemaker")
        job: dict[str, Any] = sagemaker.describe_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name
        )
        return job | {"request_id": request_id}

    def training_job(self, tuning_job: dict[str, Any]) -> dict[str, Any]:
        """Return the training job of a tuning job that has one."""
        sagemaker: Any = self.session.client("sagemaker")
        name = tuning_job["HyperParameterTuningJobName"]
        (listed,) = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name
        )["TrainingJobSummaries"]
        found: dict[str, Any] = sagemaker.describe_training_job(
            TrainingJobName=listed["TrainingJobName"]
        )
        return found

    def stream(self, training_job: dict[str, Any]) -> str:
        """Return the name of a training job's log stream."""
        logs: Any = self.session.client("logs")
        (stream,) = logs.describe_log_streams(
            logGroupName=TRAINING_LOG_GROUP, logStreamNamePrefix=training_job["TrainingJobName"]
        )["logStreams"]
        return str(stream["logStreamName"])

    def log(self, training_job: dict[str, Any]) -> list[str]:
        """Return the lines that a training job printed."""
        logs: Any = self.session.client("logs")
        events = logs.get_log_events(
            logGroupName=TRAINING_LOG_GROUP,
            logStreamName=self.stream(training_job),
            startFromHead=True,
        )["events"]
        return [each["message"] for each in events]


def archive(script: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        member = tarfile.TarInfo("attempts.py")
        member.size = len(script.encode())
        packed.addfile(member, io.BytesIO(script.encode()))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def running(deployed: Deployed) -> Deployed:
    """A deployment that has published its settings."""
    function = deployed.outputs["DispatcherFunctionName"]
    deployed.client("lambda").invoke(FunctionName=function, Payload=b"{}")
    assert wait_until(lambda: bool(Client("hpoq", deployed.session).capacity()), 60)
    return deployed


@pytest.fixture(scope="module")
def vision(running: Deployed) -> dict[str, Any]:
    """What belongs to team vision: files, a finished request, its model and its log."""
    user = TeamUser(running, "vision")
    script = "print('secret of vision')\nprint('validation:auc=0.5')\n"
    source = user.upload("code/sourcedir.tar.gz", archive(script))
    data = user.upload("data/rows.csv", b"secret").removesuffix("rows.csv")
    old = "output/vision/old/output/model.tar.gz"  # of an earlier version of hpoq
    running.client("s3").put_object(Bucket=user.bucket, Key=old, Body=b"old model")
    tuning_job = user.run(source, data)
    assert tuning_job["HyperParameterTuningJobStatus"] == "Completed"
    training_job = user.training_job(tuning_job)
    assert "secret of vision" in user.log(training_job)
    model = training_job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{user.bucket}/")
    assert model.startswith("teams/vision/output/")
    for key in (model, old):
        assert user.session.client("s3").get_object(Bucket=user.bucket, Key=key)["Body"].read()
    return {
        "bucket": user.bucket,
        "team": "vision",
        "own": "fraud",
        "keys": [f"{user.workspace}data/rows.csv", f"{user.workspace}code/sourcedir.tar.gz",
                 model, old, "teams/fraud/../vision/data/rows.csv"],
        "requests": running.queue("vision"),
        "dead_letters": running.dead_letters("vision"),
        "table": running.outputs["LedgerTableName"],
        "request": tuning_job["request_id"],
        "tuning_job": tuning_job["HyperParameterTuningJobName"],
        "tuning_job_arn": tuning_job["HyperParameterTuningJobArn"],
        "training_job": training_job["TrainingJobName"],
        "role": training_job["RoleArn"],
        "stream": user.stream(training_job),
    }  # fmt: skip


# In another team's folder by its name alone: a key of S3 has no parent folders.
OWN_BY_NAME = "teams/fraud/../vision/data/rows.csv"


def not_refused(found: dict[str, str]) -> dict[str, str]:
    """Return the attempts that were not denied, but those at a key that is the team's own."""
    return {
        name: code
        for name, code in found.items()
        if code not in REFUSED and not name.endswith(OWN_BY_NAME)
    }


def unchanged(deployed: Deployed, vision: dict[str, Any]) -> bool:
    """Return whether the data of team vision is as the team wrote it."""
    where = {"Bucket": vision["bucket"], "Key": "teams/vision/data/rows.csv"}
    return bool(deployed.client("s3").get_object(**where)["Body"].read() == b"secret")


def test_a_teams_user_reaches_nothing_of_another_team(
    running: Deployed, vision: dict[str, Any]
) -> None:
    found = workspace_attempts.outcomes(vision, TeamUser(running, "fraud").session.client)
    for name, code in found.items():
        workspace_attempts.say(f"user of fraud: {name} -> {code}")
    assert len(found) >= 40
    assert not_refused(found) == {}
    assert unchanged(running, vision)


def test_a_teams_training_code_reaches_nothing_of_another_team(
    running: Deployed, vision: dict[str, Any]
) -> None:
    user = TeamUser(running, "fraud")
    source = user.upload(
        "code/sourcedir.tar.gz", archive(Path(workspace_attempts.__file__).read_text())
    )
    data = user.upload("data/attempts.json", json.dumps(vision).encode())
    tuning_job = user.run(source, data.removesuffix("attempts.json"))
    training_job = user.training_job(tuning_job)
    assert training_job["RoleArn"].endswith("role/hpoq-fraud-training")
    lines = user.log(training_job)
    workspace_attempts.say("\n".join(lines))
    assert training_job["TrainingJobStatus"] == "Completed"
    assert any("assumed-role/hpoq-fraud-training/SageMaker" in line for line in lines)
    assert "own object: mine" in lines
    found = dict(
        line.removeprefix("attempt: ").split(" -> ")
        for line in lines
        if line.startswith("attempt: ")
    )
    assert set(found) == set(workspace_attempts.all_attempts(vision))
    assert not_refused(found) == {}
    assert unchanged(running, vision)


def test_sagemaker_copies_only_what_the_teams_role_may_use(
    running: Deployed, vision: dict[str, Any]
) -> None:
    """Start training jobs as fraud's role without the queue, so that no intake rejects them."""
    user = TeamUser(running, "fraud")
    own = f"s3://{user.bucket}/teams/fraud"
    theirs = f"s3://{user.bucket}/teams/vision"
    code = user.upload("code/sourcedir.tar.gz", archive("print('ran')\n"))
    data = user.upload("data/rows.csv", b"1").removesuffix("rows.csv")
    sagemaker: Any = running.client("sagemaker")

    def ending(name: str, source: str, output: str, checkpoints: str | None = None) -> str:
        name = f"fraud-{name}-{time.time_ns()}"
        channel = {"S3DataType": "S3Prefix", "S3Uri": data}
        more = {"CheckpointConfig": {"S3Uri": checkpoints}} if checkpoints else {}
        sagemaker.create_training_job(
            TrainingJobName=name,
            RoleArn=running.outputs["TrainingRoleArnFraud"],
            AlgorithmSpecification={"TrainingImage": "image", "TrainingInputMode": "File"},
            HyperParameters={
                "sagemaker_program": "attempts.py",
                "sagemaker_submit_directory": source,
            },
            InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": channel}}],
            OutputDataConfig={"S3OutputPath": output},
            ResourceConfig={
                "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1,
            },
            StoppingCondition={"MaxRuntimeInSeconds": 60},
            **more,
        )  # fmt: skip
        described: dict[str, Any] = {}

        def ended() -> bool:
            described.update(sagemaker.describe_training_job(TrainingJobName=name))
            return described["TrainingJobStatus"] in ("Completed", "Failed")

        assert wait_until(ended, PATIENCE, step=0.5)
        return str(described.get("FailureReason", described["TrainingJobStatus"]))

    assert ending("own", code, f"{own}/output/") == "Completed"
    denied = {
        "code": ending("code", f"{theirs}/code/sourcedir.tar.gz", f"{own}/output/"),
        "output": ending("output", code, f"{theirs}/output/"),
        "checkpoints": ending("points", code, f"{own}/output/", f"{theirs}/checkpoints/"),
    }
    workspace_attempts.say(str(denied))
    refused = [name for name, reason in denied.items() if "not authorized to perform" in reason]
    assert refused == ["code", "output", "checkpoints"]


def test_a_request_that_names_another_teams_folder_is_rejected_at_intake(
    running: Deployed,
) -> None:
    user = TeamUser(running, "fraud")
    place = f"s3://{user.bucket}/teams/vision/output/"
    request_id = f"theirs-{time.time_ns()}"
    message = {
        "request_id": request_id,
        "template": "smoke",
        "hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}},
        "overrides": {"TrainingJobDefinition": {"OutputDataConfig": {"S3OutputPath": place}}},
    }
    client = Client("hpoq", user.session)
    client.submit("fraud", [message])

    def rejected() -> bool:
        return request_id in client.get_all("fraud", [request_id])

    assert wait_until(rejected, PATIENCE, step=1)
    entry = client.get("fraud", request_id)
    assert entry.status == "Rejected"
    assert f"{place} is not a location to which the team's training jobs may write" in entry.reason
