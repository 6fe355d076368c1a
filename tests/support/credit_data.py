"""The credit-default data set in the bucket of a deployment, and small searches on it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.deployed_stack import ROOT, Deployed

CSV = ROOT.parent / "shared" / "data" / "UCI_Credit_Card.csv"
PREFIX = "data/credit-default"


def upload(deployed: Deployed, folder: Path) -> None:
    """Prepare the data set in a folder and upload it to where the template reads it."""
    source = ["--data", str(CSV)] if CSV.exists() else ["--synthetic"]
    command = [sys.executable, "-m", "training.prepare_data", *source, "--out", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    s3 = deployed.client("s3")
    for path in sorted(folder.rglob("*.npz")):
        key = f"{PREFIX}/{path.relative_to(folder).as_posix()}"
        s3.upload_file(str(path), deployed.outputs["ArtifactBucketName"], key)


def search(request_id: str, strategy: str, *, trials: int, epochs: int) -> dict[str, Any]:
    """Return a small search in which every trial trains a PyTorch model on the whole data set."""
    return {
        "version": 1,
        "request_id": request_id,
        "strategy": strategy,
        "hyperparameters": {"epochs": epochs},
        "hyperparameter_ranges": {
            "lr": {"type": "continuous", "min": 1e-3, "max": 3e-2, "scaling": "Logarithmic"},
            "batch-size": {"type": "integer", "min": 256, "max": 1024},
        },
        "resource_limits": {"max_training_jobs": trials, "max_parallel_training_jobs": 2},
    }
