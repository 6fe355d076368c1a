"""The templates of examples/templates run to completion, sent by a user with the team's policy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
import xgboost
import yaml

from tests.support.deployed_stack import ROOT, Deployed

EXAMPLES = ROOT / "examples" / "templates"
IRIS = ROOT / "examples" / "own_model" / "iris.csv"
TEAM = "fraud"
SEARCHED = {
    "tree": ["max-leaf-nodes", "criterion"],
    "xgboost": ["eta", "max_depth"],
    "linear_learner": ["learning_rate", "wd"],
}
Hpoq = Callable[..., str]


@pytest.fixture(scope="module")
def hpoq(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Hpoq:
    """Run the command as a user who has the team's policy and nothing else."""
    function = deployed.outputs["DispatcherFunctionName"]
    deployed.client("lambda").invoke(FunctionName=function)  # publishes the settings
    iam, user = deployed.client("iam"), f"templates-{time.time_ns()}"
    iam.create_user(UserName=user)
    account = deployed.cloud.running.account
    iam.attach_user_policy(
        UserName=user, PolicyArn=f"arn:aws:iam::{account}:policy/hpoq-{TEAM}-team"
    )
    key = iam.create_access_key(UserName=user)["AccessKey"]
    environment = {
        **deployed.cloud.environ(os.environ),
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "HPOQ_TEAM": TEAM,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "lambdas")]),
    }
    folder = tmp_path_factory.mktemp("user")

    def run(*arguments: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "hpoq.cli", *arguments],
            cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=500,
        )  # fmt: skip
        assert done.returncode == status, f"{arguments}: {done.stdout[-1000:]}{done.stderr[-3000:]}"
        return done.stdout.strip()

    return run


def tuned(hpoq: Hpoq, template: Path | str, to: Path) -> Path:
    """Send a request for a template, wait for its end, and download the best model."""
    request_id = hpoq("submit", "--template", str(template))
    hpoq("watch", request_id)
    assert json.loads(hpoq("status", request_id, "--json"))["status"] == "Completed"
    hpoq("best", request_id, "--download", str(to))
    return to


def iris() -> tuple[pd.DataFrame, pd.Series]:
    rows = pd.read_csv(IRIS)
    return rows.iloc[:, :-1], rows.iloc[:, -1]


@pytest.mark.timeout(600)
def test_a_scikit_learn_script(hpoq: Hpoq, tmp_path: Path) -> None:
    hpoq("data", "push", str(IRIS), "--prefix", "data/iris/train")
    model = joblib.load(tuned(hpoq, EXAMPLES / "tree.yaml", tmp_path) / "model.joblib")
    features, classes = iris()
    assert (model.predict(features) == classes).mean() > 0.9


@pytest.mark.timeout(600)
def test_a_pytorch_script_with_requirements(hpoq: Hpoq, tmp_path: Path) -> None:
    hpoq("data", "push", str(IRIS), "--prefix", "data/iris/train")
    model = torch.jit.load(tuned(hpoq, EXAMPLES / "network.yaml", tmp_path) / "model.pt")
    features, classes = iris()
    with torch.no_grad():
        scores = model(torch.tensor(features.to_numpy(), dtype=torch.float32)).numpy()
    assert (scores.argmax(1) == classes).mean() > 0.8


@pytest.mark.timeout(600)
def test_the_built_in_xgboost(hpoq: Hpoq, tmp_path: Path) -> None:
    hpoq("data", "push", str(EXAMPLES / "xgboost"), "--prefix", "data/iris-xgboost")
    booster = xgboost.Booster()
    booster.load_model(tuned(hpoq, EXAMPLES / "xgboost.yaml", tmp_path) / "xgboost-model")
    features, classes = iris()
    scores = booster.predict(xgboost.DMatrix(features.to_numpy()))
    assert (np.asarray(scores).argmax(1) == classes).mean() > 0.9


@pytest.mark.timeout(600)
def test_the_built_in_linear_learner(hpoq: Hpoq, tmp_path: Path) -> None:
    hpoq("data", "push", str(EXAMPLES / "xgboost"), "--prefix", "data/iris-xgboost")
    folder = tuned(hpoq, EXAMPLES / "linear_learner.yaml", tmp_path)
    model = json.loads((folder / "model.json").read_text())
    features, classes = iris()
    scores = features.to_numpy() @ np.array(model["weights"]) + model["bias"]
    assert (scores.argmax(1) == classes).mean() > 0.8


@pytest.mark.timeout(600)
def test_any_image_with_the_training_toolkit(hpoq: Hpoq, tmp_path: Path) -> None:
    tuned(hpoq, EXAMPLES / "any_image.yaml", tmp_path)
    assert abs(float((tmp_path / "x.txt").read_text()) - 1) <= 2


@pytest.mark.timeout(600)
def test_an_image_with_a_program_of_its_own_fails_with_one_line(hpoq: Hpoq, tmp_path: Path) -> None:
    fields = yaml.safe_load((EXAMPLES / "any_image.yaml").read_text())
    del fields["entry_point"], fields["source"]
    template = tmp_path / "own_program.yaml"
    template.write_text(yaml.safe_dump(fields))
    request_id = hpoq("submit", "--template", str(template))
    hpoq("watch", request_id, status=3)
    why = hpoq("why", request_id)
    assert "this endpoint does not pull images" in why


@pytest.mark.timeout(600)
def test_a_first_template_from_a_script_runs_as_it_is(hpoq: Hpoq, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text((ROOT / "examples" / "own_model" / "train.py").read_text())
    template = hpoq("template", "new", "draft", "--from-script", str(script))
    hpoq("data", "push", str(IRIS), "--prefix", "data/draft/train")
    fewer = Path(template).read_text().replace("max_training_jobs: 20", "max_training_jobs: 2")
    Path(template).write_text(fewer)
    joblib.load(tuned(hpoq, template, tmp_path / "model") / "model.joblib")


@pytest.mark.timeout(600)
def test_the_same_models_in_campaigns(hpoq: Hpoq, tmp_path: Path) -> None:
    hpoq("data", "push", str(IRIS), "--prefix", "data/iris/train")
    hpoq("data", "push", str(EXAMPLES / "xgboost"), "--prefix", "data/iris-xgboost")
    # The network installs packages for minutes: planning it is enough.
    for name, strategy in (("network", "single"), ("xgboost", "independent"), ("tree", "ray")):
        plan = str(tmp_path / f"{name}.plan.json")
        hpoq(
            "campaign", "plan", str(ROOT / "examples" / "campaign" / f"{name}.yaml"),
            "--name", f"own-{name}", "--trials", "2", "--minutes", "0.1", "--strategy", strategy,
            "--limit", "instances=1", "--out", plan,
        )  # fmt: skip
        if name == "network":
            continue
        hpoq("campaign", "run", plan, "--every", "1")
        rows = json.loads(hpoq("campaign", "results", plan, "--json"))
        assert [row["usable"] for row in rows] == [True] * 2, rows
        assert all(row["hp." + each] is not None for row in rows for each in SEARCHED[name])
