"""``hpoq capacity``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpoq.cli.dispatcher_state import say_state, warn_of_left_messages
from hpoq.cli.options import AsJson, DeploymentName, client
from hpoq.cli.output import counted, print_json, say, show, warn

if TYPE_CHECKING:
    from rich.table import Table

    from hpo_dispatcher.contract.documents.capacity import CapacityDocument
    from hpo_dispatcher.scheduling.forecast.outlooks import Outlook
    from hpoq.cli.noted_table import NotedTable
    from hpoq.client import Client


def capacity(deployment: DeploymentName = "hpoq", as_json: AsJson = False) -> None:
    """Show what is in use, by which team, and what each team's first requests wait for."""
    from datetime import UTC, datetime

    from hpo_dispatcher.scheduling.wording import team_removed
    from hpoq.presentation import at_utc, duration, estimates_held
    from hpoq.wait_reasons import removed_teams

    of = client(deployment)
    document = of.capacity()
    if document is None:
        if as_json:
            print_json({})
        else:
            say("the dispatcher has not completed a cycle yet. It runs every ten minutes")
        return
    outlooks = _outlooks(of, document)
    if as_json:
        print_json(_fields(document, outlooks))
        return
    show(_use_table(document))
    if document.budgets:
        show(_budget_table(document))
    if document.waiting:
        show(_waiting_table(document, outlooks))
    if held := estimates_held(document):
        say(held)
    for problem in document.problems.values():
        warn(problem)
    for team, queued in removed_teams(document, of.teams()).items():
        warn(f"{counted(queued, 'queued request')}: {team_removed(team)}")
    warn_of_left_messages(of)
    say_state(of, document, of.teams())
    ago = duration((datetime.now(UTC) - document.at).total_seconds())
    say(f"as of {at_utc(document.at)}, {ago} ago")


def _outlooks(of: Client, document: CapacityDocument) -> list[Outlook]:
    """Return the outlooks of the waiting requests, in their order."""
    if not document.waiting:
        return []
    from datetime import UTC, datetime

    from hpo_dispatcher.scheduling.forecast.outlooks import Forecast

    found = Forecast(document, of.settings.deployment.teams).of_listed(datetime.now(UTC))
    return [found[each.key] for each in document.waiting]


def _fields(document: CapacityDocument, outlooks: list[Outlook]) -> dict[str, Any]:
    fields = document.model_dump(mode="json")
    for waiting, outlook in zip(fields["waiting"], outlooks, strict=True):
        waiting["outlook"] = outlook
    return fields


def _use_table(document: CapacityDocument) -> Table:
    from hpoq.cli.noted_table import table

    made = table("resource", ">in use", ">limit", "used by")
    for name, use in document.resources.items():
        used_by = "  ".join(f"{team} {count}" for team, count in sorted(use.by_team.items()))
        limit = "-" if use.limit is None else str(use.limit)
        made.add_row(name, str(use.in_use), limit, used_by)
    return made


def _budget_table(document: CapacityDocument) -> Table:
    from hpoq.cli.noted_table import table

    made = table("team", "month", ">instance-hours", ">spent", ">set aside", ">left")
    for team, each in document.budgets.items():
        hours = (each.instance_hours, each.spent, each.set_aside, each.left)
        made.add_row(team, each.month, *(f"{value:.1f}" for value in hours))
    return made


def _waiting_table(document: CapacityDocument, outlooks: list[Outlook]) -> NotedTable:
    from hpoq.cli.noted_table import NotedTable
    from hpoq.presentation import expected, queue_position

    made = NotedTable(["waiting", "team", "position"], ["starts", "for"])
    for each, outlook in zip(document.waiting, outlooks, strict=True):
        made.add_row(
            [each.request_id, each.team, queue_position(outlook)], [expected(outlook), each.reason]
        )
    return made
