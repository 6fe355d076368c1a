"""Third-party clients work with the SageMaker of the embedded cloud."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hpoq.local.cloud import Cloud
from hpoq.local.lifecycle.processes import wait_until
from tests.support.deployed_stack import ROOT, Deployed
from tests.support.older_clients import older

__all__ = ["older"]

CLIENTS = Path(__file__).parent / "clients"
BUCKET = "other-clients"
SCRIPT = """
import argparse, os, pathlib, time
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--optimizer")
parser.add_argument("--seconds", type=float, default=0)
known, _ = parser.parse_known_args()
assert known.optimizer in ("adam", "sgd"), known.optimizer
assert pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "rows.csv").read_text() == "1,2"
time.sleep(known.seconds)
print(f"auc={1 - (known.lr - 0.3) ** 2:.6f}")
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text(str(known.lr))
"""


@dataclass(frozen=True)
class Place:
    """The role, bucket and folder that a client needs besides an endpoint."""

    cloud: Cloud
    role: str
    source: Path

    def run(self, program: str, name: str, python: str = sys.executable) -> dict[str, Any]:
        """Run a client's program and return the JSON document of its last line."""
        done = subprocess.run(
            [python, CLIENTS / program, self.role, BUCKET, self.source, name],
            env=self.cloud.environ(os.environ),
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return {**found, "said": done.stdout + done.stderr}


@pytest.fixture(scope="module")
def place(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Place:
    session = cloud.session()
    session.client("s3").create_bucket(Bucket=BUCKET)
    session.client("s3").put_object(Bucket=BUCKET, Key="data/rows.csv", Body=b"1,2")
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam = session.client("iam")
    role = iam.create_role(RoleName="trainer", AssumeRolePolicyDocument=document)
    # SDK 3 first checks whether the role has the permissions that training needs.
    may = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    iam.put_role_policy(RoleName="trainer", PolicyName="all", PolicyDocument=policy)
    source = tmp_path_factory.mktemp("source")
    (source / "train.py").write_text(SCRIPT)
    return Place(cloud, role["Role"]["Arn"], source)


@pytest.mark.timeout(240)
def test_the_sagemaker_sdk_version_3_runs_a_tuning_job(place: Place) -> None:
    found = place.run("sdk_v3.py", "by-sdk-three")

    assert len(found["values"]) == 4
    assert f"auc={max(found['values']):.6f}" in found["said"]  # the log of the best training job
    job = (
        place.cloud.session()
        .client("sagemaker")
        .describe_training_job(TrainingJobName=found["best"])
    )
    lr = float(job["HyperParameters"]["lr"].strip('"'))
    assert max(found["values"]) == pytest.approx(1 - (lr - 0.3) ** 2, abs=1e-5)


def run_page(cloud: Cloud, folder: Path, way: int) -> None:
    """Run the page's commands and code in one of its two ways, and check what it prints."""
    page = (ROOT / "docs" / "sagemaker-sdk.md").read_text()
    *ways, tune = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(ways) == 2
    (prepare,) = re.findall(r"^python (training/prepare_data.py .*)$", page, re.MULTILINE)
    (folder / "training").symlink_to(ROOT / "training")
    command = [sys.executable, *prepare.split()]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)

    done = subprocess.run(
        [sys.executable, "-c", ways[way] + tune],
        cwd=folder,
        env=cloud.environ(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    heading, *rows, best = done.stdout.strip().splitlines()
    assert "FinalObjectiveValue" in heading
    assert len(rows) == 6
    describe = cloud.session().client("sagemaker").describe_training_job
    metrics = describe(TrainingJobName=best)["FinalMetricDataList"]
    assert metrics[0]["MetricName"] == "validation:auc"
    assert metrics[0]["Value"] == pytest.approx(max(float(row.split()[-1]) for row in rows))


@pytest.mark.timeout(240)
def test_the_page_about_the_sagemaker_sdk_runs_as_printed(place: Place, tmp_path: Path) -> None:
    """Nothing is replaced: its commands prepare the data, and its code the role and the bucket."""
    run_page(place.cloud, tmp_path, way=0)


@pytest.mark.timeout(240)
def test_the_page_runs_with_the_training_role_of_the_stack(
    deployed: Deployed, tmp_path: Path
) -> None:
    run_page(deployed.cloud, tmp_path, way=1)


@pytest.mark.ci
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_sagemaker_sdk_version_2_runs_a_tuning_job_and_a_warm_start(
    place: Place, older: Path
) -> None:
    found = place.run("sdk_v2.py", "by-sdk-two", str(older / "python"))

    assert len(found["values"]) == len(found["child"]) == 4
    assert found["parents"] == ["by-sdk-two"]
    assert f"auc={max(found['values']):.6f}" in found["said"]  # the log of the best training job
    child = (
        place.cloud.session()
        .client("sagemaker")
        .describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="by-sdk-two-child")
    )
    assert child["WarmStartConfig"]["WarmStartType"] == "IdenticalDataAndAlgorithm"


@pytest.mark.ci
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_sagemaker_sdk_version_2_attaches_to_tuning_jobs_and_runs_them_again(
    place: Place, older: Path
) -> None:
    found = place.run("sdk_v2_attach.py", "sdk-two", str(older / "python"))

    read = {
        "class": "PyTorch", "framework": "2.3", "entry_point": "train.py",
        "instance": ["ml.m5.large", 1], "role": place.role, "optimizer": "sgd", "jobs": [2, 2],
        "strategy": "Random",
    }  # fmt: skip
    assert found["attached"] == read
    assert found["ranges"] == {"lr": [0.01, 1.0]}
    assert found["objective"] == ["auc", "Maximize"]
    best, same = found["best"]
    assert best == same == found["best_estimator"]
    assert found["class"] == "Estimator"
    for key, kind in (("same", "IdenticalDataAndAlgorithm"), ("other", "TransferLearning")):
        warm_start, trials = found[key]
        assert warm_start["WarmStartType"] == kind
        assert warm_start["ParentHyperParameterTuningJobs"] == [
            {"HyperParameterTuningJobName": "sdk-two-xgb"}
        ]
        assert trials == 2
    assert found["both"] == {"a": read | {"optimizer": "adam"}, "s": read}
    assert found["objectives"] == {"a": "auc", "s": "auc"}


@dataclass(frozen=True)
class Aws:
    """The aws command, which finds the endpoint through environment variables."""

    place: Place
    folder: Path

    def __call__(self, operation: str, *arguments: str, **request: Any) -> Any:
        """Run ``aws sagemaker ...`` and return the JSON document that it prints."""
        ended = self.run(operation, *arguments, **request)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout or "{}")

    def run(
        self, operation: str, *arguments: str, **request: Any
    ) -> subprocess.CompletedProcess[str]:
        command = [self.folder / "python", self.folder / "aws", "sagemaker", operation]
        if request:
            command += ["--cli-input-json", json.dumps(request)]
        return subprocess.run(
            [*command, *arguments, "--output", "json"],
            env=self.place.cloud.environ(os.environ),
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def aws(place: Place, older: Path) -> Aws:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(place.source / "train.py", "train.py")
    s3 = place.cloud.session().client("s3")
    s3.put_object(Bucket=BUCKET, Key="source.tar.gz", Body=packed.getvalue())
    return Aws(place, older)


def definition(place: Place) -> dict[str, Any]:
    data = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/data/"}}
    return {
        "AlgorithmSpecification": {
            "TrainingImage": "123456789012.dkr.ecr.us-east-1.amazonaws.com/any:1",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "auc", "Regex": "auc=([0-9.]+)"}],
        },
        "RoleArn": place.role,
        "InputDataConfig": [{"ChannelName": "train", "DataSource": data}],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/output"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }


SCRIPT_MODE = {
    "sagemaker_program": "train.py",
    "sagemaker_submit_directory": f"s3://{BUCKET}/source.tar.gz",
    "optimizer": "adam",
}


def where(name: str, value: str) -> tuple[str, str]:
    """Return the arguments of a search for an exact value."""
    return "--search-expression", json.dumps({"Filters": [{"Name": name, "Value": value}]})


def tune(place: Place, aws: Aws, name: str, static: dict[str, str]) -> str:
    """Create a tuning job of three training jobs and return its ARN."""
    lr = {"Name": "lr", "MinValue": "0.01", "MaxValue": "1"}
    created = aws(
        "create-hyper-parameter-tuning-job",
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig={
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "auc"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": {"ContinuousParameterRanges": [lr]},
        },
        TrainingJobDefinition={**definition(place), "StaticHyperParameters": static},
    )
    return str(created["HyperParameterTuningJobArn"])


@pytest.mark.ci
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_aws_command_runs_a_tuning_job(place: Place, aws: Aws) -> None:
    of_job = ("--hyper-parameter-tuning-job-name", "by-the-command")
    arn = tune(place, aws, "by-the-command", SCRIPT_MODE)
    tune(place, aws, "cut-short", {**SCRIPT_MODE, "seconds": "300"})
    aws("stop-hyper-parameter-tuning-job", "--hyper-parameter-tuning-job-name", "cut-short")
    assert wait_until(lambda: status(place, "cut-short") == "Stopped", 60)
    assert wait_until(lambda: status(place, "by-the-command") == "Completed", 60)

    described = aws("describe-hyper-parameter-tuning-job", *of_job)
    assert described["HyperParameterTuningJobArn"] == arn
    listed = aws("list-training-jobs-for-hyper-parameter-tuning-job", *of_job, "--page-size", "1")
    assert len(listed["TrainingJobSummaries"]) == 3
    everything = aws("list-hyper-parameter-tuning-jobs", "--page-size", "1")
    names = {
        j["HyperParameterTuningJobName"] for j in everything["HyperParameterTuningJobSummaries"]
    }
    assert {"by-the-command", "cut-short"} <= names
    ended_well = where("HyperParameterTuningJobStatus", "Completed")
    found = aws("search", "--resource", "HyperParameterTuningJob", *ended_well, "--page-size", "1")
    names = {
        each["HyperParameterTuningJob"]["HyperParameterTuningJobName"] for each in found["Results"]
    }
    assert "by-the-command" in names
    assert "cut-short" not in names
    best = described["BestTrainingJob"]["TrainingJobName"]
    one = json.dumps(
        {"Filters": [{"Name": "TrainingJobName", "Operator": "Equals", "Value": best}]}
    )
    trained = aws("search", "--resource", "TrainingJob", "--search-expression", one)["Results"]
    assert [each["TrainingJob"]["TrainingJobName"] for each in trained] == [best]

    aws("add-tags", "--resource-arn", arn, "--tags", "Key=a,Value=b", "Key=c,Value=d")
    aws("delete-tags", "--resource-arn", arn, "--tag-keys", "a")
    assert aws("list-tags", "--resource-arn", arn)["Tags"] == [{"Key": "c", "Value": "d"}]

    stopped = aws.run("stop-hyper-parameter-tuning-job", *of_job)
    assert "ValidationException" in stopped.stderr  # it has ended
    aws("delete-hyper-parameter-tuning-job", *of_job)
    gone = aws.run("describe-hyper-parameter-tuning-job", *of_job)
    assert "ResourceNotFound" in gone.stderr


@pytest.mark.ci
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_aws_command_runs_a_training_job(place: Place, aws: Aws) -> None:
    of_job = ("--training-job-name", "trained-by-the-command")
    parameters = {**SCRIPT_MODE, "lr": "0.3", "seconds": "300"}
    aws(
        "create-training-job",
        TrainingJobName="trained-by-the-command",
        HyperParameters=parameters,
        **definition(place),
    )
    aws("stop-training-job", *of_job)

    def ended() -> bool:
        return aws("describe-training-job", *of_job)["TrainingJobStatus"] == "Stopped"

    assert wait_until(ended, 60)
    listed = aws("list-training-jobs", "--status-equals", "Stopped", "--page-size", "1")
    names = [job["TrainingJobName"] for job in listed["TrainingJobSummaries"]]
    assert "trained-by-the-command" in names


@pytest.mark.ci
@pytest.mark.slow
def test_the_aws_command_gets_an_error_for_an_unsupported_operation(aws: Aws) -> None:
    assert "not supported" in aws.run("list-models").stderr


def status(place: Place, tuning_job: str) -> str:
    described = (
        place.cloud.session()
        .client("sagemaker")
        .describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=tuning_job)
    )
    return str(described["HyperParameterTuningJobStatus"])
