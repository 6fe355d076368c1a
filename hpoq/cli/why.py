"""The command ``why``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpoq.cli.dispatcher_state import say_state
from hpoq.cli.options import AsJson, DeploymentName, RequestId, Team, client, one_team
from hpoq.cli.output import counted, line, print_json, say, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpo_dispatcher.contract.entry import Entry
    from hpoq.client import Client
    from hpoq.results.failures import FailureGroup
    from hpoq.results.training_jobs import TrainingJobResult

Lines = Annotated[
    int, typer.Option("--lines", "-n", min=0, help="Log lines of the first failed training job.")
]


def why(
    request_id: RequestId,
    lines: Lines = 20,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
    as_json: AsJson = False,
) -> None:
    """Say why a request waits, was rejected or failed, with the log of what failed first."""
    from hpo_dispatcher.contract.entry import Status
    from hpoq.cli.status import reason_of
    from hpoq.errors import NotFound, NotReachable
    from hpoq.results.failures import grouped
    from hpoq.results.training_jobs import of_entry

    of = client(deployment)
    named = one_team(team, of)
    document = of.capacity()
    try:
        entry = of.live(of.get(named, request_id))
    except NotFound:
        say_state(of, document, [named])
        raise
    jobs: list[TrainingJobResult] = []
    if entry.tuning_job_name:
        try:
            jobs = of_entry(of, entry)
        except NotReachable as error:
            say(f"the training jobs cannot be read: {error}")
    groups = grouped(jobs)
    last = _last_lines(of, entry, groups, lines)
    reason = reason_of(of, entry, document)
    if as_json:
        print_json(_fields(entry, reason, groups, last))
        return
    line(f"{entry.request_id} is {entry.status}{f': {reason}' if reason else ''}")
    if groups:
        _show(groups, len(jobs), last)
    elif not reason and entry.status.ended:
        say("nothing failed")
    if entry.status is Status.REJECTED:
        say(f"Fix and resubmit it: hpoq redrive --team {named} --edit --filter {request_id}")
    if not entry.status.ended:
        say_state(of, document, [named])


def _last_lines(of: Client, entry: Entry, groups: Sequence[FailureGroup], count: int) -> list[str]:
    """Return the last log lines of the training job that failed first."""
    from hpoq.errors import NotReachable
    from hpoq.results.logs import last_lines

    if not groups or not count:
        return []
    first = min((group.first for group in groups), key=lambda job: job.number)
    try:
        return last_lines(of.on(entry.target), first.name, count)
    except NotReachable as error:
        say(f"its log cannot be read: {error}")
        return []


def _show(groups: Sequence[FailureGroup], total: int, last: Sequence[str]) -> None:
    from hpoq.cli.noted_table import NOTE, NotedTable

    rows = NotedTable([">failed", "first"], [NOTE])
    for group in groups:
        rows.add_row([f"{group.count} of {total}", f"trial {group.first.number}"], [group.reason])
    show(rows)
    first = min((group.first for group in groups), key=lambda job: job.number)
    if last:
        line(f"last {counted(len(last), 'line')} of {first.name}:")
        for text in last:
            line(f"  {text}")


def _fields(
    entry: Entry, reason: str, groups: Sequence[FailureGroup], last: Sequence[str]
) -> dict[str, Any]:
    return {
        "request_id": entry.request_id,
        "team": entry.team,
        "status": str(entry.status),
        "reason": reason,
        "failures": [
            {"reason": each.reason, "count": each.count, "first": each.first.name}
            for each in groups
        ],
        "log": list(last),
    }
