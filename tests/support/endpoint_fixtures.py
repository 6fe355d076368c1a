"""Fixtures of the SageMaker endpoint with its ports in memory, called by botocore's client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from hpoq.local.sagemaker import AccountQuotas, EngineSettings, SageMakerEndpoint
from tests.support.memory_endpoint import MemoryPorts, Start, archive, bare_interpreter, client_of

SCRIPT = """
import argparse, os, pathlib, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--sleep", type=float, default=0)
parser.add_argument("--fail", default="")
known = parser.parse_args()
time.sleep(known.sleep)
if known.fail:
    sys.exit(known.fail)
rows = pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "rows.csv").read_text()
print(f"rows={len(rows)} auc=0.1")
print(f"auc={1 - (known.lr - 0.3) ** 2:.6f}")
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text(str(known.lr))
"""


@pytest.fixture
def memory() -> MemoryPorts:
    made = MemoryPorts()
    made.stored["bucket", "source.tar.gz"] = archive({"train.py": SCRIPT})
    made.stored["bucket", "data/train/rows.csv"] = b"1,2,3\n"
    return made


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_interpreter(tmp_path_factory.mktemp("bare"))


@pytest.fixture
def start(memory: MemoryPorts, tmp_path: Path, bare_python: Path) -> Iterator[Start]:
    """Return a function that starts endpoints on one home; close them after the test."""
    started: list[SageMakerEndpoint] = []

    def make(
        interpreter: Path | None = None,
        memory_mib: int | None = None,
        calls_per_second: float | None = None,
        behavior: Mapping[str, Any] | None = None,  # further settings of the engine
        **quotas: Any,
    ) -> SageMakerEndpoint:
        settings = EngineSettings(
            region="eu-central-1",
            account="123456789012",
            interpreter=interpreter or bare_python,
            memory_mib=memory_mib,
            calls_per_second=calls_per_second,
            quotas=AccountQuotas(**quotas),
            processes=4,
            **(behavior or {}),
        )
        endpoint = SageMakerEndpoint(tmp_path, memory.ports(), settings)
        endpoint.start()
        started.append(endpoint)
        return endpoint

    yield make
    for endpoint in started:
        endpoint.close()


@pytest.fixture(scope="session")
def session() -> boto3.Session:
    return boto3.Session("testing", "testing", region_name="eu-central-1")


@pytest.fixture
def sagemaker(start: Start, session: boto3.Session) -> Any:
    return client_of(start(), session)
