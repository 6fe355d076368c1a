"""Three targets, one of which is out of reach for most of the time, with and without other faults.

From a fifth to four fifths of the time, no call reaches the target in another account and Region.
In one test, a dispatcher runs undisturbed otherwise. In the other, two are killed every few seconds
and restarted, and any call may fail before or after it takes effect. SageMaker of each target and
the queues say what became of the requests; the ledger is only asked when a request was accepted.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hpo_dispatcher.contract.names import tuning_job_name
from hpoq.client import Client
from hpoq.local import cloud as clouds
from hpoq.local.cloud import Cloud
from infra.source import write_function
from tests.support.deployed_stack import Deployed
from tests.support.faulty_dispatcher import SECONDS as SECONDS_OF_A_CYCLE
from tests.support.iam_users import user_with
from tests.support.soak_accounting import SoakAccounts, soak_accounts, tuning_accounts
from tests.support.soak_others import Killer
from tests.support.soak_processes import RestartedDispatcher, environment, running
from tests.support.soak_workload import TEAMS, Sender, entries
from tests.support.three_targets import (
    HOME,
    RESEARCH,
    TARGETS,
    deploy_three,
    on,
    places,
    settings_of_three,
)

SECONDS = float(os.environ.get("HPOQ_SOAK_SECONDS", "300"))
OUTAGE = (0.2, 0.8)  # of the time
LIMIT = 4  # tuning jobs on each target
SENDS_PER_SECOND = min(1.0, 600 / SECONDS)
SETTLE_SECONDS = 600
LONGEST_SESSION = 12 * 3600  # seconds for which credentials of a role may last on AWS
NAME = "soak"
SETTINGS_OF_TEAMS: dict[str, Any] = {team: {} for team in TEAMS}
LAG = timedelta(seconds=1)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """Start an embedded cloud."""
    started = clouds.start(tmp_path / ".hpoq")
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture
def soak_deployment(cloud: Cloud, tmp_path: Path) -> Deployed:
    """Deploy without heartbeat and events, so that only the test's dispatchers run cycles."""
    deployed = deploy_three(cloud, NAME, tmp_path, tuning_jobs=LIMIT, teams=SETTINGS_OF_TEAMS)
    for target in TARGETS:
        events: Any = on(cloud, target).session().client("events")
        for rule in events.list_rules()["Rules"]:
            events.disable_rule(Name=rule["Name"])
    return deployed


def role_of_dispatcher(deployed: Deployed) -> dict[str, str]:
    """Return the credentials of the function's role, which alone may assume the access roles."""
    iam: Any = deployed.client("iam")
    name = f"{NAME}-dispatcher"
    arn = iam.get_role(RoleName=name)["Role"]["Arn"]
    allow = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": arn}
    user = user_with(
        deployed.session, deployed.cloud, "soak", {"Version": "2012-10-17", "Statement": [allow]}
    )
    trust = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    account = {"AWS": deployed.cloud.running.account}
    tester = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": account}
    trust["Statement"].append(tester)
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))
    iam.update_role(RoleName=name, MaxSessionDuration=LONGEST_SESSION)
    given: Any = user.client("sts").assume_role(
        RoleArn=arn,
        RoleSessionName="soak",
        DurationSeconds=min(LONGEST_SESSION, round(SECONDS + SETTLE_SECONDS + 900)),
    )
    return {
        "AWS_ACCESS_KEY_ID": given["Credentials"]["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["Credentials"]["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["Credentials"]["SessionToken"],
    }


@dataclass(frozen=True)
class Run:
    """What ran, and what was sent to it."""

    deployed: Deployed
    client: Client
    sender: Sender
    dispatchers: list[RestartedDispatcher]
    killer: Killer
    outage: Outage


def run(
    deployed: Deployed,
    folder: Path,
    *,
    dispatchers: int,
    share: float,
    kill: bool,
    pause: float,
) -> Run:
    """Send requests for some time, and wait until all have ended.

    Args:
        deployed: the deployment.
        folder: the folder from which it was deployed.
        dispatchers: how many run at once.
        share: of their calls that fail.
        kill: whether they are killed.
        pause: seconds between two cycles of each.
    """
    variables = environment(deployed) | role_of_dispatcher(deployed)
    package = folder / "function"
    package.mkdir()
    settings = settings_of_three(deployed.cloud, LIMIT)
    write_function(package, {"teams": SETTINGS_OF_TEAMS, "default_template": "tiny", **settings})
    templates = folder / NAME / "lambdas" / "hpo_dispatcher" / "templates"
    sqs = deployed.client("sqs")
    sender = Sender(
        send=lambda team, body: sqs.send_message(QueueUrl=deployed.queue(team), MessageBody=body),
        draw=random.Random(7),
        targets=TARGETS,
    )
    seeds = itertools.count(1)
    those = [
        RestartedDispatcher(variables, package, templates, seeds, share, pause)
        for _ in range(dispatchers)
    ]
    killer = Killer(lambda: [d.pid for d in those if d.pid], random.Random(9), (5.0, 15.0))
    outage = Outage(package / "unreachable", places(deployed.cloud)[RESEARCH]["region"])
    began = time.monotonic()
    with running(*those, *([killer] if kill else [])):
        while time.monotonic() - began < SECONDS:
            outage.update((time.monotonic() - began) / SECONDS)
            sender.some()
            time.sleep(sender.draw.expovariate(SENDS_PER_SECOND))
    sender.release_all()
    client = Client(NAME, session=deployed.session)
    with running(RestartedDispatcher(variables, package, templates, seeds, 0)):
        settle(client, sender)
    return Run(deployed, client, sender, those, killer, outage)


@pytest.mark.timeout(SECONDS + SETTLE_SECONDS + 300)
def test_an_outage_delays_only_what_must_run_there(
    soak_deployment: Deployed, tmp_path: Path
) -> None:
    done = run(soak_deployment, tmp_path, dispatchers=1, share=0, kill=False, pause=2)

    judge(done)

    delays = delays_elsewhere(done)
    sys.stdout.write(
        "  seconds from acceptance to creation on the other targets: during the outage "
        f"{summary(delays[True])}, without it {summary(delays[False])}\n"
    )
    assert len(delays[True]) > 5
    assert statistics.median(delays[True]) <= statistics.median(delays[False]) + SECONDS_OF_A_CYCLE


@pytest.mark.timeout(SECONDS + SETTLE_SECONDS + 300)
def test_two_killed_dispatchers_with_faults_put_no_request_on_two_targets(
    soak_deployment: Deployed, tmp_path: Path
) -> None:
    judge(run(soak_deployment, tmp_path, dispatchers=2, share=0.02, kill=True, pause=0.2))


@dataclass
class Outage:
    """The time during which dispatchers cannot reach a Region."""

    file: Path  # which names the Region to the dispatchers
    region: str
    began: datetime | None = None
    ended: datetime | None = None

    def update(self, passed: float) -> None:
        """Begin or end when this part of the time has passed."""
        if self.began is None and passed >= OUTAGE[0]:
            self.file.write_text(self.region)
            self.began = datetime.now(UTC)
        elif self.began and self.ended is None and passed >= OUTAGE[1]:
            self.file.unlink()
            self.ended = datetime.now(UTC)

    def has(self, at: datetime) -> bool:
        """Return whether it was going on at a time."""
        assert self.began
        assert self.ended
        return self.began <= at < self.ended


def settle(client: Client, sender: Sender) -> None:
    """Wait until every request has ended."""
    until = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < until:
        if sender.has_ended(entries(client)):
            return
        time.sleep(1)
    raise AssertionError("some requests have not ended")


def accounts(deployed: Deployed) -> dict[str, SoakAccounts]:
    """Return the tuning jobs and training jobs of each target, at home with the queues."""
    return {
        target: soak_accounts(deployed, TEAMS, {})
        if target == HOME
        else tuning_accounts(on(deployed.cloud, target).session().client("sagemaker"))
        for target in TARGETS
    }


def judge(done: Run) -> None:
    """Compare what was sent with what SageMaker of each target shows, and print the accounts."""
    sender, found = done.sender, accounts(done.deployed)
    requests = {tuning_job_name(*key): key for key in sender.parents}
    where = {
        key: [target for target in TARGETS if name in found[target].tuning_jobs]
        for name, key in requests.items()
    }
    trained = {
        key: [status for each in found.values() for status in each.trained.get(name, [])]
        for name, key in requests.items()
    }
    lost = [
        key for key in trained if sender.ends_surely(key, set()) and trained[key] != ["Completed"]
    ]
    doubled = [key for key in trained if len(where[key]) > 1 or len(trained[key]) > 1]
    peaks = {target: each.peak() for target, each in found.items()}
    during = [
        job.name
        for job in found[RESEARCH].spans
        if done.outage.has(job.begin) and done.outage.has(job.begin - LAG)
    ]
    said = sum((each.said for each in done.dispatchers), Counter[str]())
    left, dead = found[HOME].left, found[HOME].dead
    sys.stdout.write(
        f"\nsoak over targets: {SECONDS:.0f} s, {len(trained)} requests, tuning jobs "
        f"{ {target: len(each.spans) for target, each in found.items()} }, peaks {peaks} of "
        f"{LIMIT}; {len(done.dispatchers)} dispatchers: {sum(e.cycles for e in done.dispatchers)} "
        f"cycles ({said['ok']} clean), {done.killer.kills} killed by SIGKILL, "
        f"{sum(e.kills for e in done.dispatchers)} during a call\n"
        f"  by SageMaker and the queues: {len(lost)} lost, {len(doubled)} on two targets or "
        f"doubled, {len(during)} began on {RESEARCH} while it was out of reach; messages left "
        f"{dict(left)}\n"
    )
    assert not lost, [(key, trained[key]) for key in lost]
    assert not doubled, [(key, where[key]) for key in doubled]
    assert not during
    assert all(peak <= LIMIT for peak in peaks.values())
    assert all(each.tuning_jobs.keys() <= requests.keys() for each in found.values())
    assert not any(left.values()), "no message is left in a queue"
    assert {team: {*bodies} for team, bodies in dead.items()} == sender.bad


def delays_elsewhere(done: Run) -> dict[bool, list[float]]:
    """Return the seconds from acceptance to creation of requests that may not run on RESEARCH.

    The key says whether a request was accepted during the outage. Requests that wait for others, or
    that an action may have delayed, are left out.
    """
    requests = {tuning_job_name(*key): key for key in done.sender.parents}
    written = entries(done.client)
    delays: dict[bool, list[float]] = {True: [], False: []}
    for target, each in accounts(done.deployed).items():
        for job in each.spans:
            key = requests[job.name]
            free = done.sender.parents[key] is None and key not in done.sender.touched
            if target != RESEARCH and free and RESEARCH not in written[key].allowed_targets:
                accepted = written[key].accepted_at
                seconds = (job.begin - accepted).total_seconds()
                delays[done.outage.has(accepted)].append(seconds)
    return delays


def summary(seconds: list[float]) -> str:
    """Return the median and the largest of some times."""
    return f"median {statistics.median(seconds):.1f}, most {max(seconds):.1f} of {len(seconds)}"
