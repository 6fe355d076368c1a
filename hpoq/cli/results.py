"""The command ``results``."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from hpoq.cli.options import DeploymentName, RequestId, Team, client, one_team
from hpoq.cli.output import counted, plain, say

if TYPE_CHECKING:
    from collections.abc import Sequence

Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="File to write: .csv, or .json. By default CSV to stdout.",
        show_default=False,
    ),
]


def results(
    request_id: RequestId,
    out: Out = None,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
) -> None:
    """Write the training jobs of a request, best first, with hyperparameters and objective."""
    from hpoq.presentation import on_stdout, target
    from hpoq.results import training_jobs

    if out is not None and out.suffix not in (".csv", ".json"):
        raise typer.BadParameter(f"{out}: use a name that ends in .csv or .json")
    deployed = client(deployment)
    entry = deployed.get(one_team(team, deployed), request_id)
    found = training_jobs.of_entry(deployed, entry)
    rows = training_jobs.rows(found)
    if not rows:
        say(f"{request_id} is {entry.status} and has no training jobs")
        return
    if out is None:
        text = io.StringIO()
        _write_csv(rows, text)
        sys.stdout.write(on_stdout(text.getvalue()))
    elif out.suffix == ".json":
        out.write_text(json.dumps(rows, indent=2, default=plain) + "\n")
    else:
        with out.open("w", newline="") as file:
            _write_csv(rows, file)
    where = f" on {named}" if (named := target(entry)) else ""
    say(f"{counted(len(rows), 'training job')} of {request_id}{where}")


def _write_csv(rows: Sequence[dict[str, Any]], file: IO[str]) -> None:
    import csv

    # Tuning jobs with several definitions search different hyperparameters.
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
