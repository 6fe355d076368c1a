"""Why queued requests wait, from the ``capacity`` document and their entries. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hpo_dispatcher.contract.documents.capacity import CapacityDocument, WaitKind, WaitReason
from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling import wording
from hpo_dispatcher.scheduling.plan import plan
from hpo_dispatcher.scheduling.snapshot import Capacity, Head, Snapshot


def removed_teams(document: CapacityDocument | None, teams: Collection[str]) -> dict[str, int]:
    """Return the teams that have queued requests and are not in the settings, with the counts."""
    queues = document.queues.items() if document else ()
    return {team: each.queued for team, each in sorted(queues) if each.queued and team not in teams}


def why_never(
    document: CapacityDocument,
    teams: Mapping[str, TeamSettings],
    team: str,
    instances: Mapping[str, int],
) -> str:
    """Return why a new request would not start even in an idle account; empty if it would.

    Args:
        document: the last capacity document.
        teams: the settings of all teams.
        team: of the request.
        instances: of each resource that the request needs at once.
    """
    head = Head(team=team, request_id="", priority=0, accepted_at=document.at, instances=instances)
    idle = Snapshot(now=document.at, running_jobs=(), queues={team: [head]})
    waits = plan(idle, Capacity.of(document), teams).waits
    never = [wait.reason for wait in waits if wait.reason.kind is WaitKind.NEVER_FITS]
    return never[0].text if never else ""


def why_of(entry: Entry, capacity: CapacityDocument | None, teams: Collection[str]) -> str:
    """Return the text that says why a request waits, failed or was rejected.

    Args:
        entry: as the ledger has it.
        capacity: the last capacity document; None before the first cycle.
        teams: those of the settings.
    """
    if entry.status is Status.QUEUED and teams and entry.team not in teams:
        return wording.team_removed(entry.team)
    return why(entry, capacity)


def wait_reason(entry: Entry, capacity: CapacityDocument | None) -> WaitReason | None:
    """Return why a queued request waits; None if only its entry may have a reason."""
    queued = entry.status is Status.QUEUED
    if not queued or entry.refused:
        return _next_attempt(entry, capacity) if queued else None
    if entry.on_hold:
        return WaitReason(kind=WaitKind.ON_HOLD, text=wording.on_hold_by_request())
    if entry.blocked:
        return WaitReason(kind=WaitKind.OTHER_REQUESTS, text=_parents(entry))
    if capacity and entry.team in capacity.teams_on_hold:
        return WaitReason(kind=WaitKind.ON_HOLD, text=wording.team_on_hold(entry.team))
    for each in capacity.waiting if capacity else ():
        if each.key == entry.key:
            text = wording.together([each.reason, entry.reason])
            return WaitReason(kind=each.reason_kind, text=text)
    return WaitReason(kind=WaitKind.UNKNOWN, text=entry.reason or wording.not_examined())


def _next_attempt(entry: Entry, capacity: CapacityDocument | None) -> WaitReason | None:
    """Return the reason of a refused request with the time of its next attempt, if it is known."""
    for each in capacity.waiting if capacity else ():
        if each.key == entry.key and not each.reason_kind.starts_by_itself:
            return each.wait_reason
    return None


def why(entry: Entry, capacity: CapacityDocument | None) -> str:
    """Return the text that says why a request waits, failed, was rejected or has no result."""
    if entry.status is Status.COMPLETED and entry.best is None and not entry.reason:
        return wording.metric_not_found()
    reason = wait_reason(entry, capacity)
    return reason.text if reason else entry.reason


def _parents(entry: Entry) -> str:
    request = entry.request
    return wording.waits_for_requests((*request.after, *request.warm_start_from) if request else ())
