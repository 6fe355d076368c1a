"""Repair a ledger: read it as a whole, decide, and write the repairs if asked to."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import boto3

from hpo_dispatcher.aws.clients import CONFIG
from hpo_dispatcher.aws.dynamodb_table import Table
from hpo_dispatcher.aws.lease import DynamoDBLeases
from hpo_dispatcher.aws.ledger import DynamoDBRequests
from hpo_dispatcher.contract import names
from hpo_dispatcher.contract.errors import HpoqError
from hpo_dispatcher.ports import LeaseLost
from hpoq.client import Client, DeadLetter
from hpoq.repair.account import letters
from hpoq.repair.decision import Facts, Kind, Repair, TaggedJob, decide
from hpoq.repair.table import read_rows
from hpoq.repair.targets import read_targets

# As long as a dispatcher may hold the lease. The repair of a large ledger renews it.
LEASE = timedelta(minutes=15)
RENEW_EVERY = 200  # repairs
LETTERS_HIDDEN_SECONDS = 30


class DispatcherAtWork(HpoqError):
    """A dispatcher holds the lease and may be starting tuning jobs."""


class NotRepaired(HpoqError):
    """The ledger changed while it was being repaired."""


@dataclass(frozen=True, kw_only=True)
class RepairResult:
    """The repairs of a ledger, and what they leave as it is."""

    repairs: Sequence[Repair]
    skipped: Sequence[str]  # a line for each row that this version cannot read
    warnings: Sequence[str]  # a line for each target that was not read, and each doubled request
    written: bool


def repair(deployment: str, *, apply: bool, session: boto3.Session | None = None) -> RepairResult:
    """Compare the ledger with SageMaker and the dead-letter queues, and repair it.

    Args:
        deployment: name of the deployment.
        apply: whether to write the repairs.
        session: credentials other than the default; they must allow reading the whole table,
            and writing it for ``apply``.

    Raises:
        DispatcherAtWork: ``apply`` while a dispatcher holds the lease; nothing was written.
        NotRepaired: an entry changed meanwhile; the repairs before it are written.
    """
    session = session or boto3.Session()
    if not apply:
        return _decided(deployment, session)
    table = Table(session.client("dynamodb", config=CONFIG), names.ledger_table(deployment))
    keep = Client(deployment, session).settings.deployment.keep_finished
    leases, requests = DynamoDBLeases(table), DynamoDBRequests(table, keep=keep)
    with _lease(leases) as owner:
        decided = _decided(deployment, session)
        for number, each in enumerate(decided.repairs, 1):
            _write(requests, each, owner)
            if number % RENEW_EVERY == 0:
                _acquire(leases, owner)
    return replace(decided, written=True)


def _write(requests: DynamoDBRequests, repair: Repair, owner: str) -> None:
    """Write one repair: the entry and its rows in one transaction, under the lease."""
    try:
        if repair.entry is None:
            requests.delete_row({"team": repair.key[0], "id": repair.key[1]}, owner)
            return
        changed = repair.kind is not Kind.ROWS
        written = requests.restore(repair.entry, repair.was, owner, changed=changed)
    except LeaseLost:
        written = False
    if not written:
        raise NotRepaired(
            f"{'/'.join(repair.key)} changed meanwhile; a dispatcher may be running. "
            "Run `hpoq repair` again; the repairs written so far are kept"
        )


def _decided(deployment: str, session: boto3.Session) -> RepairResult:
    """Return the repairs, none of which is written yet."""
    rows = read_rows(session.client("dynamodb", config=CONFIG), names.ledger_table(deployment))
    client = Client(deployment, session)
    found = read_targets(client, rows.entries)
    dead = [letter for team in client.teams() for letter in _dead_letters(client, team, session)]
    now, keep = datetime.now(UTC), client.settings.deployment.keep_finished
    facts = Facts(
        now=now,
        expired_before=now - keep if keep else None,
        entries=rows.entries,
        running=rows.running,
        blocked=rows.blocked,
        unreadable=rows.unreadable.keys(),
        jobs=found.jobs,
        letters=letters(dead),
        unread=found.unread.keys(),
    )
    return RepairResult(
        repairs=decide(facts),
        skipped=sorted(rows.unreadable.values()),
        warnings=[*map(_left, found.unread.values()), *map(_further, found.further)],
        written=False,
    )


def _left(problem: str) -> str:
    return (
        f"{problem}. Requests that may run there are left as they are. Run `hpoq repair` again "
        "with access to it, before you enable the dispatcher, which could start them elsewhere"
    )


def _further(job: TaggedJob) -> str:
    return (
        f"{job.team}/{job.request_id} has a second tuning job, {job.name} on {job.target}, which "
        f"is {job.status}. The ledger keeps the other one. Stop this one if it runs"
    )


def _dead_letters(client: Client, team: str, session: boto3.Session) -> list[DeadLetter]:
    """Read a team's dead letters, and make them visible again at once."""
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
    """Hold the lease, so that no dispatcher starts anything while repairs are written."""
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
            "a dispatcher is running, or was killed and its lease has not expired. Nothing was "
            "written. Disable the heartbeat, wait up to 16 minutes, and run the command again"
        )
