"""Training jobs that take seconds: interruptions, limits, and the drivers of the SDK."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path
from typing import Any

from boto3 import Session

from tests.support.memory_endpoint import (
    MemoryPorts,
    Start,
    archive,
    client_of,
    ended,
    training_job,
)
from tests.support.sdk_drivers import model_trainer_job


def runs(memory: MemoryPorts, script: str, **files: str) -> None:
    memory.stored["bucket", "source.tar.gz"] = archive({"train.py": script, **files})


def unpacked(memory: MemoryPorts, key: str) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(memory.stored["bucket", key])) as packed:
        return {
            member.name: packed.extractfile(member).read().decode()  # type: ignore[union-attr]
            for member in packed
            if member.isfile()
        }


COUNTING = """
import os, pathlib, time
kept = pathlib.Path(os.environ["SM_CHECKPOINT_DIR"], "steps")
done = int(kept.read_text()) if kept.exists() else 0
print(f"begins at {done}", flush=True)
for step in range(done, 12):
    time.sleep(0.1)
    written = kept.with_suffix(".sagemaker-uploading")
    written.write_text(str(step + 1))
    written.replace(kept)  # atomically: it may be killed or uploaded at any time
"""


def test_an_interrupted_spot_job_resumes_from_its_checkpoint(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    runs(memory, COUNTING)
    job = training_job("spot") | {
        "EnableManagedSpotTraining": True,
        "CheckpointConfig": {"S3Uri": "s3://bucket/checkpoints/"},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120},
        "Environment": {"HPOQ_INTERRUPT_AFTER_SECONDS": "0.5"},
    }
    sagemaker.create_training_job(**job)

    done = ended(sagemaker, "spot")
    assert done["TrainingJobStatus"] == "Completed", done
    said = [line for lines in memory.lines.values() for line in lines]
    first, second = (int(line.split()[-1]) for line in said)
    assert first == 0
    assert 0 < second < 12
    assert memory.stored["bucket", "checkpoints/steps"] == b"12"
    statuses = [each["Status"] for each in done["SecondaryStatusTransitions"]]
    again = ["Starting", "Downloading", "Training"]
    assert statuses == [*again, "Interrupted", *again, "Uploading", "Completed"]


def test_a_training_job_stops_after_its_maximum_runtime(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    runs(
        memory,
        "import os, pathlib, time\n"
        "pathlib.Path(os.environ['SM_MODEL_DIR'], 'half').write_text('done')\n"
        "time.sleep(60)\n",
    )
    job = training_job("slow") | {"StoppingCondition": {"MaxRuntimeInSeconds": 1}}
    sagemaker.create_training_job(**job)

    done = ended(sagemaker, "slow")
    assert (done["TrainingJobStatus"], done["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert unpacked(memory, "output/slow/output/model.tar.gz") == {"half": "done"}


def test_the_drivers_of_the_sdk_run_from_their_channel(
    start: Start, session: Session, memory: MemoryPorts
) -> None:
    """ModelTrainer of SDK 3 sends an entrypoint in one channel and the code in another."""
    sagemaker = client_of(start(interpreter=Path(sys.executable)), session)
    script = (
        "import os, sys, pathlib\n"
        "print('auc=0.5', sys.argv[1:], os.environ['SM_MASTER_ADDR'])\n"
        "pathlib.Path(os.environ['SM_MODEL_DIR'], 'model').write_text('m')\n"
    )
    job = model_trainer_job(memory, "by-drivers", script)
    sagemaker.create_training_job(**job)

    done = ended(sagemaker, "by-drivers")
    assert done["TrainingJobStatus"] == "Completed", done["FailureReason"]
    said = [line for lines in memory.lines.values() for line in lines]
    assert "auc=0.5 ['--lr', '0.5'] 127.0.0.1" in said
    assert done["FinalMetricDataList"][0]["Value"] == 0.5
    assert unpacked(memory, "output/by-drivers/output/model.tar.gz") == {"model": "m"}
