from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hpoq.botocore_config import INTERACTIVE, PATIENT
from hpoq.client.connection import DeploymentConnection


class Session:
    """A session that notices two threads in it: boto3's are not thread-safe."""

    def __init__(self) -> None:
        self._inside = threading.Lock()
        self.made: list[tuple[str, Any]] = []

    def client(self, service: str, config: Any) -> object:
        assert self._inside.acquire(blocking=False), "two threads are in the session"
        time.sleep(0.001)
        self.made.append((service, config))
        self._inside.release()
        return object()


def test_threads_create_clients_one_after_another_and_each_once() -> None:
    session: Any = Session()
    connection = DeploymentConnection("hpoq", session)
    services = ["sqs", "dynamodb", "sagemaker"] * 8
    with ThreadPoolExecutor(len(services)) as pool:
        found = list(pool.map(connection.service, services))
    assert sorted(name for name, _ in session.made) == ["dynamodb", "sagemaker", "sqs"]
    assert len(set(found)) == 3


def test_clients_with_other_retries_are_other_clients() -> None:
    session: Any = Session()
    connection = DeploymentConnection("hpoq", session)
    assert connection.service("sagemaker") is connection.service("sagemaker", INTERACTIVE)
    assert connection.service("sagemaker") is not connection.service("sagemaker", PATIENT)
