"""Repair a ledger: read it as a whole, decide, and write the repairs if asked to."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import boto3

from hpo_dispatcher.aws.clients import CONFIG
from hpo_dispatcher.aws.dynamodb_table import Table
from hpo_dispatcher.aws.lease import DynamoDBLeases
from hpo_dispatcher.aws.ledger import DynamoDBRequests
from hpo_dispatcher.contract import names
from hpo_dispatcher.contract.errors import HpoqError
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.ports import LeaseLost
from hpoq.client import Client, DeadLetter
from hpoq.repair.account import letters, tagged_jobs
from hpoq.repair.decision import Facts, Kind, Repair, decide
from hpoq.repair.table import LedgerRows, read_rows

# As long as a dispatcher may hold the lease. The repair of a large ledger renews it.
LEASE = timedelta(minutes=15)
RENEW_EVERY = 200  # repairs
LETTERS_HIDDEN_SECONDS = 30


class DispatcherAtWork(HpoqError):
    """A dispatcher holds the lease and may be starting tuning jobs."""


class NotRepaired(HpoqError):
    """The ledger changed while it was being repaired."""


class OtherTargets(HpoqError):
    """Tuning jobs of the deployment may be on targets that the repair does not see."""


@dataclass(frozen=True, kw_only=True)
class RepairResult:
    """The repairs of a ledger, and the rows that were skipped."""

    repairs: Sequence[Repair]
    skipped: Sequence[str]  # a line for each row that this version cannot read
    written: bool


def repair(deployment: str, *, apply: bool, session: boto3.Session | None = None) -> RepairResult:
    """Compare the ledger with SageMaker and the dead-letter queues, and repair it.

    Args:
        deployment: name of the deployment.
        apply: whether to write the repairs.
        session: credentials other than the default; they must allow reading the whole table,
            and writing it for ``apply``.

    Raises:
        OtherTargets: the deployment has targets besides home; nothing was written.
        DispatcherAtWork: ``apply`` while a dispatcher holds the lease; nothing was written.
        NotRepaired: an entry changed meanwhile; the repairs before it are written.
    """
    session = session or boto3.Session()
    _check_targets(Client(deployment, session).settings.deployment.targets)
    if not apply:
        rows, repairs = _decided(deployment, session)
        return RepairResult(repairs=repairs, skipped=_skipped(rows), written=False)
    table = Table(session.client("dynamodb", config=CONFIG), names.ledger_table(deployment))
    keep = Client(deployment, session).settings.deployment.keep_finished
    leases, requests = DynamoDBLeases(table), DynamoDBRequests(table, keep=keep)
    with _lease(leases) as owner:
        rows, repairs = _decided(deployment, session)
        for number, each in enumerate(repairs, 1):
            _write(requests, each, owner)
            if number % RENEW_EVERY == 0:
                _acquire(leases, owner)
    return RepairResult(repairs=repairs, skipped=_skipped(rows), written=True)


def _check_targets(targets: Iterable[str]) -> None:
    """Refuse to repair where a request without a tuning job at home may have one elsewhere."""
    others = sorted(set(targets) - {HOME})
    if others:
        raise OtherTargets(
            f"hpoq repair sees the tuning jobs of home only, and would run those of "
            f"{', '.join(others)} again. docs/targets.md says what to do instead"
        )


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


def _skipped(rows: LedgerRows) -> list[str]:
    return sorted(rows.unreadable.values())


def _decided(deployment: str, session: boto3.Session) -> tuple[LedgerRows, list[Repair]]:
    rows = read_rows(session.client("dynamodb", config=CONFIG), names.ledger_table(deployment))
    jobs = tagged_jobs(session.client("sagemaker", config=CONFIG), deployment, rows.entries)
    client = Client(deployment, session)
    dead = [letter for team in client.teams() for letter in _dead_letters(client, team, session)]
    now, keep = datetime.now(UTC), client.settings.deployment.keep_finished
    facts = Facts(
        now=now,
        expired_before=now - keep if keep else None,
        entries=rows.entries,
        running=rows.running,
        blocked=rows.blocked,
        unreadable=rows.unreadable.keys(),
        jobs=jobs,
        letters=letters(dead),
    )
    return rows, decide(facts)


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
