"""``hpoq repair``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hpoq.cli.options import AsJson, DeploymentName
from hpoq.cli.output import print_json, say, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpoq.repair.decision import Repair

Apply = Annotated[
    bool, typer.Option("--apply", help="Write the repairs; without it, they are only shown.")
]


def repair(
    apply: Apply = False, deployment: DeploymentName = "hpoq", as_json: AsJson = False
) -> None:
    """Set a ledger restored from a backup right, by SageMaker's tags and the dead letters.

    Needs to read the whole ledger and, with --apply, to write it: for who runs the deployment.
    """
    from hpoq.client import explained
    from hpoq.repair.run import repair as run

    with explained(f"ledger of {deployment}"):
        report = run(deployment, apply=apply)
    if as_json:
        print_json([_fields(each) for each in report.repairs])
    elif report.repairs:
        _show(report.repairs)
    for line in report.untouched:
        say(f"left alone: {line}")
    if report.written:
        say(f"{len(report.repairs)} repairs written; the next cycle goes on from there")
    elif report.repairs:
        say(f"{len(report.repairs)} repairs needed; nothing was written, --apply writes them")
    else:
        say("the ledger and SageMaker agree; nothing to repair")


def _fields(each: Repair) -> dict[str, object]:
    team, request_id = each.key
    return {
        "repair": str(each.kind),
        "team": team,
        "request_id": request_id,
        "was": each.was,
        "becomes": each.entry.status if each.entry else None,
        "why": each.why,
    }


def _show(repairs: Sequence[Repair]) -> None:
    from hpoq.cli.tables import table

    made = table("repair", "request", "was", "becomes", "why")
    for each in repairs:
        becomes = str(each.entry.status) if each.entry else "-"
        made.add_row(str(each.kind), "/".join(each.key), str(each.was or "-"), becomes, each.why)
    show(made)
