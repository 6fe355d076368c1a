"""Data in the embedded cloud: with the documented permissions, and without them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hpo_dispatcher.contract import names
from hpoq.client import Client
from hpoq.data.channels import S3Channel, template_channels
from hpoq.data.presence import Lookout, Presence
from hpoq.local.lifecycle.processes import wait_until
from hpoq.local.session import CloudSession
from tests.support.aws_command import path_with_aws
from tests.support.deployed_stack import ROOT, Deployed
from tests.support.iam_users import user_with

REQUEST = {"hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}}}


@pytest.fixture(scope="module")
def running(deployed: Deployed) -> Deployed:
    """A deployment that has published its settings."""
    function = deployed.outputs["DispatcherFunctionName"]
    deployed.client("lambda").invoke(FunctionName=function, Payload=b"{}")
    client = Client("hpoq", deployed.session)
    assert wait_until(lambda: bool(client.capacity()), 60), "no cycle"
    return deployed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("credit")
    for part in ("train", "validation", "test"):
        (made / part).mkdir()
        # Not an .npz file: the training scripts of other tests ignore it.
        (made / part / "pushed.txt").write_text(f"{part} {time.time_ns()}")
    return made


@pytest.fixture
def data_user(running: Deployed) -> CloudSession:
    policy = json.loads((ROOT / "docs" / "data-policy.json").read_text())
    return user_with(running.session, running.cloud, f"data-{time.time_ns()}", policy)


@pytest.fixture
def team_user(running: Deployed) -> CloudSession:
    iam: Any = running.client("iam")
    name = f"team-{time.time_ns()}"
    session = user_with(running.session, running.cloud, name)
    arn = f"arn:aws:iam::{running.cloud.running.account}:policy/hpoq-fraud-team"
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    return session


def run(
    deployed: Deployed, session: CloudSession, command: list[str], folder: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    key = session.get_credentials()
    assert key is not None
    environment = deployed.cloud.environ() | {
        "AWS_ACCESS_KEY_ID": key.access_key,
        "AWS_SECRET_ACCESS_KEY": key.secret_key,
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "PATH": path_with_aws(os.environ["PATH"]),
    }
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def hpoq(
    deployed: Deployed, session: CloudSession, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return run(deployed, session, [sys.executable, "-m", "hpoq.cli", *arguments])


def test_the_documented_permissions_are_enough(
    running: Deployed, data_user: CloudSession, folder: Path
) -> None:
    first = hpoq(running, data_user, "data", "push", str(folder))
    assert first.returncode == 0, first.stderr
    bucket = running.outputs["ArtifactBucketName"]
    parts = ("train", "validation", "test")
    home = f"s3://{bucket}/{names.EXAMPLE_DATA}"
    assert first.stdout.split() == [f"{home}{part}/" for part in parts]
    again = hpoq(running, data_user, "data", "push", str(folder))
    assert [f"{part}: 0 files sent (0.0 MB), 1 unchanged" in again.stderr for part in parts] == [
        True, True, True,
    ]  # fmt: skip


def test_they_are_enough_for_the_documented_aws_command(
    running: Deployed, data_user: CloudSession, folder: Path, tmp_path: Path
) -> None:
    """The command as docs/first-deployment.md writes it, in a folder with the data."""
    text = (ROOT / "docs" / "first-deployment.md").read_text()
    (command,) = re.findall(r"^aws s3 cp .*$", text, re.MULTILINE)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "credit-default").symlink_to(folder)
    ended = run(running, data_user, ["bash", "-euo", "pipefail", "-c", command], tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("upload: ") == 3


def test_a_team_may_not_push_and_one_line_says_who_does(
    running: Deployed, team_user: CloudSession, folder: Path
) -> None:
    (folder / "train" / "pushed.txt").write_text("changed")
    ended = hpoq(running, team_user, "data", "push", str(folder))
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("hpoq: not permitted: ")
    assert line.endswith("docs/first-deployment.md#data lists the permissions")


def test_a_team_sees_that_the_example_data_is_missing_and_nothing_else(
    running: Deployed, team_user: CloudSession
) -> None:
    s3, settings = team_user.client("s3"), Client("hpoq", running.session).settings
    bucket = settings.artifact_bucket
    lookout = Lookout(s3)
    found = {each.name: lookout.look(each) for each in template_channels(settings, "fraud")}
    assert Presence.UNKNOWN not in found.values()
    nowhere = S3Channel(name="a", uri=f"s3://{bucket}/{names.EXAMPLE_DATA}nowhere/")
    assert lookout.look(nowhere) is Presence.EMPTY
    for prefix in ("output/vision/", "data/vision/", ""):
        place = S3Channel(name="a", uri=f"s3://{bucket}/{prefix}")
        assert lookout.look(place) is Presence.UNKNOWN


def test_a_team_that_may_not_look_sends_its_request_and_is_told_once(
    running: Deployed, team_user: CloudSession, tmp_path: Path
) -> None:
    bucket = running.outputs["ArtifactBucketName"]
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/data/vision/"}
    definition = {"InputDataConfig": [{"ChannelName": "a", "DataSource": {"S3DataSource": source}}]}
    request = REQUEST | {"overrides": {"TrainingJobDefinition": definition}}
    file = tmp_path / "request.json"
    file.write_text(json.dumps([request, request]))
    ended = hpoq(running, team_user, "submit", "--team", "fraud", "--dry-run", str(file))
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("cannot check that the channels have data: s3://") == 1
