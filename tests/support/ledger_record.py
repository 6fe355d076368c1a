"""Record the ledger that the present version leaves, for upgrade tests of later versions.

python -m tests.support.ledger_record > tests/fixtures/ledger-v<N>.json

Run once per version of the ledger. A fixture is never changed.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from boto3 import Session

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.ledger.rows import VERSION
from hpo_dispatcher.cycle.intake.drain import Intake
from hpo_dispatcher.ports import Ending, Preemption
from hpo_dispatcher.tuning_job.resumption import after_stop, earlier_job
from tests.support.dispatcher_account import RANGES, REGION, Account, deployment_in_moto

FULL = {
    "version": 1,
    "request_id": "full",
    "template": "smoke",
    "hyperparameters": {"epochs": 2, "nesterov": True, "optimizer": "sgd"},
    "hyperparameter_ranges": {
        "lr": {"type": "continuous", "min": 1e-4, "max": 0.1, "scaling": "Logarithmic"},
        "batch-size": {"type": "integer", "min": 64, "max": 1024},
        "momentum": {"type": "categorical", "values": [0.0, 0.5, 0.9]},
    },
    "objective": {"metric": "test:auc", "type": "Maximize"},
    "strategy": "Bayesian",
    "resource_limits": {
        "max_training_jobs": 20,
        "max_parallel_training_jobs": 5,
        "max_runtime_in_seconds": 3600,
    },
    "priority": 3,
    "after": ["waiting"],
    "tags": {"project": "fraud"},
    "overrides": {"TrainingJobDefinition": {"RetryStrategy": {"MaximumRetryAttempts": 2}}},
}
# Messages of each kind that are in the queues while the new version is deployed.
MESSAGES: list[tuple[str, dict[str, Any]]] = [
    ("fraud", FULL),
    ("fraud", {"hyperparameter_ranges": RANGES}),
    (
        "vision",
        {"request_id": "warm", "hyperparameter_ranges": RANGES, "warm_start_from": ["done"]},
    ),
    ("fraud", {"version": 1, "action": "cancel", "request_id": "unwanted"}),
    ("fraud", {"version": 1, "action": "priority", "request_id": "waiting", "priority": 7}),
    ("fraud", {"version": 1, "action": "release", "request_id": "held"}),
    ("vision", {"version": 1, "action": "hold"}),
    ("vision", {"version": 1, "action": "release"}),
]


def leave_behind(account: Account) -> list[str]:
    """Write entries in every state and return the names of the existing tuning jobs."""
    account.request("vision", "done")
    account.request("fraud", "bad", template="no-such-template")
    account.send("fraud", {"action": "cancel", "request_id": "cancelled-early"})
    account.cycle()
    account.cycle()  # the tuning job has ended
    for request_id in ("waiting", "held", "unwanted", "cancelled"):
        account.request("fraud", request_id)
    account.request("fraud", "blocked", after=["waiting"])
    for request_id in ("running", "stopping", "promised", "makes-room", "goes-on"):
        account.request("vision", request_id)
    account.request("vision", "waits-anywhere", after=["done"])
    take_in(account)
    account.send("fraud", {"action": "hold", "request_id": "held"})
    account.send("fraud", {"action": "cancel", "request_id": "cancelled"})
    take_in(account)
    dispatcher = account.dispatcher()
    requests, leases = dispatcher.requests, dispatcher.leases
    now = dispatcher.clock()
    assert leases.acquire("one", now, now)
    started = ("running", "stopping", "promised", "makes-room", "goes-on")
    requests.start([entry(account, each) for each in started], "one", now)
    anywhere = replace(entry(account, "waits-anywhere"), targets=("research", "home"))
    requests.unblock(*anywhere.key, anywhere)
    make_room(account)
    account.send("vision", {"action": "cancel", "request_id": "stopping"})
    take_in(account)
    return [entry(account, each).tuning_job_name for each in ("running", "stopping", "makes-room")]


def make_room(account: Account) -> None:
    """Write a tuning job that is to be preempted, and one whose request is queued again."""
    dispatcher = account.dispatcher()
    requests, now = dispatcher.requests, dispatcher.clock()
    rooms = [
        Preemption(
            team="vision",
            request_id=each,
            tuning_job_name=entry(account, each).tuning_job_name,
            preempted_for=("fraud", "waiting"),
            already_stopped=1,
        )
        for each in ("makes-room", "goes-on")
    ]
    assert len(requests.preempt(rooms, "one")) == len(rooms)
    stopped = entry(account, "goes-on")
    counters = {"Completed": 3, "Stopped": 3}
    job = earlier_job(
        stopped.tuning_job_name, counters, 1, seconds=60, instance_seconds=300, found=True
    )
    ending = Ending(
        team="vision",
        request_id="goes-on",
        was=(Status.STOPPING,),
        status=Status.QUEUED,
        ended_at=now,
        tuning_job_name=stopped.tuning_job_name,
        preempted=True,
        resumes_as=dispatcher.builder.resumed(after_stop(stopped, job, None)),
    )
    assert requests.finish([ending])


def take_in(account: Account) -> None:
    of = account.dispatcher()
    intake = Intake(
        queues=of.queues,
        requests=of.requests,
        documents=of.documents,
        answers=of.answers,
        workflow_settings=of.workflow_settings,
        builder=of.builder,
        redactor=of.redactor,
        teams=of.teams,
        clock=of.clock,
    )
    intake.run(lambda: False)


def entry(account: Account, request_id: str) -> Entry:
    found = account.dispatcher().requests.get("vision", request_id)
    assert found is not None
    return found


def items(account: Account) -> list[dict[str, Any]]:
    """Return all items of the ledger as DynamoDB stores them."""
    pages = account.dynamodb.get_paginator("scan").paginate(TableName="hpoq-ledger")
    found = [item for page in pages for item in page["Items"]]
    return sorted(found, key=lambda item: (item["team"]["S"], item["id"]["S"]))


def main() -> None:
    """Print the fixture."""
    session = Session("testing", "testing", region_name=REGION)
    with tempfile.TemporaryDirectory() as folder, deployment_in_moto(Path(folder), session) as of:
        tuning_jobs = leave_behind(of)
        messages = [{"team": team, "body": json.dumps(body)} for team, body in MESSAGES]
        fixture = {
            "version": VERSION,
            "tuning_jobs": tuning_jobs,
            "messages": messages,
            "items": items(of),
        }
    sys.stdout.write(json.dumps(fixture, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
