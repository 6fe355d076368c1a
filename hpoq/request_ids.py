"""Request ids: new ones, those that are taken, and unknown ones that requests wait for."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.errors import DuplicateRequest
from hpo_dispatcher.contract.message import parse_fields
from hpo_dispatcher.contract.request import TuningRequest

UNNAMED = "message-id"


@dataclass(frozen=True, kw_only=True)
class NamedRequest:
    """A request that is about to be sent, and its place in the files."""

    where: str
    request: TuningRequest

    @property
    def parents(self) -> tuple[str, ...]:
        """The ids of the requests that have to end first."""
        return tuple(dict.fromkeys((*self.request.after, *self.request.warm_start_from)))

    @property
    def names(self) -> tuple[str, ...]:
        """All request ids that it names, its own first if it has one."""
        own = self.request.request_id
        return self.parents if own == UNNAMED else (own, *self.parents)


def named_requests(read: Sequence[tuple[str, dict[str, Any]]]) -> list[NamedRequest]:
    """Return the requests among messages, each with its place; without actions."""
    parsed = [(where, parse_fields(message, UNNAMED)) for where, message in read]
    return [
        NamedRequest(where=where, request=each)
        for where, each in parsed
        if isinstance(each, TuningRequest)
    ]


def check_ids(requests: Sequence[NamedRequest], known: Mapping[str, Entry]) -> list[str]:
    """Return notes about ids that are known already, and about parents that are not.

    Args:
        requests: about to be sent, in this order.
        known: the ledger's entries with these ids.

    Raises:
        DuplicateRequest: the dispatcher would reject a request because its id is taken.
    """
    notes: list[str] = []
    sent: dict[str, NamedRequest] = {}
    for each in requests:
        own = each.request.request_id
        if own == UNNAMED:
            continue
        before = sent.setdefault(own, each)
        if before.request != each.request:
            raise _taken(each.where, f"{own!r} also names another request, in {before.where}")
        notes += _known_already(each, known.get(own))
    for each in requests:
        unknown = [name for name in each.parents if name not in known and name not in sent]
        notes += [
            f"{each.where}: it waits for {name!r}, which is not in the ledger. "
            "Check the id, unless that request is still on its way"
            for name in unknown
        ]
    return notes


def _known_already(each: NamedRequest, entry: Entry | None) -> list[str]:
    """Return a note if the same request was accepted before; it does not run again."""
    if entry is None or entry.status is Status.REJECTED:
        return []
    own = each.request.request_id
    if not entry.request_json:  # cancelled before it arrived
        return [f"{each.where}: {own!r} was cancelled in advance and will not start"]
    if entry.request_json != each.request.to_json():
        raise _taken(each.where, f"{own!r} was already used, with different content")
    return [f"{each.where}: {own!r} is {entry.status} already and does not run again"]


def _taken(where: str, problem: str) -> DuplicateRequest:
    return DuplicateRequest(f"{where}: request_id", problem, "Send it under a new request id")


def new_request_id(base: str) -> str:
    """Return a new request id that is also a valid name of a tuning job."""
    ending = f"-{datetime.now(UTC):%y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    readable = re.sub(r"[^A-Za-z0-9]+", "-", base).strip("-") or "request"
    kept = readable[: aws_limits.TUNING_JOB_NAME_LENGTH - len(ending)].rstrip("-")
    return f"{kept}{ending}"
