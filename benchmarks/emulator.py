"""Run a function under AWS's Lambda Runtime Interface Emulator."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpoq.local.lifecycle import interpreters
from hpoq.local.lifecycle.processes import wait_until

ROOT = Path(__file__).parents[1]
SAM_CLI, RUNTIME_CLIENT = "aws-sam-cli==1.170.0", "awslambdaric==4.2.2"
CACHE = ROOT / ".cache" / "emulator"
PYTHON = interpreters.find("3.13")


def free_port() -> int:
    """Return a port that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Emulator:
    """The paths of the emulator, the runtime client and the layer."""

    binary: Path
    runtime_client: Path
    layer: Path


def prepare() -> Emulator:
    """Download the emulator (from the SAM CLI's wheel) and the runtime client; build the layer."""
    pip = [str(PYTHON), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    binary = CACHE / "aws-lambda-rie-x86_64"
    if not binary.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        download = [*pip, "download", "--no-deps", "--dest", str(CACHE), SAM_CLI]
        subprocess.run(download, check=True, capture_output=True)
        with zipfile.ZipFile(next(CACHE.glob("aws_sam_cli-*.whl"))) as wheel:
            binary.write_bytes(wheel.read(f"samcli/local/rapid/{binary.name}"))
        binary.chmod(0o755)
    client = CACHE / "runtime"
    if not client.exists():
        install = [*pip, "install", "--target", str(client), RUNTIME_CLIENT]
        subprocess.run(install, check=True, capture_output=True)
    layer = CACHE / "layer"
    build = [sys.executable, str(ROOT / "layers" / "sagemaker_sdk" / "build.py"), str(layer)]
    subprocess.run(build, check=True, capture_output=True)
    return Emulator(binary, client, layer)


@contextmanager
def running(
    emulator: Emulator, task: Path, handler: str, environment: dict[str, str]
) -> Iterator[int]:
    """Run the emulator and yield its port."""
    port, log = free_port(), task / "emulator.log"
    path = [task, emulator.layer / "python", emulator.runtime_client]
    variables = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(task),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "120",
        "AWS_LAMBDA_FUNCTION_NAME": "hpoq-dispatcher",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
        "LAMBDA_TASK_ROOT": str(task),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": ":".join(map(str, path)),
    }
    command = [
        str(emulator.binary), "--log-level", "error",
        "--runtime-interface-emulator-address", f"127.0.0.1:{port}",
        "--runtime-api-address", f"127.0.0.1:{free_port()}",
        str(PYTHON), "-S", "-m", "awslambdaric", handler,
    ]  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=variables | environment, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


def invoke(port: int, event: dict[str, Any]) -> Any:
    """Invoke the function and return its response."""
    answers: list[Any] = []

    def answered() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        try:
            body = json.dumps(event)
            connection.request("POST", "/2015-03-31/functions/function/invocations", body)
            answers.append(json.loads(connection.getresponse().read()))
        except ConnectionRefusedError:
            return False
        return True

    assert wait_until(answered, 60), "the emulator does not answer"
    return answers[0]


def cold_and_warm(port: int) -> tuple[list[Any], float]:
    """Invoke the function twice; return the responses and the extra seconds of the first call.

    The emulator starts the runtime at the first invocation, so the extra seconds are the init: the
    interpreter, all imports, and the handler's first-time work.
    """
    answers, seconds = [], []
    for _ in range(2):
        began = time.monotonic()
        answers.append(invoke(port, {}))
        seconds.append(time.monotonic() - began)
    return answers, seconds[0] - seconds[1]
