"""Jobs that an earlier version stored.

``data/jobs_of_earlier_version.sql`` is the dump of a store of commit f3e5be7, whose cloud was
stopped while a tuning job and a training job were running.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from boto3 import Session

from hpoq.local.sagemaker import SageMakerEndpoint
from tests.support.memory_endpoint import MemoryPorts, Start, archive, client_of, describe, ended

DUMP = Path(__file__).parent / "data" / "jobs_of_earlier_version.sql"
SCRIPT = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", default=1.0)
print(f"auc={parser.parse_known_args()[0].lr}")
"""


@pytest.fixture
def upgraded(memory: MemoryPorts, start: Start, tmp_path: Path) -> SageMakerEndpoint:
    """Return an endpoint that starts on the jobs of the earlier version."""
    memory.stored["upgrade", "source.tar.gz"] = archive({"train.py": SCRIPT})
    file = tmp_path / "sagemaker" / "jobs.sqlite"
    file.parent.mkdir()
    with sqlite3.connect(file) as database:
        database.executescript(DUMP.read_text())
    database.close()
    return start()


def test_jobs_of_an_earlier_version_are_described_and_resumed(
    upgraded: SageMakerEndpoint, session: Session, memory: MemoryPorts
) -> None:
    sagemaker: Any = client_of(upgraded, session)

    done = ended(sagemaker, "done")
    assert done["FinalMetricDataList"][0]["Value"] == 0.5
    assert sagemaker.list_tags(ResourceArn=done["TrainingJobArn"])["Tags"] == [
        {"Key": "a", "Value": "b"}
    ]
    assert ended(sagemaker, "running")["TrainingJobStatus"] == "Completed"
    assert memory.await_status("tune", "Completed", "Failed") == "Completed"
    tune = describe(sagemaker, "tune")
    assert tune["TrainingJobStatusCounters"]["Completed"] == 4
    best = tune["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    assert best == pytest.approx(0.94284, abs=1e-4)
