"""The command ``repair``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hpoq.cli.options import AsJson, DeploymentName
from hpoq.cli.output import print_json, say, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpoq.repair.decision import Repair

Apply = Annotated[
    bool,
    typer.Option("--apply", help="Write the repairs. Without this option they are only shown."),
]


def repair(
    apply: Apply = False, deployment: DeploymentName = "hpoq", as_json: AsJson = False
) -> None:
    """Repair a ledger restored from a backup, using SageMaker's tags and the dead letters.

    For the operator of the deployment: reads the whole ledger and, with --apply, writes it.
    """
    from hpoq.client import explained
    from hpoq.repair.run import repair as run

    with explained(f"ledger of {deployment}"):
        result = run(deployment, apply=apply)
    if as_json:
        print_json([_fields(each) for each in result.repairs])
    elif result.repairs:
        _show(result.repairs)
    for line in result.skipped:
        say(f"skipped: {line}")
    for line in result.warnings:
        say(f"warning: {line}")
    if result.written:
        say(f"{len(result.repairs)} repairs written; the next dispatch cycle continues from there")
    elif result.repairs:
        say(f"{len(result.repairs)} repairs needed; nothing was written. Use --apply to write them")
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
    from hpoq.cli.noted_table import NotedTable

    rows = NotedTable(["request", "was", "becomes"], ["repair", "why"])
    for each in repairs:
        becomes = str(each.entry.status) if each.entry else "-"
        rows.add_row(
            ["/".join(each.key), str(each.was or "-"), becomes], [str(each.kind), each.why]
        )
    show(rows)
