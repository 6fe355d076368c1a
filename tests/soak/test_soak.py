"""Two dispatchers run for ten minutes with random faults in the embedded cloud (``make soak``).

The dispatchers are processes that are killed and restarted. Any call may fail before or after it
takes effect. Meanwhile, teams send, repeat and cancel requests and send bad messages.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Entry, Key, Status
from hpo_dispatcher.contract.errors import HpoqError
from hpo_dispatcher.contract.templates import read_templates
from hpo_dispatcher.cycle.pacing import Deadline
from hpo_dispatcher.wiring import build_dispatcher
from hpoq.client import Client
from hpoq.local.cloud import Cloud
from infra.source import write_function
from tests.support import tiny_jobs as tiny
from tests.support.deployed_stack import ROOT, Deployed, cloud
from tests.support.faulty_dispatcher import KILLED
from tests.support.job_spans import most_at_once, tuning_jobs
from tests.support.soak_workload import TEAMS, Sender
from tests.support.unreliable_dispatcher import run_two_failing_dispatchers

__all__ = ["cloud"]

SECONDS = float(os.environ.get("HPOQ_SOAK_SECONDS", "600"))
LIMIT = 8
SHARE = 0.02  # of all calls fail
SENDS_PER_SECOND = 2.0
SETTLE_SECONDS = 600
SETTINGS: dict[str, Any] = {
    "teams": {team: {} for team in TEAMS},
    "limits": {"tuning_jobs": LIMIT, "creates_per_second": 50},
}


@dataclass
class RestartedDispatcher:
    """A dispatcher process that is restarted whenever it ends, and statistics of its cycles."""

    environment: dict[str, str]
    folder: Path
    templates: Path
    seeds: Iterator[int]
    cycles: int = 0
    kills: int = 0
    failures: int = 0
    said: Counter[str] = field(default_factory=Counter)
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Run and restart the process until ``stop`` is called."""
        while not self._over.is_set():
            self._one_life(str(next(self.seeds)))

    def stop(self) -> None:
        self._over.set()

    def _one_life(self, seed: str) -> None:
        module = "tests.support.faulty_dispatcher"
        command = [
            sys.executable,
            "-m",
            module,
            str(self.folder),
            str(self.templates),
            seed,
            str(SHARE),
        ]
        with subprocess.Popen(
            command, cwd=ROOT, env=self.environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            failed = 0
            for line in process.stdout:
                outcome = json.loads(line)
                failed = outcome["failures"]
                self.cycles += 1
                self.said[outcome.get("error", "skipped" if outcome.get("skipped") else "ok")] += 1
                if self._over.is_set() and process.stdin and not process.stdin.closed:
                    process.stdin.close()
            self.failures += failed
            status = process.wait()
        self.kills += status == KILLED
        assert status in (0, KILLED), f"a dispatcher ended with {status}"


@pytest.fixture
def soak_deployment(cloud: Cloud, tmp_path: Path) -> Deployed:
    """Deploy without heartbeat and events, so that only the test's dispatchers run cycles."""
    deployed = tiny.deploy(cloud, "soak", tmp_path, **SETTINGS)
    events = deployed.client("events")
    for rule in events.list_rules()["Rules"]:
        events.disable_rule(Name=rule["Name"])
    return deployed


def environment(deployed: Deployed) -> dict[str, str]:
    function = deployed.outputs["DispatcherFunctionName"]
    configuration = deployed.client("lambda").get_function_configuration(FunctionName=function)
    paths = [str(ROOT), str(ROOT / "lambdas")]
    return {
        **deployed.cloud.environ(),
        **configuration["Environment"]["Variables"],
        "PYTHONPATH": os.pathsep.join(paths),
    }


@contextmanager
def two_dispatchers(
    variables: dict[str, str], folder: Path, templates: Path
) -> Iterator[list[RestartedDispatcher]]:
    seeds = itertools.count(1)
    both = [RestartedDispatcher(variables, folder, templates, seeds) for _ in range(2)]
    threads = [threading.Thread(target=each.run) for each in both]
    for thread in threads:
        thread.start()
    try:
        yield both
    finally:
        for each in both:
            each.stop()
        for thread in threads:
            thread.join()


@pytest.mark.timeout(SECONDS + SETTLE_SECONDS + 300)
def test_two_failing_dispatchers_lose_and_double_no_request_and_keep_the_limit(
    soak_deployment: Deployed, tmp_path: Path
) -> None:
    variables, folder = environment(soak_deployment), tmp_path / "function"
    folder.mkdir()
    write_function(folder, SETTINGS | {"default_template": "tiny"})
    templates = tmp_path / "soak" / "lambdas" / "hpo_dispatcher" / "templates"
    with pytest.MonkeyPatch.context() as patch:
        read = read_templates(templates)
        patch.setattr("hpo_dispatcher.wiring.read_templates", lambda: read)
        sqs = soak_deployment.client("sqs")
        sender = Sender(
            send=lambda team, body: sqs.send_message(
                QueueUrl=soak_deployment.queue(team), MessageBody=body
            ),
            draw=random.Random(7),
        )
        until = time.monotonic() + SECONDS
        with two_dispatchers(variables, folder, templates) as both:
            while time.monotonic() < until:
                sender.some()
                time.sleep(sender.draw.expovariate(SENDS_PER_SECOND))
        client = Client("soak", session=soak_deployment.session)
        settle(soak_deployment, variables, folder, client, sender)
        judge(soak_deployment, client, sender, both)


def settle(
    deployed: Deployed, variables: dict[str, str], folder: Path, client: Client, sender: Sender
) -> None:
    """Run a dispatcher without faults until every request has ended."""
    healthy = build_dispatcher(variables, folder, deployed.session)
    until = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < until:
        end = time.monotonic() + 30
        try:
            healthy.run(Deadline(remaining=lambda end=end: end - time.monotonic(), total=30))
        except HpoqError as error:
            sys.stdout.write(f"while settling: {error}\n")
        found = entries(client)
        if sender.parents.keys() <= found.keys() and all(e.status.ended for e in found.values()):
            return
        time.sleep(0.5)
    raise AssertionError("some requests have not ended")


def entries(client: Client) -> dict[Key, Entry]:
    return {entry.key: entry for team in TEAMS for entry in client.entries(team)}


def judge(
    deployed: Deployed, client: Client, sender: Sender, both: list[RestartedDispatcher]
) -> None:
    found = entries(client)
    good = {key: found[key].status for key in sender.parents}
    surely = {key for key in good if not sender.may_be_cancelled(key)}
    assert {good[key] for key in surely} == {Status.COMPLETED}, "nothing lost"
    assert set(good.values()) <= {Status.COMPLETED, Status.CANCELLED, Status.STOPPED}

    started = {entry.tuning_job_name for entry in found.values() if entry.tuning_job_name}
    spans = tuning_jobs(deployed, started)
    everything = deployed.client("sagemaker").get_paginator("list_hyper_parameter_tuning_jobs")
    listed = [
        summary["HyperParameterTuningJobName"]
        for page in everything.paginate(PaginationConfig={"PageSize": 100})
        for summary in page["HyperParameterTuningJobSummaries"]
    ]
    assert len(listed) == len(set(listed)) == len(started), "nothing doubled"
    peak = most_at_once(spans)
    assert peak <= LIMIT, "the limit was exceeded"
    for team in TEAMS:
        letters = client.dead_letters(team)
        assert {letter.body for letter in letters} == sender.bad[team]
        assert all(letter.problem and letter.fix for letter in letters)
    said = sum((each.said for each in both), Counter[str]())
    sys.stdout.write(
        f"\nsoak: {SECONDS:.0f} s, {len(good)} requests, {len(started)} tuning jobs, "
        f"{dict(Counter(str(status) for status in good.values()))}, "
        f"{sum(map(len, sender.bad.values()))} bad; {sum(e.cycles for e in both)} cycles "
        f"({said['ok']} clean, {said['skipped']} skipped), {sum(e.failures for e in both)} calls "
        f"failed in processes that lived, {sum(e.kills for e in both)} processes killed; "
        f"peak {peak} of {LIMIT}, none lost, none doubled\n"
    )
    assert sum(each.kills for each in both) or SECONDS < 120, "at least one process is killed"


@pytest.mark.timeout(SECONDS + 120)
def test_the_same_holds_in_simulated_accounts_with_many_seeds() -> None:
    until = time.monotonic() + min(60, SECONDS / 10)
    for seed in itertools.count(1000):
        run_two_failing_dispatchers(seed)
        if time.monotonic() > until:
            return
