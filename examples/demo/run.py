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
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from aws_cli import aws_command
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
    with ThreadPoolExecutor() as meanwhile, tempfile.TemporaryDirectory() as folder:
        aws, data = meanwhile.submit(aws_command), meanwhile.submit(prepare_data, Path(folder))
        step("An AWS account on this machine")
        cloud = clouds.start(profile=profile)
        console.print(f"listening on {cloud.running.endpoint}, state in {cloud.home.path}")
        step("cdk bootstrap and cdk deploy, the template unmodified")
        outputs = cloud.deploy(app=ROOT, say=console.print)
        step("The credit-default data")
        upload_data(cloud, outputs["ArtifactBucketName"], Path(folder), data)
        step("Three tuning requests from two teams")
        os.environ.update(cloud.env)
        client = Client(session=cloud.session())
        keys = send_requests(client, cloud, outputs, str(aws.result()))
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


def prepare_data(folder: Path) -> subprocess.CompletedProcess[str]:
    """Write the three channels into a folder."""
    command = [sys.executable, "-m", "training.prepare_data", "--out", str(folder)]
    return subprocess.run(
        command, cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def upload_data(
    cloud: Cloud,
    bucket: str,
    folder: Path,
    prepared: Future[subprocess.CompletedProcess[str]],
) -> None:
    """Upload the channels, once they are prepared, to the prefix in the job template."""
    if not prepared.done():
        console.print("preparing the data, or downloading it")
    ended = prepared.result()
    console.print(ended.stdout.rstrip(), soft_wrap=True)
    if ended.returncode:
        sys.exit(1)  # prepare_data has printed the reason
    s3 = cloud.session().client("s3")
    for path in sorted(folder.rglob("*.npz")):
        s3.upload_file(str(path), bucket, f"{PREFIX}/{path.relative_to(folder).as_posix()}")


def send_requests(client: Client, cloud: Cloud, outputs: Mapping[str, str], aws: str) -> list[Key]:
    """Send one request with the aws CLI and two with hpoq; return the keys of all three.

    The request ids contain the time, so the demo can be repeated.
    """
    stamp = time.strftime("%H%M%S")
    vision = requests("vision.json", f"vision-{stamp}")
    send_with_aws_cli(vision, outputs["RequestQueueUrlVision"], cloud, aws)
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


def send_with_aws_cli(
    messages: Sequence[Mapping[str, str]], queue: str, cloud: Cloud, aws: str
) -> None:
    """Send messages as a team does that does not use hpoq's code."""
    for message in messages:
        command = [
            aws, "sqs", "send-message",
            "--endpoint-url", cloud.running.endpoint,
            "--queue-url", queue,
            "--message-body", json.dumps(message),
        ]  # fmt: skip
        subprocess.run(command, check=True, env=cloud.environ(), stdout=subprocess.DEVNULL)
        console.print(f"aws sqs send-message ...       {message['request_id']}")


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
