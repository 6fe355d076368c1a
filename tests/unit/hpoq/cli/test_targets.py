"""The commands about requests that run in another account, which moto knows by its credentials."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import jsonschema
import pytest

from hpo_dispatcher.contract.targets.resources import quotas_document
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.client import Client
from hpoq.client.connection import DeploymentConnection
from tests.support.command_line import Run
from tests.support.dispatcher_account import (
    FAR_FUTURE,
    QUOTAS,
    RANGES,
    REGION,
    Account,
    write_quotas,
)

RESEARCH = "222222222222"
TARGETS = {
    "home": {"account": "123456789012", "region": REGION},
    "research": {"account": RESEARCH, "region": "us-east-1"},
}
NO_PROFILE = "has no profile hpoq-research"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The AWS configuration of the user, without profiles."""
    file = tmp_path / "aws-config"
    file.touch()
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    return file


@pytest.fixture
def there(account: Account, hpoq: Run, config: Path) -> boto3.Session:
    """A session for the target, on which a request runs."""
    account.configure(targets=TARGETS)
    write_quotas(account, QUOTAS, FAR_FUTURE, quotas_document("research"))
    account.request("fraud", "a", targets=["research"])
    account.request("fraud", "h")
    account.cycle()
    role = f"arn:aws:iam::{RESEARCH}:role/reader"
    sts = account.session.client("sts")
    made = sts.assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return boto3.Session(
        made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"], region_name="us-east-1"
    )


def add_profile(config: Path, session: boto3.Session) -> None:
    """Give the user a profile with these credentials."""
    found: Any = session.get_credentials()
    config.write_text(
        f"[profile hpoq-research]\naws_access_key_id = {found.access_key}\n"
        f"aws_secret_access_key = {found.secret_key}\naws_session_token = {found.token}\n"
    )


def tuning_job(session: boto3.Session) -> str:
    answer = session.client("sagemaker").list_hyper_parameter_tuning_jobs()
    (found,) = answer["HyperParameterTuningJobSummaries"]
    return str(found["HyperParameterTuningJobName"])


def test_what_runs_where_is_shown_and_read_there(
    there: boto3.Session, account: Account, hpoq: Run, config: Path
) -> None:
    name = tuning_job(there)
    assert name not in account.tuning_jobs()
    add_profile(config, there)
    _, status, err = hpoq("status", "a")
    assert ["target", "research"] in [line.split() for line in status.splitlines()]
    assert "not shown" not in err
    _, listed, _ = hpoq("list")
    assert "target" in listed.splitlines()[0]
    _, capacity, _ = hpoq("capacity")
    uses = [line.split()[:4] for line in capacity.splitlines() if "tuning jobs" in line]
    assert ["tuning", "jobs", "1", "100"] in uses
    assert ["research/tuning", "jobs", "1", "100"] in uses


def test_training_jobs_are_listed_in_the_account_and_region_of_the_target(
    there: boto3.Session, hpoq: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """moto has no list of a tuning job's training jobs, so this one names who was asked."""
    add_profile(config, there)
    real = DeploymentConnection.service

    def service(self: DeploymentConnection, name: str, *config: Any) -> Any:
        client = real(self, name, *config)
        if name != "sagemaker":
            return client
        job = {
            "TrainingJobName": f"{account_of(self)}-{client.meta.region_name}",
            "TrainingJobStatus": "Completed",
            "TunedHyperParameters": {},
        }
        pages = SimpleNamespace(paginate=lambda **_: [{"TrainingJobSummaries": [job]}])
        return SimpleNamespace(
            get_paginator=lambda _: pages,
            describe_hyper_parameter_tuning_job=client.describe_hyper_parameter_tuning_job,
        )

    def account_of(connection: DeploymentConnection) -> str:
        return str(real(connection, "sts").get_caller_identity()["Account"])

    monkeypatch.setattr(DeploymentConnection, "service", service)
    for request_id, asked in (("a", f"{RESEARCH}-us-east-1"), ("h", f"123456789012-{REGION}")):
        _, out, err = hpoq("results", request_id)
        (row,) = csv.DictReader(io.StringIO(out))
        assert row["TrainingJobName"] == asked
        assert err.endswith(" on research\n") == (request_id == "a")


@pytest.mark.usefixtures("there")
def test_without_access_each_command_says_what_is_missing(hpoq: Run) -> None:
    """Nothing is silently left out; what the ledger knows is shown all the same."""
    for command in (("results", "a"), ("logs", "a"), ("best", "a")):
        status, _, err = hpoq(*command)
        assert (status, NO_PROFILE in " ".join(err.split())) == (1, True), command
    for command in (("status", "a"), ("list",)):
        status, out, err = hpoq(*command)
        assert status == 0
        assert "the progress of a is not shown" in err
        assert "research" in out
    status, out, _ = hpoq("status", "a", "--json")
    assert json.loads(out)["target"] == "research"
    status, _, err = hpoq("status", "h")
    assert "not shown" not in err


def test_a_request_on_a_target_is_stopped_by_the_dispatcher(
    there: boto3.Session, account: Account, hpoq: Run
) -> None:
    """The team needs no permission there to cancel."""
    name = tuning_job(there)
    assert hpoq("cancel", "a")[0] == 0
    account.cycle()
    answer = there.client("sagemaker").describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name
    )
    assert answer["HyperParameterTuningJobStatus"] in ("Stopping", "Stopped", "Completed")


def test_a_campaign_is_planned_within_the_sum_of_its_targets(
    account: Account, hpoq: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.configure(targets=TARGETS)
    write_quotas(account, QUOTAS, FAR_FUTURE, quotas_document("research"))
    account.cycle()
    monkeypatch.setattr("hpoq.campaign.planning.account_limits.instance_quota", lambda *_: 30)
    monkeypatch.setattr(Client, "session_on", lambda *_: None)
    file = tmp_path / "request.json"
    request = {
        "hyperparameter_ranges": RANGES,
        "objective": {"metric": "validation:auc", "type": "Maximize"},
    }
    for targets, slots, words in (
        (["home", "research"], 60, "the campaign may run on home, research"),
        (["research"], 30, ""),
        (None, 30, ""),
    ):
        file.write_text(json.dumps(request | ({"targets": targets} if targets else {})))
        out = tmp_path / "c.plan.json"
        status, _, err = hpoq(
            "campaign", "plan", str(file), "--name", "c", "--trials", "600", "--minutes", "3",
            "--startup", "1", "--team", "fraud", "--out", str(out),
        )  # fmt: skip
        assert status == 0, err
        assert words in err
        assert ("may run on" in err) == bool(words)
        assert CampaignPlan.load(out).campaign.slots == slots


def test_the_best_training_job_names_its_target(
    there: boto3.Session, account: Account, hpoq: Run, config: Path
) -> None:
    add_profile(config, there)
    account.cycle()
    account.cycle()
    status, out, err = hpoq("best", "a", "--json")
    assert status == 0, err
    found = json.loads(out)
    schema = json.loads((Path(__file__).parents[4] / "docs" / "cli.schema.json").read_text())
    jsonschema.validate(found, {"$defs": schema["$defs"], **schema["properties"]["best"]})
    assert found["target"] == "research"
    assert "target" not in json.loads(hpoq("best", "h", "--json")[1])
    assert ["target", "research"] in [line.split() for line in hpoq("best", "a")[1].splitlines()]
