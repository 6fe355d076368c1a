"""An endpoint with its ports in memory whose training processes end at once."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hpoq.local.lifecycle.processes import wait_until
from hpoq.local.sagemaker import EngineSettings, SageMakerEndpoint
from hpoq.local.sagemaker.training import training_run
from tests.support.instant_processes import InstantProcesses
from tests.support.memory_endpoint import MemoryPorts, archive

ACTIVE = ("InProgress", "Stopping")
KINDS = {"ListTrainingJobs": "TrainingJob",
         "ListHyperParameterTuningJobs": "HyperParameterTuningJob"}  # fmt: skip


class EngineScene:
    """An endpoint that can be started again on its jobs.

    Args:
        home: its folder.
        memory: its ports.
    """

    def __init__(self, home: Path, memory: MemoryPorts) -> None:
        self._home, self._memory = home, memory
        self._settings = EngineSettings(
            region="eu-central-1",
            account="123456789012",
            interpreter=Path(sys.executable),
            deletion_seconds=0.01,
        )
        self.failed_starts = 0  # including those that only logged an error
        self.endpoint = self._started()

    def _started(self) -> SageMakerEndpoint:
        endpoint = SageMakerEndpoint(self._home, self._memory.ports(), self._settings)
        endpoint.start()
        return endpoint

    def restart(self) -> None:
        """Close the endpoint and start another one on its jobs."""
        self.endpoint.close()
        errors: list[logging.LogRecord] = []
        handler = logging.Handler(logging.ERROR)
        handler.emit = errors.append  # type: ignore[method-assign, assignment]
        logger = logging.getLogger("hpoq.local.sagemaker")
        logger.addHandler(handler)
        try:
            self.endpoint = self._started()
        finally:
            logger.removeHandler(handler)
        self.failed_starts += bool(errors)

    def send(self, operation: str, body: bytes) -> tuple[int, Any]:
        """Send a request and return status and response."""
        status, _, answer = self.endpoint.handle(f"SageMaker.{operation}", body)
        return status, json.loads(answer)

    def ask(self, operation: str, **request: Any) -> tuple[int, Any]:
        """Call an operation and return status and response."""
        return self.send(operation, json.dumps(request).encode())

    def jobs(self, operation: str, **filters: Any) -> list[dict[str, Any]]:
        """Return the summaries of a list operation, all of its pages."""
        found: list[dict[str, Any]] = []
        more: dict[str, Any] = {}
        while True:
            status, answer = self.ask(operation, MaxResults=100, **filters, **more)
            if status != 200:
                return [{f"{KINDS[operation]}Name": f"{operation}: {answer}"}]
            found += answer[f"{KINDS[operation]}Summaries"]
            if "NextToken" not in answer:
                return found
            more = {"NextToken": answer["NextToken"]}

    def unfinished(self) -> list[str]:
        """Return the names of the jobs that have not ended."""
        return [
            job[f"{kind}Name"]
            for operation, kind in KINDS.items()
            for status in ACTIVE
            for job in self.jobs(operation, StatusEquals=status)
        ]

    def all_end(self, seconds: float) -> bool:
        """Return whether all jobs end in time."""
        return wait_until(lambda: self.unfinished() == [], seconds, step=0.005)

    def stop_all(self) -> None:
        """Stop every job that has not ended."""
        for operation, kind in KINDS.items():
            for status in ACTIVE:
                for job in self.jobs(operation, StatusEquals=status):
                    self.ask(f"Stop{kind}", **{f"{kind}Name": job[f"{kind}Name"]})


@contextmanager
def engine_scene(home: Path, patch: pytest.MonkeyPatch) -> Iterator[EngineScene]:
    """Yield a scene with the objects that the requests of memory_endpoint.py name."""
    patch.setattr(training_run, "ProcessPool", InstantProcesses)
    memory = MemoryPorts()
    memory.stored["bucket", "source.tar.gz"] = archive({"train.py": ""})
    memory.stored["bucket", "data/train/rows.csv"] = b"1,2,3\n"
    scene = EngineScene(home, memory)
    try:
        yield scene
    finally:
        scene.endpoint.close()
