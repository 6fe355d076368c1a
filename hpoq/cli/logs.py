"""The command ``logs``."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from hpoq.cli.options import DeploymentName, RequestId, Team, client, one_team
from hpoq.cli.output import line, say

if TYPE_CHECKING:
    from hpo_dispatcher.contract.entry import Entry
    from hpoq.results.logs import Services
    from hpoq.results.training_jobs import TrainingJobResult

Trial = Annotated[
    int | None,
    typer.Option(
        "--trial",
        min=1,
        help="Number of the training job, in the order in which they started.",
        show_default=False,
    ),
]
Failed = Annotated[bool, typer.Option("--failed", help="Show the training jobs that failed.")]
Follow = Annotated[
    bool, typer.Option("--follow", "-f", help="Keep reading until the training jobs have ended.")
]
SECONDS = 2.0  # between reads; CloudWatch Logs allows 25 a second per account


def logs(
    request_id: RequestId,
    trial: Trial = None,
    failed: Failed = False,
    follow: Follow = False,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
) -> None:
    """Print the log of a request's best training job, of any other one, or of all that failed.

    The reason why a training job failed is printed before its log.
    """
    if failed and trial is not None:
        raise typer.BadParameter("use either --trial or --failed")
    from hpoq.results import training_jobs

    deployed = client(deployment)
    entry = deployed.live(deployed.get(one_team(team, deployed), request_id))
    while True:
        found = training_jobs.of_entry(deployed, entry)
        chosen = _chosen(entry, found, trial, failed)
        if chosen or not follow or entry.status.ended:
            break
        time.sleep(SECONDS)
        entry = deployed.live(deployed.get(entry.team, request_id))
    if not chosen:
        which = "failed training job" if failed else f"training job {trial or ''}".rstrip()
        say(f"{request_id} is {entry.status} and has no {which}")
    reasons = {each.name: each.failure_reason for each in found}
    for name in chosen:
        if reasons.get(name):
            say(f"{name}: {reasons[name]}")
        if len(chosen) > 1:
            line(f"--- {name}")
        for text in _lines(deployed.on(entry.target), name, follow):
            line(text)


def _chosen(
    entry: Entry, found: Sequence[TrainingJobResult], trial: int | None, failed: bool
) -> list[str]:
    """Return the names of the training jobs to show."""
    if failed:
        return [each.name for each in found if each.status == "Failed"]
    if trial is not None:
        return [each.name for each in found if each.number == trial]
    if entry.best:
        return [entry.best.name]
    return [each.name for each in sorted(found, key=lambda each: each.number)[:1]]


def _lines(services: Services, training_job: str, follow: bool) -> Iterator[str]:
    from hpoq.results.logs import TrainingJobLog

    log = TrainingJobLog(services, training_job)
    while True:
        ended = not follow or _has_ended(services, training_job)  # before the last read
        yield from _texts(log.new_lines())
        if ended:
            return
        time.sleep(SECONDS)


def _texts(lines: Iterable[tuple[int, str]]) -> Iterator[str]:
    return (text for _, text in lines)


def _has_ended(services: Services, training_job: str) -> bool:
    from hpoq.client import explained

    with explained(f"training job {training_job}"):
        answer = services.service("sagemaker").describe_training_job(TrainingJobName=training_job)
    return answer["TrainingJobStatus"] in ("Completed", "Failed", "Stopped")
