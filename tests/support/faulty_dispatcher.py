"""Run dispatch cycles whose calls fail at random, in a process that is killed at random.

python -m tests.support.faulty_dispatcher FOLDER TEMPLATES SEED SHARE PAUSE

FOLDER contains deployment.json, and TEMPLATES contains the job templates. The environment
variables HPOQ_* and AWS_* select the deployment. SHARE of the calls fail. PAUSE is the number
of seconds between two cycles. The Region that the file
FOLDER/unreachable names, if there is one, cannot be reached.
The process ends between two cycles after its standard input has been closed. It prints one line per
cycle and writes the log to standard error.
"""

from __future__ import annotations

import json
import os
import random
import select
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
from botocore.exceptions import ClientError, ReadTimeoutError

from hpo_dispatcher.aws.targets.assumed_role import TargetClients
from hpo_dispatcher.contract.errors import HpoqError
from hpo_dispatcher.contract.templates import read_templates
from hpo_dispatcher.cycle.pacing import Deadline
from hpo_dispatcher.wiring import build_dispatcher

# A short Lambda invocation: its time limit, and how long received messages stay invisible.
SECONDS = 8.0
VISIBILITY_SECONDS = 10
# With negative margins, the lease ends during the invocation, and both dispatchers run cycles.
LEASE_MARGINS = [timedelta(seconds=1), timedelta(seconds=-7), timedelta(seconds=-7.8)]
KILLED = 137
CLOSED_PORT = "https://127.0.0.1:1/"
# This share of the failing calls also kills the process.
KILLS = 0.1


class RandomFaults:
    """Decides for each call whether and how it fails, and whether the process is killed."""

    def __init__(self, draw: random.Random, share: float) -> None:
        self.draw, self._share = draw, share
        self.failures = 0

    def before(self, model: Any, **_: Any) -> None:
        """Let a call fail before it takes effect."""
        if self.draw.random() < self._share / 2:
            self._kill_some()
            code = self.draw.choice(["ThrottlingException", "InternalError", "AccessDenied", ""])
            raise self._refused(model.name, code) if code else self._timeout()

    def after(self, **_: Any) -> None:
        """Let a call fail after it has taken effect."""
        if self.draw.random() < self._share / 2:
            self._kill_some()
            raise self._timeout()

    def _kill_some(self) -> None:
        self.failures += 1
        if self.draw.random() < KILLS:
            os._exit(KILLED)

    def _refused(self, operation: str, code: str) -> Exception:
        answer: Any = {"Error": {"Code": code, "Message": "injected"}}
        return ClientError(answer, operation)

    def _timeout(self) -> Exception:
        return ReadTimeoutError(endpoint_url="https://injected")


class FaultyTargetClients(TargetClients):
    """Clients of a target, whose calls fail as those at home, and in an outage all of them."""

    faults: RandomFaults
    unreachable: Path

    def __init__(self, *, region: str, **more: Any) -> None:
        super().__init__(region=region, **more)
        listen(self.events, self.faults)

        def redirect(request: Any, **_: Any) -> None:
            if self.unreachable.exists() and self.unreachable.read_text() == region:
                request.url = CLOSED_PORT

        self.events.register("before-send", redirect)


def listen(events: Any, faults: RandomFaults) -> None:
    """Let the calls of a session fail."""
    events.register("before-parameter-build", faults.before)
    events.register("after-call", faults.after)


def main(folder: str, templates: str, seed: str, share: str, pause: str) -> None:
    """Run cycles until standard input is closed."""
    outcomes = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    session = boto3.Session()
    faults = RandomFaults(random.Random(int(seed)), float(share))
    listen(session.events, faults)
    FaultyTargetClients.faults = faults
    FaultyTargetClients.unreachable = Path(folder, "unreachable")
    read = read_templates(Path(templates))
    with (
        patch("hpo_dispatcher.wiring.read_templates", lambda: read),
        patch("hpo_dispatcher.wiring.TargetClients", FaultyTargetClients),
        patch("hpo_dispatcher.aws.sqs.VISIBILITY_SECONDS", VISIBILITY_SECONDS),
    ):
        while not select.select([sys.stdin], [], [], float(pause))[0]:
            end = time.monotonic() + SECONDS
            deadline = Deadline(remaining=lambda end=end: end - time.monotonic(), total=SECONDS)
            outcome: dict[str, Any] = {"failures": faults.failures}
            margin = faults.draw.choice(LEASE_MARGINS)
            try:
                with patch("hpo_dispatcher.cycle.lease.LEASE_MARGIN", margin):
                    summary = build_dispatcher(os.environ, Path(folder), session).run(deadline)
                outcome |= {"started": summary.started, "skipped": bool(summary.skipped)}
            except HpoqError as error:
                outcome |= {"error": f"{type(error).__name__}: {error}"[:300]}
            outcomes.write(json.dumps(outcome) + "\n")
            outcomes.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
