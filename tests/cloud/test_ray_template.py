"""A Ray Tune search runs through the queue as one training job."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import tarfile

import pytest

from hpo_dispatcher.contract.entry import Entry, Status
from hpoq.client import Client
from hpoq.local.lifecycle.processes import wait_until
from tests.support.deployed_stack import ROOT, Deployed

TRIALS = 6
PATIENCE = 200.0  # seconds


@pytest.fixture(scope="module")
def data(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("data")
    command = [sys.executable, "-m", "training.prepare_data", "--synthetic", "--out", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    s3 = deployed.client("s3")
    for path in sorted(folder.rglob("*.npz")):
        key = f"data/credit-default/{path.relative_to(folder).as_posix()}"
        s3.upload_file(str(path), deployed.outputs["ArtifactBucketName"], key)


@pytest.mark.usefixtures("data")
@pytest.mark.timeout(PATIENCE + 60)
def test_a_ray_search_is_queued_and_counted_as_one_training_job(deployed: Deployed) -> None:
    client = Client("hpoq", session=deployed.session)
    ranges = {"lr": {"type": "continuous", "min": 1e-3, "max": 3e-2, "scaling": "Logarithmic"}}
    asked = {
        "request_id": "ray-a",
        "template": "credit-default-ray",
        "hyperparameters": {"epochs": 2, "trials": TRIALS, "hidden": "16", "batch-size": 2048},
        "hyperparameter_ranges": ranges,
    }
    client.submit("vision", [asked])
    ended: list[Entry] = []

    def has_ended() -> bool:
        ended[:] = [
            e for e in client.entries("vision") if e.request_id == "ray-a" and e.status.ended
        ]
        return bool(ended)

    assert wait_until(has_ended, PATIENCE, step=0.5)
    entry = ended[0]
    assert entry.status is Status.COMPLETED, entry.reason
    assert entry.counters["Completed"] == 1
    assert entry.instances == {"ml.m5.xlarge": 1}
    assert entry.best is not None
    assert entry.best.objective > 0.5
    table = _table(deployed, entry.best.name)
    assert len(table) == TRIALS
    assert len({row["config/lr"] for row in table}) == TRIALS
    assert max(float(row["validation_auc"]) for row in table) == pytest.approx(
        entry.best.objective, abs=1e-6
    )


def _table(deployed: Deployed, training_job: str) -> list[dict[str, str]]:
    """Return the rows of results.csv in the training job's model.tar.gz."""
    job = deployed.client("sagemaker").describe_training_job(TrainingJobName=training_job)
    bucket, _, key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").partition("/")
    content = deployed.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert {"model.pt", "results.parquet", "results.csv"} <= set(archive.getnames())
        found = archive.extractfile("results.csv")
        assert found is not None
        return list(csv.DictReader(io.TextIOWrapper(found, "utf-8")))
