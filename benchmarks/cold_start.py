"""Compare the function's cold start with that of bare boto3 with the same clients.

    python -m benchmarks cold_start

Both run as deployed, under AWS's Runtime Interface Emulator: an empty Python 3.13, the function's
folder, the layer with its .pyc files, and AWS's runtime client. Neither calls an account. The
function reads its settings and templates and creates all its objects; the bare one creates the
four clients that a cycle uses. Prints seconds, and the ratio of the two.
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
MAX_RATIO = 1.5  # over bare boto3

BARE = f"""
import boto3
CLIENTS = [boto3.client(name) for name in {CLIENTS!r}]
def handler(event, context):
    return len(CLIENTS)
"""
# The handler's wiring, up to its first call of an API.
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
    """Yield the median ratio of pairs: a busy machine slows both starts of a pair."""
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

        init("bare"), init("ours")  # warm up the file cache
        pairs = [(init("bare"), init("ours")) for _ in range(PAIRS)]
        sdk = init("sdk")
    yield at_most(
        NAME, "init, times bare boto3", statistics.median(b / a for a, b in pairs), MAX_RATIO
    )
    yield shown(NAME, "  ours", statistics.median(b for _, b in pairs), "s")
    yield shown(NAME, "  bare boto3, the same clients", statistics.median(a for a, _ in pairs), "s")
    yield shown(NAME, "  the SageMaker SDK, imported only for a new image", sdk, "s")


if __name__ == "__main__":
    print_table(results())
