"""An embedded cloud, and the stack deployed in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from boto3 import Session

from hpoq.local import cloud as clouds
from hpoq.local.cloud import Cloud

ROOT = Path(__file__).parents[2]
TEAMS = '{"fraud": {"notify": true}, "vision": {}}'


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Start an embedded cloud and stop it at the end of the session."""
    kept = os.environ.get("HPOQ_TEST_HOME")
    home = Path(kept) if kept else tmp_path_factory.mktemp("cloud") / ".hpoq"
    started = clouds.start(home)
    try:
        yield started
    finally:
        started.stop()


@dataclass(frozen=True)
class Deployed:
    """The stack in the embedded cloud."""

    cloud: Cloud
    outputs: dict[str, str]

    @property
    def session(self) -> Session:
        return self.cloud.session()

    def client(self, service: str, **options: Any) -> Any:
        session: Any = self.session  # the stubs want the name of the service as a literal
        return session.client(service, **options)

    def queue(self, team: str) -> str:
        """Return the URL of a team's request queue."""
        return self.outputs[f"RequestQueueUrl{team.title()}"]

    def dead_letters(self, team: str) -> str:
        """Return the URL of a team's dead-letter queue."""
        return self.outputs[f"DeadLetterQueueUrl{team.title()}"]
