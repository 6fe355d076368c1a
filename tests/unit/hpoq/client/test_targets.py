"""The user's access to targets: with the own credentials, or with a profile of the account."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.credentials import (
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from moto import mock_aws

from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.settings import parse_deployment
from hpoq.client import Client
from hpoq.client.connection import DeploymentConnection
from hpoq.client.targets import TargetConnections
from hpoq.errors import NotReachable
from tests.support.tuning_requests import ENVIRONMENT

HOME_ACCOUNT, RESEARCH = ENVIRONMENT.account, "222222222222"
SETTINGS = SettingsDocument.of(
    ENVIRONMENT,
    parse_deployment(
        {
            "teams": {"fraud": {}},
            "targets": {
                "home": {"account": HOME_ACCOUNT, "region": ENVIRONMENT.region},
                "other-region": {"account": HOME_ACCOUNT, "region": "us-west-2"},
                "research": {"account": RESEARCH, "region": "us-east-1"},
            },
        }
    ),
    {},
)
GROUP = "/aws/sagemaker/TrainingJobs"
ENTRY = Entry(
    team="fraud", request_id="r", status=Status.IN_PROGRESS, accepted_at=datetime.now(UTC),
    tuning_job_name="fraud-r-ab12cd34", targets=("research",), target="research",
)  # fmt: skip


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The AWS configuration of a user whose default credentials are of home's account."""
    file = tmp_path / "config"
    file.touch()
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        yield file


def add_profile(config: Path, name: str, account: str) -> None:
    """Add a profile with the credentials of a role of an account; moto knows them by it."""
    role = f"arn:aws:iam::{account}:role/reader"
    sts = boto3.client("sts", region_name="us-east-1")
    made = sts.assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    config.write_text(
        f"[profile {name}]\naws_access_key_id = {made['AccessKeyId']}\n"
        f"aws_secret_access_key = {made['SecretAccessKey']}\n"
        f"aws_session_token = {made['SessionToken']}\n"
    )


def connections() -> TargetConnections:
    session = boto3.Session(region_name=ENVIRONMENT.region)
    return TargetConnections(DeploymentConnection("hpoq", session), lambda: SETTINGS)


def account_of(connection: DeploymentConnection) -> tuple[str, str]:
    identity = connection.service("sts").get_caller_identity()["Account"]
    return identity, connection.service("sagemaker").meta.region_name


def client() -> Client:
    made = Client("hpoq", boto3.Session(region_name=ENVIRONMENT.region))
    vars(made)["settings"] = SETTINGS
    return made


@pytest.mark.usefixtures("config")
def test_a_target_in_homes_account_is_read_with_the_own_credentials_in_its_region() -> None:
    found = connections()
    assert found.on("other-region").service("sagemaker").meta.region_name == "us-west-2"
    own, there = boto3.Session(), found.on("other-region").boto_session
    assert there.get_credentials().access_key == own.get_credentials().access_key
    assert found.on("other-region").boto_session.region_name == "us-west-2"
    assert found.on("home").service("sagemaker").meta.region_name == ENVIRONMENT.region
    assert found.on("other-region") is found.on("other-region")


@pytest.mark.usefixtures("config")
def test_credentials_that_expire_are_renewed_for_a_target_in_homes_account() -> None:
    own = botocore.session.Session()
    own.register_component("credential_provider", CredentialResolver([Expiring()]))
    home = DeploymentConnection("hpoq", boto3.Session(botocore_session=own))
    credentials = home.in_region("us-west-2").boto_session.get_credentials()
    keys = {credentials.get_frozen_credentials().access_key for _ in range(3)}
    assert len(keys) == 3


class Expiring(CredentialProvider):
    """Credentials that expire within the minutes in which they are renewed at each use."""

    METHOD = "test"

    def __init__(self) -> None:
        super().__init__()
        self._count = itertools.count()

    def load(self) -> Any:
        return DeferredRefreshableCredentials(refresh_using=self._renewed, method=self.METHOD)

    def _renewed(self) -> dict[str, str]:
        expires = datetime.now(UTC) + timedelta(minutes=1)
        return {
            "access_key": f"key-{next(self._count)}", "secret_key": "s", "token": "t",
            "expiry_time": expires.isoformat(),
        }  # fmt: skip


def test_a_target_in_another_account_is_read_with_the_profile_of_its_stack(config: Path) -> None:
    add_profile(config, "hpoq-research", RESEARCH)
    assert account_of(connections().on("research")) == (RESEARCH, "us-east-1")


@pytest.mark.usefixtures("config")
def test_without_the_profile_one_line_names_it() -> None:
    with pytest.raises(NotReachable) as error:
        connections().on("research")
    assert str(error.value) == (
        "target research is in account 222222222222, us-east-1, and your AWS configuration has no "
        "profile hpoq-research. Add it, as docs/targets.md describes"
    )


def test_a_profile_of_another_account_shows_nothing_of_that_account(config: Path) -> None:
    add_profile(config, "hpoq-research", "333333333333")
    with pytest.raises(NotReachable, match="but the profile hpoq-research is of account 3333"):
        connections().on("research")


def test_an_attempt_that_failed_is_repeated_after_a_minute_only(config: Path) -> None:
    now = [0.0]
    read: list[str] = []
    session = boto3.Session(region_name=ENVIRONMENT.region)

    def settings() -> SettingsDocument:
        read.append("read")
        return SETTINGS

    found = TargetConnections(DeploymentConnection("hpoq", session), settings, lambda: now[0])
    for _ in range(50):
        with pytest.raises(NotReachable, match="no profile"):
            found.on("research")
    assert len(read) == 1
    add_profile(config, "hpoq-research", RESEARCH)
    now[0] = 61.0
    assert account_of(found.on("research")) == (RESEARCH, "us-east-1")


@pytest.mark.usefixtures("config")
def test_a_target_that_the_settings_no_longer_have_is_named() -> None:
    with pytest.raises(NotReachable, match="the settings of hpoq have no target 'gone'"):
        connections().on("gone")


def test_a_log_is_read_in_the_account_of_its_target(config: Path) -> None:
    from hpoq.results.logs import lines_of

    add_profile(config, "hpoq-research", RESEARCH)
    deployed = client()
    for where, text in (("home", "of home"), ("research", "of research")):
        logs: Any = deployed.on(where).service("logs")
        logs.create_log_group(logGroupName=GROUP)
        stream = {"logGroupName": GROUP, "logStreamName": "fraud-r-ab12cd34-001/algo-1"}
        logs.create_log_stream(**stream)
        at = int(datetime.now(UTC).timestamp() * 1000)
        logs.put_log_events(**stream, logEvents=[{"timestamp": at, "message": text}])
    assert [*lines_of(deployed.on(ENTRY.target), "fraud-r-ab12cd34-001")] == ["of research"]
    assert [*lines_of(deployed.on("home"), "fraud-r-ab12cd34-001")] == ["of home"]


@pytest.mark.usefixtures("config")
def test_an_unreadable_target_leaves_the_counters_of_the_ledger_and_says_why() -> None:
    deployed = client()
    assert deployed.live(ENTRY) == ENTRY
    assert "no profile hpoq-research" in deployed.why_unread(ENTRY)
    assert deployed.why_unread(replace(ENTRY, target="home")) == ""
    assert not deployed.has_tuning_job(ENTRY)


def test_counters_come_from_the_target(config: Path) -> None:
    add_profile(config, "hpoq-research", RESEARCH)
    deployed = client()
    sagemaker: Any = deployed.on("research").service("sagemaker")
    sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=ENTRY.tuning_job_name,
        HyperParameterTuningJobConfig={
            "Strategy": "Random",
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1},
        },
    )
    assert deployed.has_tuning_job(ENTRY)
    assert not deployed.has_tuning_job(replace(ENTRY, target="home"))
