"""How `hpoq local deploy` calls cdk, and how it reports failures."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from boto3 import Session
from botocore.exceptions import ClientError

from hpoq.local import cloud as clouds
from hpoq.local.cloud import Cloud, exports
from hpoq.local.errors import DeploymentFailed, LocalCloudError
from hpoq.local.lifecycle import deployment, interpreters
from hpoq.local.lifecycle.home import Home
from hpoq.local.session import CloudSession
from tests.support.running_cloud import RUNNING

CDK = """#!/bin/sh
echo "$@" >> {folder}/commands
env > {folder}/environment
echo "$AWS_ACCESS_KEY_ID $AWS_REGION $1" >> {folder}/places
if [ "$1" = synth ]; then cp {folder}/../manifest.json "$4"; fi
while [ $# -gt 0 ]; do
  if [ "$1" = --outputs-file ]; then echo '{{"hpoq": {{"Table": "hpoq-ledger"}}}}' > "$2"; fi
  if [ "$1" = bad=1 ]; then echo "hpoq: deploying"; echo "bad: is not a setting"; exit 1; fi
  if [ "$1" = gaurdrails=1 ]; then
    echo "hpoq: note: Node.js 20 has reached its end of life"
    echo "hpoq: gaurdrails: unknown setting. Did you mean guardrails?"
    echo "python3 app.py: Subprocess exited with error 1"
    exit 1
  fi
  shift
done
"""


class Ssm:
    """SSM that knows the version of the bootstrap stack once the cloud is bootstrapped."""

    def __init__(self) -> None:
        self.is_bootstrapped = True

    def get_parameter(self, Name: str) -> dict[str, Any]:  # noqa: N803  boto3's name
        if not self.is_bootstrapped:
            error = {"Error": {"Code": "ParameterNotFound", "Message": Name}}
            raise ClientError(error, "GetParameter")
        return {"Parameter": {"Name": Name, "Value": "1"}}


@pytest.fixture
def ssm() -> Ssm:
    return Ssm()


@pytest.fixture
def cloud(tmp_path: Path, ssm: Ssm, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    home = Home(tmp_path / ".hpoq")
    home.create()
    session = SimpleNamespace(client=lambda _: ssm)
    monkeypatch.setattr(Cloud, "session", lambda _: session)
    return Cloud(home, RUNNING)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Return the folder of a CDK app whose cdk records its arguments and environment."""
    folder = tmp_path / "app"
    cdk = folder / "node_modules" / ".bin" / "cdk"
    cdk.parent.mkdir(parents=True)
    cdk.write_text(CDK.format(folder=folder))
    cdk.chmod(0o755)
    (folder / "cdk.json").write_text("{}")
    return folder


def commands(app: Path) -> list[str]:
    return (app / "commands").read_text().splitlines()


def test_the_first_deployment_bootstraps(cloud: Cloud, ssm: Ssm, app: Path) -> None:
    ssm.is_bootstrapped = False
    said: list[str] = []

    outputs = cloud.deploy({"name": "hpoq", "python_version": "3.13"}, app=app, say=said.append)

    assert outputs == {"Table": "hpoq-ledger"}
    assert said == ["cdk bootstrap", "cdk deploy"]
    bootstrap, deploy = commands(app)
    assert bootstrap == "bootstrap aws://123456789012/us-east-1"
    assert deploy.startswith("deploy --require-approval never")
    assert deploy.endswith("-c name=hpoq -c python_version=3.13")


def test_an_unchanged_app_is_synthesized_once(cloud: Cloud, tmp_path: Path, app: Path) -> None:
    recorded = tmp_path / "recorded"  # not among the files of the app
    recorded.mkdir()
    (app / "node_modules" / ".bin" / "cdk").write_text(CDK.format(folder=recorded))
    settings = {"name": "hpoq", "python_version": "3.13"}
    folder = cloud.home.path / "cdk.out"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    for _ in range(2):
        cloud.deploy(settings, app=app)
    cloud.deploy({**settings, "name": "other"}, app=app)

    def synthesizes(command: str) -> bool:
        assert (f"--app {folder}" in command) != (f"--output {folder}" in command)
        return f"--output {folder}" in command

    assert [synthesizes(each) for each in commands(recorded)] == [True, False, True]


TARGETS = json.dumps({"home": {}, "research": {"account": "222222222222"}})
STACK = {"type": "aws:cloudformation:stack"}
MANIFEST = {
    "artifacts": {
        "hpoq": {**STACK, "environment": "aws://unknown-account/unknown-region"},
        "hpoq.assets": {"type": "cdk:asset-manifest"},
        "hpoq-research": {**STACK, "environment": "aws://222222222222/eu-central-1"},
    }
}


def test_each_stack_is_deployed_by_the_root_user_of_its_account(
    cloud: Cloud, ssm: Ssm, app: Path, tmp_path: Path
) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST))
    (cloud.home.path / "cdk.out").mkdir()
    ssm.is_bootstrapped = False

    outputs = cloud.deploy({"targets": TARGETS, "python_version": "3.13"}, app=app)

    research = cloud.within("222222222222", "eu-central-1").running
    here, there = f"{RUNNING.access_key_id} us-east-1", f"{research.access_key_id} eu-central-1"
    assert (app / "places").read_text().splitlines() == [
        f"{here} synth",
        f"{there} bootstrap",
        f"{there} deploy",
        f"{here} bootstrap",
        f"{here} deploy",
    ]
    assert [each.split()[-1] for each in commands(app) if each.startswith("deploy")] == [
        "hpoq-research",
        "hpoq",
    ]
    assert outputs == {"Table": "hpoq-ledger", "hpoq-research.Table": "hpoq-ledger"}


def test_the_account_of_a_stack_elsewhere_has_a_profile_with_its_name(
    cloud: Cloud, app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST))
    (cloud.home.path / "cdk.out").mkdir()
    cloud.deploy({"targets": TARGETS}, app=app)

    monkeypatch.setenv("AWS_CONFIG_FILE", cloud.env["AWS_CONFIG_FILE"])
    session = Session(profile_name="hpoq-research")

    credentials = session.get_credentials()
    assert credentials is not None
    assert credentials.access_key == cloud.within("222222222222").running.access_key_id
    assert session.region_name == "eu-central-1"
    assert cloud.home.aws_config.stat().st_mode & 0o077 == 0


def test_cdk_uses_the_cloud_in_spite_of_the_shell_s_variables(
    cloud: Cloud, app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of production")

    cloud.deploy(app=app)

    lines = (app / "environment").read_text().splitlines()
    environ = dict(line.split("=", 1) for line in lines if "=" in line)
    assert environ["AWS_ENDPOINT_URL"] == RUNNING.endpoint
    assert environ["AWS_ACCESS_KEY_ID"] == RUNNING.access_key_id
    assert "AWS_PROFILE" not in environ
    assert "AWS_SESSION_TOKEN" not in environ


def test_a_failure_shows_the_output_of_cdk(cloud: Cloud, app: Path) -> None:
    with pytest.raises(
        DeploymentFailed, match=r"(?s)`cdk deploy` failed: hpoq: deploying.*bad: is not a setting"
    ):
        cloud.deploy({"bad": "1"}, app=app)


def test_a_failure_in_the_app_shows_the_cause_only(cloud: Cloud, app: Path) -> None:
    with pytest.raises(DeploymentFailed) as caught:
        cloud.deploy({"gaurdrails": "1"}, app=app)
    assert str(caught.value).startswith(
        "`cdk deploy` failed: gaurdrails: unknown setting. Did you mean guardrails? Its"
    )
    assert "Node.js" not in str(caught.value)
    assert "Subprocess" not in str(caught.value)


def test_functions_use_this_python_if_the_requested_version_is_missing(
    cloud: Cloud, app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreters, "find", lambda _: None)
    said: list[str] = []

    cloud.deploy(app=app, say=said.append)

    own = interpreters.own_version()
    assert commands(app)[-1].endswith(f"-c python_version={own}")
    assert any(
        f"python3.13 is not installed: functions are deployed for python{own}" in s for s in said
    )


def test_an_error_names_the_fix_for_missing_node_or_app(
    cloud: Cloud, app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LocalCloudError, match=r"no cdk.json .*--app"):
        cloud.deploy()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalCloudError, match=r"Install Node.js"):
        cloud.deploy(app=app)


def test_the_app_of_the_nearest_parent_folder_is_deployed(
    cloud: Cloud, app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (app / "docs").mkdir()
    monkeypatch.chdir(app / "docs")

    assert cloud.deploy()["Table"] == "hpoq-ledger"


def test_an_app_without_its_own_cdk_gets_the_pinned_one(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cdk.json").write_text("{}")
    assert deployment.cdk_command(tmp_path) == ["npx", "--yes", "aws-cdk@2.1148.1"]


def test_exports_quote_values_and_unset_conflicting_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "example.com")
    cloud = Cloud(Home(tmp_path / "it's here"), RUNNING)

    lines = exports(cloud).splitlines()

    assert lines[0].startswith("unset AWS_PROFILE")
    assert f"export HPOQ_HOME='{tmp_path}/it'\"'\"'s here'" in lines
    assert "export NO_PROXY=example.com,127.0.0.1,localhost" in lines


def test_a_session_uses_the_cloud_and_can_be_another_user(tmp_path: Path) -> None:
    session: Session = Cloud(Home(tmp_path), RUNNING).session()
    client: Any = session.client("sqs")
    assert client.meta.endpoint_url == RUNNING.endpoint

    other = CloudSession(RUNNING, access_key_id="AKIAOTHER", secret_access_key="s")
    credentials = other.get_credentials()
    assert credentials is not None
    assert credentials.access_key == "AKIAOTHER"
    assert other.resource("s3").meta.client.meta.endpoint_url == RUNNING.endpoint


def test_the_environment_is_complete_and_serializable(tmp_path: Path) -> None:
    env = Cloud(Home(tmp_path), RUNNING).env
    assert json.loads(json.dumps(env)) == env
    assert {"AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"} <= set(env)
    assert set(clouds.CONFLICTING).isdisjoint(env)
