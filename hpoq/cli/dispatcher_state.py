"""Says what the dispatcher has not done or read, and what the user cannot read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hpoq.cli.output import say, warn

if TYPE_CHECKING:
    from hpo_dispatcher.contract.documents.capacity import CapacityDocument
    from hpo_dispatcher.contract.entry import Entry
    from hpoq.client import Client


def say_state(of: Client, document: CapacityDocument | None, teams: Sequence[str]) -> None:
    """Say what is unusual: a silent dispatcher in color, and messages that wait for a cycle.

    Args:
        of: the deployment.
        document: its capacity document; None before the first cycle.
        teams: whose queues to look into, where the user may.
    """
    from hpoq.errors import NotReachable
    from hpoq.presentation import not_taken_in, silence

    text = silence(document.at if document else None, datetime.now(UTC))
    if text:
        warn(text)
    for team in teams:
        try:
            count = of.count_messages(team)
        except NotReachable:
            continue
        if count:
            say(not_taken_in(team, count))


def warn_of_left_messages(of: Client) -> None:
    """Warn of messages in the queues of removed teams, where the user may list queues."""
    from hpoq.errors import NotReachable
    from hpoq.presentation import left_behind

    try:
        found = of.left_behind()
    except NotReachable:
        return
    for each in found:
        if each.messages or each.dead_letters:
            warn(left_behind(each))


def warn_of_unread_targets(of: Client, entries: Iterable[Entry]) -> None:
    """Warn of running requests whose progress is not shown, once for each of their targets."""
    for entry in {each.target: each for each in entries if each.status.active}.values():
        if problem := of.why_unread(entry):
            warn(f"the progress of {entry.request_id} is not shown: {problem}")
