"""Tuners of the SageMaker SDK run to completion through the queue of a team, as its own user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
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
# The lines of the programs that change on their way to the queue, an added one included.
QUEUED = {
    "tuning_v3.py": {
        "import sys": "import sys, hpoq",
        "    sagemaker_session=Session(),": (
            f'    sagemaker_session=hpoq.TuningQueue("{TEAM}").session(),'
        ),
    },
    "tuning_v2_pytorch.py": {
        "import sys": "import sys, hpoq",
        'tuner.fit({"train": data})': (
            f'job = hpoq.TuningQueue("{TEAM}").submit(tuner, {{"train": data}})'
        ),
    },
    "tuning_v2_xgboost.py": {
        "import sys": "import sys, hpoq",
        "tuner.fit(inputs)": f'job = hpoq.TuningQueue("{TEAM}").submit(tuner, inputs)',
    },
}
# The end of each program, which reads the results.
HOW_TO_GET_THE_JOB = {
    "tuning_v3.py": f'job = hpoq.TuningQueue("{TEAM}").list_jobs()[0]',
    "tuning_v2_pytorch.py": "tuner.wait()  # as before: it follows its tuning job by itself",
    "tuning_v2_xgboost.py": "",
}
RESULTS = """import json

job.wait(poll=1)
folder = job.download_model("model")
attached = job.tuner(tuner)
found = {
    "status": job.status,
    "best": job.best_training_job,
    "values": list(job.results()["FinalObjectiveValue"]),
    "by_tuner": str(tuner.best_training_job()),
    "attached": str(attached.best_training_job()),
    "analytics": sorted(attached.analytics().dataframe()["FinalObjectiveValue"]),
    "folder": str(folder.resolve()),
}
sys.stdout.write("\\n" + json.dumps(found) + "\\n")
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

    def queued(self, program: str, folder: Path, data: str, python: str = sys.executable) -> Any:
        """Run a program with the lines of ``QUEUED`` changed; return what it found."""
        lines = (CLIENTS / program).read_text().splitlines()
        changes = QUEUED[program]
        assert len(changes) <= 2
        for before, after in changes.items():
            assert lines.count(before) == 1, before
            lines[lines.index(before)] = after
        text = "\n".join([*lines, HOW_TO_GET_THE_JOB[program], RESULTS])
        folder.mkdir()
        (folder / program).write_text(text)
        done = subprocess.run(
            [python, program, str(self.source), data],
            env=self.environment,
            cwd=folder,
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


def check(found: Any) -> None:
    """Check that a tuner and its queued job tell the same."""
    assert found["status"] == "Completed"
    assert len(found["values"]) == 3
    assert found["best"] == found["by_tuner"] == found["attached"]
    assert found["analytics"] == sorted(found["values"])


def prediction(folder: str) -> float:
    """Return the value that the model of the script predicts."""
    return 1 - (float(Path(folder, "model.txt").read_text()) - 0.3) ** 2


@pytest.mark.timeout(400)
def test_a_tuner_of_the_sagemaker_sdk_version_3_runs_through_the_queue(
    scientist: Scientist, tmp_path: Path
) -> None:
    found = scientist.queued("tuning_v3.py", tmp_path / "v3", scientist.data)

    check(found)
    assert max(found["values"]) == pytest.approx(prediction(found["folder"]), abs=1e-5)


@pytest.mark.ci
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_tuners_of_the_sagemaker_sdk_version_2_run_through_the_queue(
    scientist: Scientist, older: Path, tmp_path: Path
) -> None:
    csv = scientist.data.replace("/toy/", "/csv/")
    python = str(older / "python")
    with ThreadPoolExecutor() as pool:
        runs = [
            pool.submit(scientist.queued, program, tmp_path / program[:-3], data, python)
            for program, data in (
                ("tuning_v2_pytorch.py", scientist.data), ("tuning_v2_xgboost.py", csv),
            )
        ]  # fmt: skip
        pytorch, trees = (run.result() for run in runs)

    check(pytorch)
    check(trees)
    assert max(pytorch["values"]) == pytest.approx(prediction(pytorch["folder"]), abs=1e-5)
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
