"""Repair a ledger: read everything, decide, and write if asked to."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import boto3

from hpo_dispatcher.aws.clients import CONFIG
from hpo_dispatcher.aws.dynamodb_table import Table
from hpo_dispatcher.aws.lease import DynamoDBLeases
from hpo_dispatcher.contract import names
from hpo_dispatcher.contract.errors import HpoqError
from hpoq.client import Client, DeadLetter
from hpoq.repair.account import letters, tagged_jobs
from hpoq.repair.decision import Facts, Repair, decide
from hpoq.repair.table import Rows, read_rows, write

# As long as a dispatcher may hold it; a large ledger's repair renews it as it goes.
LEASE = timedelta(minutes=15)
RENEW_EVERY = 200  # repairs
LETTERS_HIDDEN_SECONDS = 30


class DispatcherAtWork(HpoqError):
    """Somebody else may be starting tuning jobs."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was wrong, and what could not be judged."""

    repairs: Sequence[Repair]
    untouched: Sequence[str]  # a line for each row that this version cannot read
    written: bool


def repair(deployment: str, *, apply: bool, session: boto3.Session | None = None) -> Report:
    """Compare the ledger with SageMaker and the dead-letter queues, and set it right.

    Args:
        deployment: its name.
        apply: False: write nothing, only report.
        session: another than boto3's default; needs to read the whole table, and for
            ``apply`` to write it.

    Raises:
        DispatcherAtWork: ``apply`` while a dispatcher holds the lease; nothing was written.
        NotRepaired: an entry changed meanwhile; the repairs before it are written.
    """
    session = session or boto3.Session()
    if not apply:
        rows, repairs = _judged(deployment, session)
        return Report(repairs=repairs, untouched=sorted(rows.untouchable.values()), written=False)
    dynamodb, table = session.client("dynamodb", config=CONFIG), names.ledger_table(deployment)
    leases = DynamoDBLeases(Table(dynamodb, table))
    with _lease(leases) as owner:
        rows, repairs = _judged(deployment, session)
        for number, each in enumerate(repairs, 1):
            write(dynamodb, table, each, owner, datetime.now(UTC))
            if number % RENEW_EVERY == 0:
                _acquire(leases, owner)
    return Report(repairs=repairs, untouched=sorted(rows.untouchable.values()), written=True)


def _judged(deployment: str, session: boto3.Session) -> tuple[Rows, list[Repair]]:
    rows = read_rows(session.client("dynamodb", config=CONFIG), names.ledger_table(deployment))
    jobs = tagged_jobs(session.client("sagemaker", config=CONFIG), deployment, rows.entries)
    client = Client(deployment, session)
    dead = [letter for team in client.teams() for letter in _looked_at(client, team, session)]
    facts = Facts(
        now=datetime.now(UTC),
        entries=rows.entries,
        active=rows.active,
        blocked=rows.blocked,
        untouchable=rows.untouchable.keys(),
        jobs=jobs,
        letters=letters(dead),
    )
    return rows, decide(facts)


def _looked_at(client: Client, team: str, session: boto3.Session) -> list[DeadLetter]:
    """A team's dead letters, in sight again as soon as they are read."""
    letters = client.dead_letters(team, hold_seconds=LETTERS_HIDDEN_SECONDS)
    sqs = session.client("sqs", config=CONFIG)
    if letters:
        url = sqs.get_queue_url(QueueName=names.dead_letter_queue(client.deployment, team))[
            "QueueUrl"
        ]
        for letter in letters:
            sqs.change_message_visibility(
                QueueUrl=url, ReceiptHandle=letter.receipt, VisibilityTimeout=0
            )
    return letters


@contextmanager
def _lease(leases: DynamoDBLeases) -> Iterator[str]:
    """No dispatcher starts anything while a repair is being written."""
    owner = f"repair-{uuid.uuid4().hex}"
    _acquire(leases, owner)
    try:
        yield owner
    finally:
        leases.release(owner, None)


def _acquire(leases: DynamoDBLeases, owner: str) -> None:
    now = datetime.now(UTC)
    if leases.acquire(owner, now, now + LEASE) is None:
        raise DispatcherAtWork(
            "a dispatcher is at work, or was killed and its lease has not run out. Nothing was "
            "written. Switch the heartbeat off, wait until it ends, 16 minutes at most, and repeat"
        )
