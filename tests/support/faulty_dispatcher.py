"""A dispatcher that goes from cycle to cycle while its calls fail and it is killed, at random.

python -m tests.support.faulty_dispatcher FOLDER TEMPLATES SEED SHARE

FOLDER holds deployment.json, TEMPLATES the job templates; HPOQ_* and AWS_* lead it to a
deployment. SHARE of its calls fail.
It ends when its standard input does, in the middle of nothing. Prints a line a cycle; what the
function would log goes to standard error.
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

from hpo_dispatcher.contract.errors import HpoqError
from hpo_dispatcher.contract.settings import read_templates
from hpo_dispatcher.cycle.pacing import Deadline
from hpo_dispatcher.wiring import build_dispatcher

# An invocation of Lambda in small: its time, and how long what it held stays held.
SECONDS = 8.0
VISIBILITY_SECONDS = 10
# The lease outlives the invocation, or ends long before it: then both dispatchers are at work.
LEASE_MARGINS = [timedelta(seconds=1), timedelta(seconds=-7), timedelta(seconds=-7.8)]
KILLED = 137
# Of the calls that fail: this many are the process's last.
KILLS = 0.1


class Fate:
    """Decides for each call whether it fails, how, and whether anybody is left to notice."""

    def __init__(self, draw: random.Random, share: float) -> None:
        self.draw, self._share = draw, share
        self.failures = 0

    def before(self, model: Any, **_: Any) -> None:
        """The call has no effect."""
        if self.draw.random() < self._share / 2:
            self._kill_some()
            code = self.draw.choice(["ThrottlingException", "InternalError", "AccessDenied", ""])
            raise self._refused(model.name, code) if code else self._timeout()

    def after(self, **_: Any) -> None:
        """The call took effect, and its answer is lost."""
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


def main(folder: str, templates: str, seed: str, share: str) -> None:
    """Cycle until there is no more input."""
    outcomes = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    session = boto3.Session()
    fate = Fate(random.Random(int(seed)), float(share))
    session.events.register("before-parameter-build", fate.before)
    session.events.register("after-call", fate.after)
    read = read_templates(Path(templates))
    with (
        patch("hpo_dispatcher.wiring.read_templates", lambda: read),
        patch("hpo_dispatcher.aws.sqs.VISIBILITY_SECONDS", VISIBILITY_SECONDS),
    ):
        while not select.select([sys.stdin], [], [], 0.2)[0]:
            end = time.monotonic() + SECONDS
            deadline = Deadline(remaining=lambda end=end: end - time.monotonic(), total=SECONDS)
            outcome: dict[str, Any] = {"failures": fate.failures}
            margin = fate.draw.choice(LEASE_MARGINS)
            try:
                with patch("hpo_dispatcher.cycle.dispatcher.LEASE_MARGIN", margin):
                    summary = build_dispatcher(os.environ, Path(folder), session).cycle(deadline)
                outcome |= {"started": summary.started, "skipped": bool(summary.skipped)}
            except HpoqError as error:
                outcome |= {"error": f"{type(error).__name__}: {error}"[:300]}
            outcomes.write(json.dumps(outcome) + "\n")
            outcomes.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
