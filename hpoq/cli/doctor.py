"""The command ``doctor``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from hpoq.cli.exit_status import ExitStatus
from hpoq.cli.options import AsJson, DeploymentName
from hpoq.cli.output import print_json, say

if TYPE_CHECKING:
    from hpoq.doctor.findings import Finding

SIGNS = {"ok": "ok     ", "warning": "warning", "fault": "FAULT  ", "unknown": "unknown"}


def doctor(deployment: DeploymentName = "hpoq", as_json: AsJson = False) -> None:
    """Check a deployment: credentials, stack, function, ledger, quotas, role, data, alarms.

    Only reads. Exits with status 1 if something keeps requests from running.
    """
    import boto3

    from hpoq.doctor.examined import Examined
    from hpoq.doctor.findings import Verdict
    from hpoq.doctor.run import examine

    found: list[Finding] = []
    for finding in examine(Examined(deployment=deployment, session=boto3.Session())):
        found.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        print_json([asdict(each) for each in found])
    faults = sum(each.verdict is Verdict.FAULT for each in found)
    if faults:
        say(f"{faults} {'faults' if faults > 1 else 'fault'} in {deployment}")
        raise typer.Exit(ExitStatus.ERROR)
    say(f"no faults in {deployment}")


def _print(finding: Finding) -> None:
    from rich.text import Text

    from hpoq.cli.output import console

    colors = {"ok": "green", "warning": "yellow", "fault": "red", "unknown": "dim"}
    line = Text.assemble(
        (SIGNS[finding.verdict], colors[finding.verdict]), f"  {finding.check}: {finding}"
    )
    console().print(line, soft_wrap=True)
