"""What a script notices when its training job is stopped."""

from __future__ import annotations

import pytest
from boto3 import Session

from hpoq.local.lifecycle.processes import wait_until
from tests.support.memory_endpoint import (
    MemoryPorts,
    Start,
    archive,
    client_of,
    ended,
    training_job,
)

SCRIPT = """
import signal, sys, time

def end(*_):
    print("SIGTERM received", flush=True)
    sys.exit(0)

signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("sigterm", [True, False])
def test_a_stopped_script_receives_sigterm_only_if_the_account_sends_it(
    start: Start, session: Session, memory: MemoryPorts, *, sigterm: bool
) -> None:
    memory.stored["bucket", "source.tar.gz"] = archive({"train.py": SCRIPT})
    behavior = {"sigterm": sigterm, "stop_grace_seconds": 0.5 if not sigterm else 60}
    sagemaker = client_of(start(behavior=behavior), session)
    sagemaker.create_training_job(**training_job("alone"))

    def printed() -> list[str]:
        return [line for lines in memory.lines.values() for line in lines]

    assert wait_until(lambda: "ready" in printed(), 30)
    sagemaker.stop_training_job(TrainingJobName="alone")

    assert ended(sagemaker, "alone")["TrainingJobStatus"] == "Stopped"
    assert ("SIGTERM received" in printed()) is sigterm
