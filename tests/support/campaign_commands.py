"""A folder with a request, and the commands of ``hpoq campaign`` in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hpoq.campaign.backends.direct import DirectBackend
from hpoq.campaign.backends.interface import Backend
from hpoq.campaign.running_campaign import RunningCampaign
from hpoq.cli.campaign import app

REQUEST = """
strategy: Bayesian
objective: {metric: auc, type: Maximize}
hyperparameter_ranges:
  lr: {type: continuous, min: 0.0001, max: 1.0, scaling: Logarithmic}
"""


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder with a request."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hpoq.campaign.planning.account_limits.limits_of", lambda *_: {})
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("HPOQ_TEAM", "fraud")
    Path("request.yaml").write_text(REQUEST)


def run_on(monkeypatch: pytest.MonkeyPatch, backend: Backend) -> None:
    """Let campaigns through a queue run on a backend."""
    monkeypatch.setattr(
        RunningCampaign, "queued", lambda file, *_, **__: RunningCampaign(file, backend)
    )


def run_directly_on(monkeypatch: pytest.MonkeyPatch, sagemaker: Any) -> None:
    """Let direct campaigns use a SageMaker client."""
    monkeypatch.setattr(
        RunningCampaign,
        "direct",
        lambda file, target=None: RunningCampaign(file, DirectBackend(sagemaker, target)),
    )


def hpoq(*words: object) -> Any:
    """Run ``hpoq campaign``."""
    return CliRunner().invoke(app, [str(word) for word in words])


def planned(*more: object, name: str = "credit", trials: int = 40) -> Any:
    """Plan a campaign of the request."""
    limits = ["--limit", "instances=4", "--limit", "parallel_training_jobs=2"]
    given = ["plan", "request.yaml", "--name", name, "--trials", trials, "--minutes", 1]
    return hpoq(*given, *limits, *more)
