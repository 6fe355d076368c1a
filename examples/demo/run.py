"""Run the whole queue on this machine, from an empty account to tuned models.

    make demo
    python examples/demo/run.py --profile new-account    # within the limits of a new AWS account

Starts the embedded cloud, deploys the unmodified stack into it with the real ``cdk``, sends three
tuning requests from two teams over SQS (one with plain ``aws sqs send-message``), and follows them
to their end. Prints the number of trained models, the best AUC (0..1) and the seconds it took.
HPOQ_DATA is the path of the credit-default CSV. Without it, the set is downloaded from UCI;
offline, synthetic rows are used instead and a note is printed.
"""

from __future__ import annotations

import argparse
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
from hpoq.cli.request_files import read_requests
from hpoq.cli.watch import follow
from hpoq.client import Client
from hpoq.local import cloud as clouds
from hpoq.local.cloud import Cloud
from hpoq.local.limits import Profile

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REQUESTS = HERE / "requests"
PREFIX = "data/credit-default"
console = Console(stderr=True, highlight=False)

Key = tuple[str, str]


def main() -> int:
    """Run the demo; return exit status 0 only if all three requests are Completed."""
    profile = read_arguments().profile
    began = time.monotonic()
    step("An AWS account on this machine")
    cloud = clouds.start(profile=profile)
    console.print(f"listening on {cloud.running.endpoint}, state in {cloud.home.path}")
    step("cdk bootstrap and cdk deploy, the template unmodified")
    outputs = cloud.deploy(app=ROOT, say=console.print)
    step("The credit-default data")
    upload_data(cloud, outputs["ArtifactBucketName"])
    step("Three tuning requests from two teams")
    os.environ.update(cloud.env)
    client = Client(session=cloud.session())
    keys = send_requests(client, cloud, outputs)
    step("Training")
    entries = follow(client, keys, every=1.0)
    seconds = time.monotonic() - began
    return report(entries, seconds, set_up_seconds(seconds))


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Run the whole queue on this machine.")
    parser.add_argument(
        "--profile",
        choices=[str(each) for each in Profile],
        help="limits of the account; default: those of the last start, else standard",
    )
    return parser.parse_args()


def step(title: str) -> None:
    """Print the title of a step as a line across the screen."""
    console.print(Rule(title, align="left", style="dim"))


def upload_data(cloud: Cloud, bucket: str) -> None:
    """Prepare the three channels and upload them to the prefix in the job template."""
    folder = cloud.home.path / "data"
    command = [sys.executable, "-m", "training.prepare_data", "--out", str(folder)]
    if subprocess.run(command, cwd=ROOT, check=False, stdout=sys.stderr).returncode:
        sys.exit(1)  # prepare_data has printed the reason
    s3 = cloud.session().client("s3")
    for path in sorted(folder.rglob("*.npz")):
        s3.upload_file(str(path), bucket, f"{PREFIX}/{path.relative_to(folder).as_posix()}")


def send_requests(client: Client, cloud: Cloud, outputs: Mapping[str, str]) -> list[Key]:
    """Send one request with the aws CLI and two with hpoq; return the keys of all three.

    The request ids contain the time, so the demo can be repeated.
    """
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
    """Return a file's requests with a new id."""
    return [{**message, "request_id": request_id} for _, message in read_requests(REQUESTS / file)]


def send_with_aws_cli(messages: Sequence[Mapping[str, str]], queue: str, cloud: Cloud) -> None:
    """Send messages as a team does that does not use hpoq's code."""
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
    """Return the path of the aws command; install it into a new environment if it is missing.

    The aws CLI requires an exact version of botocore, so it cannot share the project's environment.
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


def set_up_seconds(of_demo: float) -> float:
    """Return how long `make` worked before this program started; 0 without `make`."""
    began = os.environ.get("HPOQ_DEMO_BEGAN", "")
    return max(0.0, time.time() - float(began) - of_demo) if began.isdigit() else 0.0


def report(entries: Sequence[Entry], seconds: float, before: float) -> int:
    """Print the results and some commands to try next; return the exit status."""
    completed = [entry for entry in entries if entry.status is Status.COMPLETED]
    trials = sum(entry.counters.get("Completed", 0) for entry in entries)
    best = max((entry.best.objective for entry in entries if entry.best), default=float("nan"))
    console.print(
        f"\n{len(completed)} of {len(entries)} requests Completed, {trials} models trained, "
        f"best AUC {best:.4f}, {seconds:.0f} s in total"
    )
    if before >= 1:
        console.print(f"Set-up before that: {before:.0f} s")
    if len(completed) < len(entries):
        return 1
    winner = max(entries, key=lambda entry: entry.best.objective if entry.best else 0.0)
    console.print("\nThe local account is still running. Try next:\n")
    for command in (
        'export PATH="$PWD/.venv/bin:$PATH" && eval "$(hpoq local env)"',
        f"hpoq best {winner.request_id} --team {winner.team}",
        f"hpoq submit --team vision {(REQUESTS / 'vision.json').relative_to(ROOT)} | "
        "hpoq watch --team vision -",
    ):
        console.print(f"  {command}", soft_wrap=True)
    console.print("\n`hpoq local down` stops it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
