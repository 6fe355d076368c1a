"""``hpoq capacity``."""

from __future__ import annotations

from hpoq.cli.options import AsJson, DeploymentName, client
from hpoq.cli.output import print_json, say, show


def capacity(deployment: DeploymentName = "hpoq", as_json: AsJson = False) -> None:
    """What is in use, by whom, and what each team's first requests wait for."""
    seen = client(deployment).capacity()
    if as_json:
        print_json(seen)
        return
    if not seen:
        say("the dispatcher has not completed a cycle yet")
        return
    from hpoq.cli.tables import table

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
        line = table("waiting", "team", ">position", "for")
        for each in waiting:
            position = str(each.get("position", ""))
            line.add_row(each["request_id"], each["team"], position, each["reason"])
        show(line)
    say(f"as of {seen['at']}")
