"""Tuners of the SageMaker SDK run to completion through the queue of a team, as its own user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.metrics import roc_auc_score

from hpo_dispatcher.contract.names import workspace_prefix
from hpoq.local.session import CloudSession
from tests.support.deployed_stack import ROOT, Deployed
from tests.support.older_clients import older

__all__ = ["older"]

TEAM = "fraud"
CLIENTS = Path(__file__).parent / "clients"
SCRIPT = """
import argparse, os, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--optimizer")
known, _ = parser.parse_known_args()
assert known.optimizer in ("adam", "sgd"), known.optimizer
assert pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "rows.csv").read_text() == "1,2"
print(f"auc={1 - (known.lr - 0.3) ** 2:.6f}")
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text(str(known.lr))
"""
# The label and two features of each row.
ROWS = [(n % 2, n % 7, n % 2 + n % 3) for n in range(60)]


@dataclass(frozen=True)
class Scientist:
    """A user with the team's policy and nothing else, and the user's files."""

    session: CloudSession
    environment: dict[str, str]
    source: Path
    data: str

    def run(self, program: str, *arguments: str, python: str = sys.executable) -> Any:
        """Run a program and return the JSON document of its last line."""
        done = subprocess.run(
            [python, str(CLIENTS / program), TEAM, str(self.source), self.data, *arguments],
            env=self.environment,
            cwd=self.source.parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=360,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def scientist(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Scientist:
    function = deployed.outputs["DispatcherFunctionName"]
    deployed.client("lambda").invoke(FunctionName=function)  # publishes the settings
    iam = deployed.client("iam")
    user = f"scientist-{time.time_ns()}"
    iam.create_user(UserName=user)
    policy = f"arn:aws:iam::{deployed.cloud.running.account}:policy/hpoq-{TEAM}-team"
    iam.attach_user_policy(UserName=user, PolicyArn=policy)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    session = CloudSession(
        deployed.cloud.running,
        access_key_id=key["AccessKeyId"],
        secret_access_key=key["SecretAccessKey"],
    )
    environment = {
        **deployed.cloud.environ(os.environ),
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "lambdas")]),
    }
    folder = tmp_path_factory.mktemp("scientist")
    source = folder / "source"
    source.mkdir()
    (source / "train.py").write_text(SCRIPT)
    bucket = deployed.outputs["ArtifactBucketName"]
    place = f"{workspace_prefix(TEAM)}data"
    session.client("s3").put_object(Bucket=bucket, Key=f"{place}/toy/rows.csv", Body=b"1,2")
    rows = "\n".join(",".join(map(str, row)) for row in ROWS)
    session.client("s3").put_object(Bucket=bucket, Key=f"{place}/csv/rows.csv", Body=rows.encode())
    return Scientist(session, environment, source, f"s3://{bucket}/{place}/toy/")


@pytest.mark.timeout(400)
def test_a_tuner_of_the_sagemaker_sdk_version_3_runs_through_the_queue(
    scientist: Scientist,
) -> None:
    found = scientist.run("queued_v3.py")

    assert found["status"] == "Completed"
    assert len(found["values"]) == 3
    assert found["best"] == found["attached_best"]
    assert found["analytics"] == sorted(found["values"])
    predicted = 1 - (float(found["model"]) - 0.3) ** 2  # what the best model predicts
    assert max(found["values"]) == pytest.approx(predicted, abs=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_tuners_of_the_sagemaker_sdk_version_2_run_through_the_queue(
    scientist: Scientist, older: Path
) -> None:
    csv = scientist.data.replace("/toy/", "/csv/")
    pytorch, trees = scientist.run("queued_v2.py", csv, python=str(older / "python"))

    for found in (pytorch, trees):
        assert found["status"] == "Completed"
        assert found["best"] == found["by_tuner"] == found["attached"]
        assert len(found["values"]) == 3
    model = Path(pytorch["folder"], "model.txt").read_text()
    predicted = 1 - (float(model) - 0.3) ** 2
    assert max(pytorch["values"]) == pytest.approx(predicted, abs=1e-5)
    booster = xgboost.Booster()
    booster.load_model(Path(trees["folder"], "xgboost-model"))
    scores = booster.predict(xgboost.DMatrix(np.array([row[1:] for row in ROWS])))
    auc = roc_auc_score([row[0] for row in ROWS], scores)
    assert max(trees["values"]) == pytest.approx(auc, abs=1e-4)


@pytest.mark.timeout(400)
def test_a_team_tunes_a_script_and_a_csv_file_of_its_own(
    scientist: Scientist, tmp_path: Path
) -> None:
    example = ROOT / "examples" / "own_model"
    done = subprocess.run(
        [sys.executable, str(example / "tune.py"), TEAM],
        env=scientist.environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=360,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    model = joblib.load(tmp_path / "model" / "model.joblib")
    rows = pd.read_csv(example / "iris.csv")
    assert (model.predict(rows.iloc[:, :-1]) == rows.iloc[:, -1]).mean() > 0.9
