"""A tuning job that takes too long."""

from __future__ import annotations

from pathlib import Path

from boto3 import Session

from hpoq.local.sagemaker.store import Store
from tests.support.memory_endpoint import (
    MemoryPorts,
    Start,
    client_of,
    describe,
    tuning_job,
)


def test_a_tuning_job_completes_after_its_maximum_runtime(
    start: Start, session: Session, memory: MemoryPorts, tmp_path: Path
) -> None:
    job = tuning_job("job-1", jobs=50, parallel=2, static={"sleep": "60"})
    limits = job["HyperParameterTuningJobConfig"]["ResourceLimits"]
    limits["MaxRuntimeInSeconds"] = 120  # SageMaker's minimum
    first = start()
    client_of(first, session).create_hyper_parameter_tuning_job(**job)
    first.close()
    store = Store(tmp_path / "sagemaker" / "jobs.sqlite")
    record = store.tuning_jobs.get("job-1")
    assert record is not None
    store.tuning_jobs.save(record | {"CreationTime": record["CreationTime"] - 118})
    store.close()

    sagemaker = client_of(start(), session)

    assert memory.await_status("job-1", "Completed", "Failed", seconds=30) == "Completed"
    counters = describe(sagemaker, "job-1")["TrainingJobStatusCounters"]
    assert (counters["Completed"], counters["Stopped"]) == (0, 2)
