"""The main job on this machine, from an empty account to tuned models: ``make demo``.

Starts the embedded cloud, deploys the unmodified stack into it with the real ``cdk``, sends
three tuning requests from two teams over SQS (one with nothing but ``aws sqs send-message``),
and shows what becomes of them. HPOQ_DATA names the credit-default CSV; without it the set is
fetched, or offline replaced by a stand-in that says so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.rule import Rule

from hpo_dispatcher.contract.entry import Entry, Status
from hpoq.cli.submit import read_requests
from hpoq.cli.watch import follow
from hpoq.client import Client
from hpoq.local import cloud as clouds
from hpoq.local.cloud import Cloud

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REQUESTS = HERE / "requests"
PREFIX = "data/credit-default"
console = Console(stderr=True, highlight=False)

Key = tuple[str, str]


def main() -> int:
    """Exit status 0 only if all three requests are Completed."""
    began = time.monotonic()
    step("An AWS account on this machine")
    cloud = clouds.start()
    console.print(f"listening on {cloud.running.endpoint}, state in {cloud.home.path}")
    step("cdk bootstrap and cdk deploy, the template unmodified")
    outputs = cloud.deploy(app=ROOT, say=console.print)
    step("The credit-default data")
    upload_data(cloud, outputs["ArtifactBucketName"])
    step("Three tuning requests of two teams")
    os.environ.update(cloud.env)
    client = Client(session=cloud.session())
    keys = send_requests(client, cloud, outputs)
    step("Training")
    entries = follow(client, keys, every=1.0)
    seconds = time.monotonic() - began
    return report(entries, seconds)


def step(title: str) -> None:
    """A line across the screen."""
    console.print(Rule(title, align="left", style="dim"))


def upload_data(cloud: Cloud, bucket: str) -> None:
    """Prepare the three channels and put them where the job template looks."""
    folder = cloud.home.path / "data"
    command = [sys.executable, "-m", "training.prepare_data", "--out", str(folder)]
    if subprocess.run(command, cwd=ROOT, check=False, stdout=sys.stderr).returncode:
        sys.exit(1)  # it has said what is wrong, in one line
    s3 = cloud.session().client("s3")
    for path in sorted(folder.rglob("*.npz")):
        s3.upload_file(str(path), bucket, f"{PREFIX}/{path.relative_to(folder).as_posix()}")


def send_requests(client: Client, cloud: Cloud, outputs: Mapping[str, str]) -> list[Key]:
    """One by the aws CLI, two by ours; the ids carry the time, so that demos can be repeated."""
    stamp = time.strftime("%H%M%S")
    vision = requests("vision.json", f"vision-{stamp}")
    send_with_aws_cli(vision, outputs["RequestQueueUrlVision"], cloud)
    fraud = [
        *requests("fraud-bayesian.yaml", f"fraud-bayesian-{stamp}"),
        *requests("fraud-random.json", f"fraud-random-{stamp}"),
    ]
    ids = client.submit("fraud", fraud)
    console.print(f"hpoq submit --team fraud ...   {'  '.join(ids)}")
    return [("fraud", each) for each in ids] + [("vision", vision[0]["request_id"])]


def requests(file: str, request_id: str) -> list[dict[str, str]]:
    """A file's request under a fresh id."""
    return [{**message, "request_id": request_id} for _, message in read_requests(REQUESTS / file)]


def send_with_aws_cli(messages: Sequence[Mapping[str, str]], queue: str, cloud: Cloud) -> None:
    """What a team does that has none of our code."""
    aws = aws_cli(cloud)
    for message in messages:
        command = [
            aws, "sqs", "send-message",
            "--endpoint-url", cloud.running.endpoint,
            "--queue-url", queue,
            "--message-body", json.dumps(message),
        ]  # fmt: skip
        subprocess.run(command, check=True, env=cloud.environ(), stdout=subprocess.DEVNULL)
        console.print(f"aws sqs send-message ...       {message['request_id']}")


def aws_cli(cloud: Cloud) -> str:
    """The aws command of this machine, or one in an environment of its own.

    It pins botocore exactly, so it cannot live in the project's environment.
    """
    found = shutil.which("aws")
    if (
        found
        and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0
    ):
        return found
    environment = cloud.home.path / "aws-cli"
    aws = environment / "bin" / "aws"
    if not aws.exists():
        console.print("installing the aws CLI")
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        lock = str(HERE / "aws-cli.lock")
        subprocess.run([*pip, "--disable-pip-version-check", "-r", lock], check=True)
    return str(aws)


def report(entries: Sequence[Entry], seconds: float) -> int:
    """What was reached, and what to try next."""
    completed = [entry for entry in entries if entry.status is Status.COMPLETED]
    trials = sum(entry.counters.get("Completed", 0) for entry in entries)
    best = max((entry.best.objective for entry in entries if entry.best), default=float("nan"))
    console.print(
        f"\n{len(completed)} of {len(entries)} requests Completed, {trials} models trained, "
        f"best AUC {best:.4f}, {seconds:.0f} s in all"
    )
    if len(completed) < len(entries):
        return 1
    winner = max(entries, key=lambda entry: entry.best.objective if entry.best else 0.0)
    console.print("\nThe account is still there. Try next:\n")
    for command in (
        'export PATH="$PWD/.venv/bin:$PATH" && eval "$(hpoq local env)"',
        f"hpoq best {winner.request_id} --team {winner.team}",
        f"hpoq submit --team vision {(REQUESTS / 'vision.json').relative_to(ROOT)} | "
        "hpoq watch --team vision -",
    ):
        console.print(f"  {command}", soft_wrap=True)
    console.print("\n`hpoq local down` ends it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
