"""``hpoq capacity``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpoq.cli.options import AsJson, DeploymentName, client
from hpoq.cli.output import print_json, say, show

if TYPE_CHECKING:
    from hpoq.client import Client
    from hpoq.forecast import Outlook


def capacity(deployment: DeploymentName = "hpoq", as_json: AsJson = False) -> None:
    """What is in use, by whom, and what each team's first requests wait for."""
    of = client(deployment)
    seen = of.capacity()
    outlooks = _outlooks(of, seen)
    if as_json:
        for each, outlook in zip(seen.get("waiting", []), outlooks, strict=True):
            each["outlook"] = outlook
        print_json(seen)
        return
    if not seen:
        say("the dispatcher has not completed a cycle yet")
        return
    from hpoq.cli.tables import expected, place, table

    made = table("resource", ">in use", ">limit", "held by")
    for name, use in [("tuning jobs", seen["tuning_jobs"]), *seen.get("instances", {}).items()]:
        held = "  ".join(f"{team} {count}" for team, count in sorted(use["by_team"].items()))
        limit = use.get("limit")
        made.add_row(name, str(use["in_use"]), str(limit) if limit is not None else "-", held)
    show(made)
    budgets = seen.get("budgets", {})
    if budgets:
        spent = table("team", "month", ">instance-hours", ">spent", ">set aside", ">left")
        for team, each in budgets.items():
            left = each["instance_hours"] - each["spent"] - each["set_aside"]
            hours = (each["instance_hours"], each["spent"], each["set_aside"], left)
            spent.add_row(team, each["month"], *(f"{value:.1f}" for value in hours))
        show(spent)
    waiting = seen.get("waiting", [])
    if waiting:
        line = table("waiting", "team", "place", "starts", "for")
        for each, outlook in zip(waiting, outlooks, strict=True):
            line.add_row(
                each["request_id"], each["team"], place(outlook), expected(outlook), each["reason"]
            )
        show(line)
    say(f"as of {seen['at']}")


def _outlooks(of: Client, seen: dict[str, Any]) -> list[Outlook]:
    """Of the waiting ones, in their order."""
    waiting = seen.get("waiting", [])
    if not waiting:
        return []
    from datetime import UTC, datetime

    from hpoq.forecast import Forecast

    found = Forecast(seen, of.settings.deployment.teams).of_listed(datetime.now(UTC))
    return [found[each["team"], each["request_id"]] for each in waiting]
