"""Three dispatchers run for ten minutes with random faults in the embedded cloud (``make soak``).

The dispatchers are processes that are killed every few seconds and restarted. Any call may fail
before or after it takes effect. Meanwhile, teams send, repeat, cancel, hold and reprioritize
requests and send bad messages; others create tuning jobs, delete those that have ended, and cut the
limit. SageMaker and the queues say what became of it; the ledger is compared with them.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.errors import HpoqError
from hpo_dispatcher.contract.names import QUOTAS_DOCUMENT, tuning_job_name
from hpo_dispatcher.contract.templates import read_templates
from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.cycle.pacing import Deadline
from hpo_dispatcher.wiring import build_dispatcher
from hpoq.client import Client
from hpoq.local import cloud as clouds
from hpoq.local.cloud import Cloud
from infra.source import write_function
from tests.support import tiny_jobs as tiny
from tests.support.deployed_stack import Deployed
from tests.support.faulty_dispatcher import SECONDS as SECONDS_OF_A_CYCLE
from tests.support.job_spans import most_at_once
from tests.support.soak_accounting import soak_accounts
from tests.support.soak_others import Killer, LimitHistory, OtherUsers
from tests.support.soak_processes import RestartedDispatcher, environment, running
from tests.support.soak_workload import TEAMS, Sender, entries
from tests.support.unreliable_dispatcher import run_two_failing_dispatchers

SECONDS = float(os.environ.get("HPOQ_SOAK_SECONDS", "600"))
DISPATCHERS = 3
REQUESTS = 500
LIMIT, CUT_LIMIT = 8, 3
QUOTA = 10  # instances of the account; fewer than all others and LIMIT requests would use
LAG = timedelta(seconds=SECONDS_OF_A_CYCLE + 4)  # from the observation of a cycle to its last start
SHARE = 0.02  # of all calls fail
SENDS_PER_SECOND = max(1.0, REQUESTS / (0.8 * SECONDS))
SETTLE_SECONDS = 600
SETTINGS: dict[str, Any] = {
    "teams": {team: {} for team in TEAMS},
    "limits": {"tuning_jobs": LIMIT, "creates_per_second": 50},
}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """Start an embedded cloud whose account has few instances."""
    started = clouds.start(tmp_path / ".hpoq", quotas={"ml.m5.large": QUOTA})
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture
def soak_deployment(cloud: Cloud, tmp_path: Path) -> Deployed:
    """Deploy without heartbeat and events, so that only the test's dispatchers run cycles."""
    deployed = tiny.deploy(cloud, "soak", tmp_path, **SETTINGS)
    events = deployed.client("events")
    for rule in events.list_rules()["Rules"]:
        events.disable_rule(Name=rule["Name"])
    return deployed


def write_outdated_quotas(dispatcher: Dispatcher) -> None:
    """Write quotas to the ledger as if AWS had cut them after they were read."""
    content = {
        "at": datetime.now(UTC).isoformat(),
        "training_instances": {"ml.m5.large": 10 * QUOTA},
    }
    dispatcher.documents.put(QUOTAS_DOCUMENT, json.dumps(content))


@pytest.mark.timeout(SECONDS + SETTLE_SECONDS + 300)
def test_three_killed_dispatchers_lose_double_and_retrain_no_request_and_keep_the_limit(
    soak_deployment: Deployed, tmp_path: Path
) -> None:
    variables, folder = environment(soak_deployment), tmp_path / "function"
    folder.mkdir()
    write_function(folder, SETTINGS | {"default_template": "tiny"})
    limits = LimitHistory(folder / "deployment.json")
    limits.set(LIMIT)
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
        seeds = itertools.count(1)
        dispatchers = [
            RestartedDispatcher(variables, folder, templates, seeds, SHARE)
            for _ in range(DISPATCHERS)
        ]
        others = OtherUsers(
            soak_deployment.client("sagemaker"), limits, LIMIT, CUT_LIMIT, random.Random(8)
        )
        killer = Killer(lambda: [d.pid for d in dispatchers if d.pid], random.Random(9))
        write_outdated_quotas(build_dispatcher(variables, folder, soak_deployment.session))
        until = time.monotonic() + SECONDS
        with running(*dispatchers, others, killer):
            while time.monotonic() < until:
                if len(sender.parents) < REQUESTS:
                    sender.some()
                time.sleep(sender.draw.expovariate(SENDS_PER_SECOND))
        sender.release_all()
        client = Client("soak", session=soak_deployment.session)
        settle(soak_deployment, variables, folder, client, sender)
        others.look()
        judge(soak_deployment, client, sender, dispatchers, others, killer)


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
        if sender.has_ended(entries(client)):
            return
        time.sleep(0.5)
    raise AssertionError("some requests have not ended")


def judge(
    deployed: Deployed,
    client: Client,
    sender: Sender,
    dispatchers: list[RestartedDispatcher],
    others: OtherUsers,
    killer: Killer,
) -> None:
    """Compare what was sent with what SageMaker and the queues show, and print the accounts."""
    letters = [letter for team in TEAMS for letter in client.dead_letters(team, hold_seconds=0)]
    found = soak_accounts(deployed, TEAMS, others.deleted)
    trained = found.jobs_of(sender.parents)
    deleted = {key for key in trained if tuning_job_name(*key) in others.deleted}
    surely = {key for key in trained if sender.ends_surely(key, deleted)}
    lost = sorted(key for key in surely if trained[key] != ["Completed"])
    doubled = sorted(key for key in trained if len(trained[key]) > 1)
    again = sorted(name for name, times in others.began.items() if len(times) > 1)
    known = {tuning_job_name(*key) for key in trained} | {*others.foreign}
    beyond = found.started_beyond(others.limits, lag=LAG)
    instances = most_at_once([*found.instances])
    said = sum((each.said for each in dispatchers), Counter[str]())
    fates = Counter("+".join(each) or "never trained" for each in trained.values())
    cuts = sum(limit == CUT_LIMIT for _, limit in others.limits.since)
    sys.stdout.write(
        f"\nsoak: {SECONDS:.0f} s, {len(trained)} requests {dict(fates)}, {len(surely)} of them "
        f"had to complete; actions {sender.actions}; {sum(map(len, sender.bad.values()))} bad "
        f"messages; by others: {len(others.foreign)} tuning jobs ({others.refused} refused), "
        f"{len(others.deleted)} deletions of ended ones ({len(deleted)} of requests), limit cut "
        f"{cuts} times\n"
        f"  {DISPATCHERS} dispatchers: {sum(e.cycles for e in dispatchers)} cycles ({said['ok']} "
        f"clean, {said['skipped']} skipped); {killer.kills} killed by SIGKILL and "
        f"{sum(e.kills for e in dispatchers)} during a call; {sum(e.failures for e in dispatchers)}"
        f" calls failed in processes that lived\n"
        f"  by SageMaker and the queues: {len(lost)} lost, {len(doubled)} doubled, {len(again)} "
        f"retrained, {len(beyond)} started beyond the limit; peak {found.peak()} of {LIMIT} tuning "
        f"jobs, {instances} of {QUOTA} instances; messages left {dict(found.left)}, dead letters "
        f"{ {team: len(bodies) for team, bodies in found.dead.items()} }\n"
    )
    assert not lost, [(key, trained[key]) for key in lost]
    assert not doubled
    assert not again
    assert not others.deleted.keys() & found.tuning_jobs.keys(), "no deleted one was created again"
    assert found.tuning_jobs.keys() | found.trained.keys() <= known, "nobody else's"
    assert not beyond
    assert found.peak() <= LIMIT
    assert instances <= QUOTA
    assert not any(found.left.values()), "no message is left in a queue"
    assert {team: {*bodies} for team, bodies in found.dead.items()} == sender.bad
    assert all(letter.problem and letter.fix for letter in letters)
    written = {key: entry.status for key, entry in entries(client).items() if key in trained}
    ends = {Status.COMPLETED, Status.CANCELLED, Status.STOPPED}
    assert written.keys() == trained.keys(), "the ledger has all of them"
    assert set(written.values()) <= ends
    wrong = [k for k in trained if written[k] is Status.COMPLETED and trained[k] != ["Completed"]]
    assert not wrong, "what the ledger calls completed has trained"
    assert killer.kills or SECONDS < 60, "processes are killed"


@pytest.mark.timeout(SECONDS + 120)
def test_the_same_holds_in_simulated_accounts_with_many_seeds() -> None:
    until = time.monotonic() + min(60, SECONDS / 10)
    for seed in itertools.count(1000):
        run_two_failing_dispatchers(seed)
        if time.monotonic() > until:
            return
