"""A cold start under AWS's Runtime Interface Emulator against bare boto3 with the same clients.

Both as deployed: an empty python3.13, the function's folder, the layer with its .pyc, AWS's own
runtime client. No account is called: ours reads its settings and templates and wires everything,
the bare one makes the four clients that a cycle uses.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterable
from pathlib import Path

from benchmarks.emulator import PYTHON, cold_and_warm, prepare, running
from benchmarks.measure import Measure, at_most, print_table, shown
from infra.source import write_function

NAME = "cold start"
PAIRS = 7
CLIENTS = ("sqs", "dynamodb", "sagemaker", "events")
MOST = 1.5  # times bare boto3

BARE = f"""
import boto3
CLIENTS = [boto3.client(name) for name in {CLIENTS!r}]
def handler(event, context):
    return len(CLIENTS)
"""
# The handler's own wiring, up to the first call.
OURS = """
import os
from pathlib import Path
from hpo_dispatcher.wiring import wire
WIRED = wire(os.environ, Path(os.environ["LAMBDA_TASK_ROOT"]))
def handler(event, context):
    return 4
"""
SDK = """
from sagemaker.core import image_uris
def handler(event, context):
    return 4
"""
ENVIRONMENT = {
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "HPOQ_DEPLOYMENT": "hpoq",
    "HPOQ_LEDGER_TABLE": "hpoq-ledger",
    "HPOQ_ARTIFACT_BUCKET": "artifacts",
    "HPOQ_TRAINING_ROLE_ARN": "arn:aws:iam::123456789012:role/training",
    "HPOQ_TRAINING_SOURCE": "s3://assets/training.tar.gz",
    "POWERTOOLS_SERVICE_NAME": "hpoq-dispatcher",
    "POWERTOOLS_METRICS_NAMESPACE": "hpoq",
}
DEPLOYMENT = {"teams": {"fraud": {}, "vision": {}}, "limits": {"tuning_jobs": 10}}


def results() -> Iterable[Measure]:
    """The median of the ratios of pairs, so that a busy machine slows both of a pair."""
    if PYTHON is None:
        return
    emulator = prepare()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_function(folder, DEPLOYMENT, str(PYTHON))
        (folder / "bare.py").write_text(BARE)
        (folder / "ours.py").write_text(OURS)
        (folder / "sdk.py").write_text(SDK)

        def init(module: str) -> float:
            with running(emulator, folder, f"{module}.handler", ENVIRONMENT) as port:
                (answer, _), seconds = cold_and_warm(port)
            assert answer == 4, answer
            return seconds

        init("bare"), init("ours")  # the file cache
        pairs = [(init("bare"), init("ours")) for _ in range(PAIRS)]
        sdk = init("sdk")
    yield at_most(NAME, "init, times bare boto3", statistics.median(b / a for a, b in pairs), MOST)
    yield shown(NAME, "  ours", statistics.median(b for _, b in pairs), "s")
    yield shown(NAME, "  bare boto3, the same clients", statistics.median(a for a, _ in pairs), "s")
    yield shown(NAME, "  the SageMaker SDK, imported for a new image only", sdk, "s")


if __name__ == "__main__":
    print_table(results())
