"""The pages of `hpoq ui` in a browser, for an account in the embedded cloud."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from boto3 import Session

from hpoq.client import Client
from hpoq.local.cloud import Cloud
from hpoq.local.lifecycle.processes import wait_until
from hpoq.ui.access import TOKEN
from hpoq.ui.account import Account
from hpoq.ui.server import serving
from tests.support.browser import Browser, headless
from tests.support.deployed_stack import Deployed
from tests.support.iam_users import user_with
from tests.support.page_visitor import HOST, visitor_of

BUCKET = "pages"
ROLE = "pages-training"
SCRIPT = '''"""A loss that falls epoch by epoch, best near lr = 0.01."""
import argparse, math, os, pathlib, time
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--batch-size", type=int)
parser.add_argument("--optimizer")
known = parser.parse_args()
worst = 0.2 * (math.log10(known.lr) + 2) ** 2 + 0.03 * abs(math.log2(known.batch_size) - 7)
worst += 0.05 * (known.optimizer == "sgd")
print(f"lr={known.lr:.3g} batch size={known.batch_size} optimizer={known.optimizer}")
for epoch in range(1, 9):
    while epoch == 5 and not pathlib.Path(
        os.environ["SAGEMAKER_BASE_DIR"], os.environ.get("WAIT_FOR", "")
    ).exists():
        time.sleep(0.02)
    time.sleep(0.05)
    print(f"epoch {epoch}: loss={0.3 + worst + math.exp(-epoch / 2):.6f}")
'''
RANGES = {
    "ContinuousParameterRanges": [
        {"Name": "lr", "MinValue": "0.0001", "MaxValue": "1", "ScalingType": "Logarithmic"}
    ],
    "IntegerParameterRanges": [
        {"Name": "batch-size", "MinValue": "16", "MaxValue": "1024", "ScalingType": "Logarithmic"}
    ],
    "CategoricalParameterRanges": [{"Name": "optimizer", "Values": ["adam", "sgd"]}],
}


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with headless(tmp_path / "profile") as started:
        yield started
        assert not started.complaints


@pytest.fixture(scope="module")
def account(cloud: Cloud) -> Cloud:
    """Upload the script to a bucket of the cloud, and create a training role."""
    s3 = cloud.session().client("s3")
    s3.create_bucket(Bucket=BUCKET)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("train.py")
        member.size = len(SCRIPT)
        archive.addfile(member, io.BytesIO(SCRIPT.encode()))
    s3.put_object(Bucket=BUCKET, Key="source.tar.gz", Body=packed.getvalue())
    iam = cloud.session().client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}}
    statement = trust | {"Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(document))
    access = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [access]}
    iam.put_role_policy(RoleName=ROLE, PolicyName="s3", PolicyDocument=json.dumps(policy))
    return cloud


def training(cloud: Cloud, **parameters: str) -> dict[str, Any]:
    return {
        "AlgorithmSpecification": {
            "TrainingImage": "123456789012.dkr.ecr.us-east-1.amazonaws.com/any:1",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
        },
        "RoleArn": f"arn:aws:iam::{cloud.running.account}:role/{ROLE}",
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/output/"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 300},
        "parameters": {
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": f"s3://{BUCKET}/source.tar.gz",
            **parameters,
        },
    }


def tune(cloud: Cloud, name: str, jobs: int) -> None:
    definition = training(cloud)
    definition["StaticHyperParameters"] = definition.pop("parameters")
    cloud.session().client("sagemaker").create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig={
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": jobs, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": RANGES,
            "RandomSeed": 7,
        },
        TrainingJobDefinition=definition,
    )


STATUS = 'document.querySelector("h1 .status").textContent'


@pytest.mark.timeout(120)
def test_the_figures_of_a_tuning_job_appear_while_it_runs(account: Cloud, browser: Browser) -> None:
    tune(account, "shown-as-figures", 30)

    with serving(Account(account.session())) as pages:
        browser.enter(pages)
        browser.open(f"{pages.url}tuning-jobs/shown-as-figures")
        browser.wait_for(f'{STATUS} === "In progress"')
        browser.wait_for('!!document.querySelector("[data-figure=objective] svg.main-svg")')
        browser.wait_for(f'{STATUS} === "Completed"', 60)  # without reloading the page
        browser.wait_for('document.querySelectorAll("[data-drawn]").length === 5')
        dots = 'document.querySelector("[data-figure=objective] > div").data[0].x.length'
        browser.wait_for(f"{dots} === 30")
        assert browser.get('document.querySelectorAll("#trials tr").length') == 31
        bars = 'document.querySelector("[data-figure=importances] > div").data[0].y'
        assert set(browser.get(bars)) == {"lr", "batch-size", "optimizer"}


@pytest.mark.timeout(120)
def test_the_log_of_a_training_job_grows_on_its_page(account: Cloud, browser: Browser) -> None:
    request = training(account, lr="0.01", optimizer="adam", **{"batch-size": "64"})
    request["Environment"] = {"WAIT_FOR": "go"}
    request["HyperParameters"] = request.pop("parameters")
    account.session().client("sagemaker").create_training_job(
        TrainingJobName="shown-as-log", **request
    )
    said = 'document.getElementById("log").innerText.includes'

    with serving(Account(account.session())) as pages:
        browser.enter(pages)
        browser.open(f"{pages.url}training-jobs/shown-as-log")
        browser.wait_for(f'{said}("epoch 4")')
        assert not browser.get(f'{said}("epoch 5")')
        job = account.home.path / "sagemaker" / "jobs" / "shown-as-log"
        (job / "opt" / "ml" / "go").touch()
        browser.wait_for(f'{said}("epoch 8")')
        browser.wait_for(f'{STATUS} === "Completed"')
        browser.wait_for('!!document.querySelector("#metrics svg.main-svg")')


@pytest.mark.timeout(120)
def test_the_overview_shows_why_a_request_waits(deployed: Deployed, browser: Browser) -> None:
    client = Client("hpoq", deployed.session)
    request = {
        "version": 1,
        "request_id": "shown-as-waiting",
        "after": ["what-never-came"],
        "hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}},
    }
    client.submit("vision", [request])
    assert wait_until(lambda: "Queued" in {e.status for e in client.entries("vision")}, 60)
    why = "waits for what-never-came"

    with serving(Account(deployed.session)) as pages:
        browser.enter(pages)
        browser.wait_for(f"document.getElementById('requests').innerText.includes('{why}')")
        browser.wait_for("!!document.querySelector('#capacity meter')")
        browser.open(f"{pages.url}requests/vision/shown-as-waiting")
        assert why in browser.get("document.body.innerText")
        client.act("vision", "cancel", request_id="shown-as-waiting")
        browser.wait_for(f'{STATUS} === "Cancelled"')


@pytest.mark.timeout(120)
def test_the_overview_shows_the_queue_position_of_a_request(
    deployed: Deployed, browser: Browser
) -> None:
    client = Client("hpoq", deployed.session)
    lr = {"type": "continuous", "min": 0.001, "max": 0.1}
    client.act("vision", "hold")
    try:
        names = ("shown-first", "shown-second")
        client.submit(
            "vision",
            [
                {"version": 1, "request_id": name, "hyperparameter_ranges": {"lr": lr}}
                for name in names
            ],
        )
        with serving(Account(deployed.session)) as pages:
            browser.enter(pages)
            browser.wait_for("document.getElementById('requests').innerText.includes('2 of 2')", 60)
            browser.open(f"{pages.url}requests/vision/shown-first")
            browser.wait_for("document.getElementById('request').innerText.includes('of 2')")
        for name in names:
            client.act("vision", "cancel", request_id=name)
    finally:
        client.act("vision", "release")


def team_user(deployed: Deployed, team: str) -> Session:
    """Create an IAM user with the team's managed policy only."""
    iam: Any = deployed.client("iam")
    (arn,) = [
        policy["Arn"]
        for page in iam.get_paginator("list_policies").paginate(Scope="Local")
        for policy in page["Policies"]
        if policy["PolicyName"] == f"hpoq-{team}-team"
    ]
    name = f"pages-of-{team}-{time.time_ns()}"
    session = user_with(deployed.session, deployed.cloud, name)
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    return session


@pytest.mark.timeout(300)
def test_a_member_of_a_team_sees_its_requests_and_acts_on_them(deployed: Deployed) -> None:
    client = Client("hpoq", deployed.session)
    lr = {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}}
    wanted = f"own-{time.time_ns()}"
    for team in ("vision", "fraud"):
        request = {"request_id": wanted, "after": ["never-came"], "hyperparameter_ranges": lr}
        client.submit(team, [request])
    assert wait_until(lambda: client.get_all("fraud", [wanted]), 60)
    assert wait_until(lambda: client.get_all("vision", [wanted]), 60)

    visitor, access = visitor_of(Account(team_user(deployed, "vision")))
    text = visitor.get(f"/?text={wanted}", base_url=HOST).text
    assert f"/requests/vision/{wanted}" in text
    assert f"/requests/fraud/{wanted}" not in text
    assert "you may not read their requests: fraud" in text
    for page in (f"/requests/vision/{wanted}", "/tuning-jobs", "/dead-letters"):
        assert visitor.get(page, base_url=HOST).status_code == 200, page
    assert visitor.get(f"/requests/fraud/{wanted}", base_url=HOST).status_code == 403

    form, headers = {TOKEN: access.form_token}, {"Origin": HOST}
    for team, status in (("vision", 303), ("fraud", 403)):
        path = f"/requests/{team}/{wanted}/cancel"
        answer = visitor.post(path, data=form, headers=headers, base_url=HOST)
        assert answer.status_code == status, answer.text
    assert wait_until(lambda: client.get("vision", wanted).status == "Cancelled", 60)
    assert client.get("fraud", wanted).status == "Queued"
    client.act("fraud", "cancel", request_id=wanted)
