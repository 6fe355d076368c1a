"""`hpoq submit --template` finds a template in the deployment, in a file or in the workspace."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from infra.source import ROOT
from tests.support.command_line import Run
from tests.support.dispatcher_account import ENVIRONMENT, Account

BUCKET = ENVIRONMENT["HPOQ_ARTIFACT_BUCKET"]
MINE = """
description: mine
image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/mine:1
entry_point: train.py
source: train.py
request:
  hyperparameter_ranges: {lr: {type: continuous, min: 0.1, max: 1}}
  objective: {metric: auc, type: Maximize}
tuning_job:
  TrainingJobDefinition:
    AlgorithmSpecification: {MetricDefinitions: [{Name: auc, Regex: "auc=([0-9.]+)"}]}
    ResourceConfig: {InstanceType: ml.m5.large, InstanceCount: 1, VolumeSizeInGB: 5}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text("print('auc=1')")
    (tmp_path / "mine.yaml").write_text(MINE)
    return tmp_path / "mine.yaml"


def keys(account: Account) -> list[str]:
    listed = account.session.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="teams/")
    return [each["Key"] for each in listed.get("Contents", ())]


def test_a_template_in_a_file_becomes_a_tuning_job_with_its_code(
    hpoq: Run, account: Account, mine: Path
) -> None:
    status, out, err = hpoq("submit", "--template", str(mine), "--dry-run")
    assert status == 0, err
    assert keys(account) == []  # nothing is uploaded
    (planned,) = json.loads(out)

    status, out, err = hpoq("submit", "--template", str(mine))
    assert status == 0, err
    assert out.startswith("mine-")
    (key,) = keys(account)
    account.cycle()
    (name,) = account.tuning_jobs()
    job = account.session.client("sagemaker").describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name
    )
    static = job["TrainingJobDefinition"]["StaticHyperParameters"]
    assert static["sagemaker_submit_directory"] == f"s3://{BUCKET}/{key}"
    assert static == planned["TrainingJobDefinition"]["StaticHyperParameters"]
    code = account.session.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(code)) as archive:
        assert archive.getnames() == ["train.py"]


def test_requests_of_a_file_use_it_unless_they_name_another(
    hpoq: Run, account: Account, mine: Path
) -> None:
    lr = {"lr": {"type": "continuous", "min": 0.1, "max": 0.2}}
    requests = [
        {"request_id": "own", "hyperparameter_ranges": lr},
        {"request_id": "bundled", "hyperparameter_ranges": lr, "template": "smoke"},
    ]
    file = mine.with_name("requests.json")
    file.write_text(json.dumps(requests))
    status, out, err = hpoq("submit", "--template", str(mine), str(file), "--dry-run")
    assert status == 0, err
    scripts = [
        each["TrainingJobDefinition"]["StaticHyperParameters"]["sagemaker_program"]
        for each in json.loads(out)
    ]
    assert scripts == ["train.py", "train_cpu.py"]


def test_a_template_of_the_workspace_is_named_by_its_name(
    hpoq: Run, account: Account, mine: Path
) -> None:
    s3 = account.session.client("s3")
    key = "teams/fraud/templates/ours.yaml"
    in_s3 = MINE.replace(
        "source: train.py", 'source: "s3://{artifact_bucket}/teams/{team}/code/a.tar.gz"'
    )
    s3.put_object(Bucket=BUCKET, Key=key, Body=in_s3.encode())
    status, out, err = hpoq("submit", "--template", "ours", "--dry-run")
    assert status == 0, err
    static = json.loads(out)[0]["TrainingJobDefinition"]["StaticHyperParameters"]
    assert static["sagemaker_submit_directory"] == f"s3://{BUCKET}/teams/fraud/code/a.tar.gz"

    s3.put_object(Bucket=BUCKET, Key=key, Body=MINE.encode())
    status, _, err = hpoq("submit", "--template", "ours")
    assert status == 1
    assert "template ours: source: train.py is not an S3 URI" in err


def test_a_template_that_does_not_exist_is_one_line(
    hpoq: Run, account: Account, tmp_path: Path
) -> None:
    status, _, err = hpoq("submit", "--template", "nothere")
    assert status == 1
    assert len(err.splitlines()) == 1
    assert "no template 'nothere' in the deployment or at s3://" in err
    status, _, err = hpoq("submit", "--template", str(tmp_path / "no.yaml"))
    assert (status, err) == (1, err)
    assert "no.yaml: No such file or directory" in err


def test_a_template_of_the_deployment_stays_in_short_form(hpoq: Run, account: Account) -> None:
    status, _, err = hpoq("submit", "--template", "smoke")
    assert status == 1
    assert "smoke: hyperparameter_ranges: missing" in err


def test_a_first_template_from_a_script_is_accepted_as_it_is(
    hpoq: Run, account: Account, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    shutil.copy(ROOT / "examples" / "own_model" / "train.py", script)
    status, out, err = hpoq("template", "new", "tree", "--from-script", str(script))
    assert status == 0, err
    written = out.strip()
    assert written == str(tmp_path / "tree.yaml")
    # The SDK of this account knows no other image.
    text = Path(written).read_text().replace("sklearn", "pytorch").replace("1.4-2", "'2.10'")
    Path(written).write_text(text)
    s3 = account.session.client("s3")
    s3.put_object(Bucket=BUCKET, Key="teams/fraud/data/tree/train/iris.csv", Body=b"1")
    status, out, err = hpoq("submit", "--template", written, "--dry-run")
    assert status == 0, err
    ranges = json.loads(out)[0]["HyperParameterTuningJobConfig"]["ParameterRanges"]
    assert {each["Name"] for kind in ranges.values() for each in kind} == {
        "max-leaf-nodes",
        "criterion",
    }
    status, _, err = hpoq("template", "new", "tree", "--from-script", str(script))
    assert status == 1
    assert "exists. Remove it, or choose another name" in err
