"""The command ``submit``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpoq.cli.options import AsJson, DeploymentName, Team, client, current_team
from hpoq.cli.output import counted, print_json, say
from hpoq.cli.request_files import read_requests

if TYPE_CHECKING:
    from hpoq.client import Client
    from hpoq.request_cost import Estimate

# Above this number of requests only their total is printed.
ESTIMATES_SHOWN = 10

Files = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Files of requests in JSON, JSON Lines or YAML; - reads stdin.",
        show_default=False,
    ),
]
ApiRequests = Annotated[
    list[Path] | None,
    typer.Option(
        "--api-request",
        help="File of CreateHyperParameterTuningJob requests, as `aws sagemaker` and boto3 take "
        "them; may be repeated.",
        show_default=False,
    ),
]
TemplateName = Annotated[
    str | None,
    typer.Option(
        "--template",
        help="The template of requests that name none: its name, or the path of a file. Without "
        "FILES, send one request with its ranges.",
        show_default=False,
    ),
]
NoCheck = Annotated[
    bool,
    typer.Option(
        "--no-check",
        help="Send requests that the deployment will reject, or whose channels have no data.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Validate and print the SageMaker requests, but send nothing."),
]


def submit(
    files: Files = None,
    api_request: ApiRequests = None,
    template: TemplateName = None,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
    dry_run: DryRun = False,
    no_check: NoCheck = False,
    as_json: AsJson = False,
) -> None:
    """Queue tuning requests and print their ids, which `hpoq watch -` accepts.

    Validates all requests and looks for their data before sending the first; prints their maximum
    costs to stderr.
    """
    read = [found for file in files or () for found in read_requests(file)]
    read += [
        (where, {"api_request": fields})
        for file in api_request or ()
        for where, fields in read_requests(file)
    ]
    if template and not read:
        read = [(template, {})]
    if not read:
        raise typer.BadParameter(
            "name a file of requests, or use --template or --api-request", param_hint="FILES"
        )
    deployed = client(deployment)
    if template or any("template" in message for _, message in read):
        read = _expanded(deployed, current_team(team, deployed), read, template, upload=not dry_run)
    for where, message in read:
        _check(where, message)
    messages = [message for _, message in read]
    named = current_team(team, deployed)
    if not no_check:
        _check_against_deployment(deployed, named, read)
        _check_ids(deployed, named, read)
        _say_what_never_starts(deployed, named, read)
    if dry_run:
        _show(deployed, named, messages, as_json)
        return
    estimates = _estimates(deployed, named, messages)
    sent = deployed.submit(named, messages)
    if as_json:
        pairs = zip(sent, estimates, strict=True)
        print_json([{"request_id": id_, "estimate": each} for id_, each in pairs])
    else:
        sys.stdout.writelines(f"{request_id}\n" for request_id in sent)
    say(f"{counted(len(messages), 'request')} sent as team {named}")


@contextmanager
def _placed(where: str) -> Iterator[None]:
    """Add the place of a request in its file to the error about it."""
    from hpo_dispatcher.contract.errors import InvalidRequest

    try:
        yield
    except InvalidRequest as error:
        raise InvalidRequest(f"{where}: {error.field}", error.problem, error.fix) from None


def _expanded(
    deployed: Client,
    team: str,
    read: Sequence[tuple[str, dict[str, Any]]],
    template: str | None,
    *,
    upload: bool,
) -> list[tuple[str, dict[str, Any]]]:
    """Return the requests with the templates that the deployment does not know filled in."""
    from hpoq.templates.lookup import TemplateLookup

    lookup = TemplateLookup(deployed, team, upload=upload)
    expanded = []
    for where, message in read:
        with _placed(where):
            expanded.append((where, lookup.expanded(message, template)))
    return expanded


def _check_against_deployment(
    deployed: Client, team: str, read: Sequence[tuple[str, dict[str, Any]]]
) -> None:
    """Check what the dispatcher would reject, and that each channel has data.

    Raises:
        InvalidRequest: the dispatcher would reject a request.
        MissingData: a channel of a request is empty.
    """
    import boto3

    from hpo_dispatcher.contract.errors import HpoqError
    from hpoq.botocore_config import QUICK
    from hpoq.data.channels import channels_of, push_command
    from hpoq.data.presence import Lookout, Presence
    from hpoq.errors import MissingData
    from hpoq.preview import lowered_training_jobs, preview

    try:
        settings = deployed.settings
    except HpoqError as error:
        say(f"not checked against the deployment: {error}")
        return
    lookout = Lookout(boto3.Session().client("s3", config=QUICK))
    for where, message in read:
        with _placed(where):
            tuning_job = preview(settings, team, message)
        if note := lowered_training_jobs(message, tuning_job):
            say(f"{where}: {note}")
        for channel in channels_of(tuning_job):
            found = lookout.look(channel)
            if found in (Presence.EMPTY, Presence.NO_BUCKET):
                command = push_command(settings, team, channel, message.get("template"))
                raise MissingData(
                    f"{where}: the channel {channel.name!r} has no data: {channel.uri} {found}. "
                    f"Upload it with `{command}`; --no-check sends the request all the same"
                )
    if lookout.problems:
        say(f"cannot check that the channels have data: {lookout.problems[0]}")


def _check_ids(deployed: Client, team: str, read: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Check that no request id belongs to another request, and say which parents are unknown.

    Raises:
        DuplicateRequest: the dispatcher would reject a request because its id is taken.
    """
    from hpo_dispatcher.contract.errors import HpoqError
    from hpoq.request_ids import check_ids, named_requests

    requests = named_requests(read)
    try:
        wanted = [name for each in requests for name in each.names]
        known = deployed.get_all(team, wanted) if wanted else {}
    except HpoqError as error:
        say(f"request ids not checked: {error}")
        known = {}
    for note in check_ids(requests, known):
        say(note)


def _say_what_never_starts(
    deployed: Client, team: str, read: Sequence[tuple[str, dict[str, Any]]]
) -> None:
    """Say which requests need more than the limits allow: they wait until a limit is raised."""
    from hpo_dispatcher.contract.errors import HpoqError
    from hpo_dispatcher.tuning_job.usage import instances_of
    from hpoq.preview import preview
    from hpoq.wait_reasons import why_never

    try:
        settings, capacity = deployed.settings, deployed.capacity()
    except HpoqError:
        return  # said by the other checks
    if capacity is None:  # no cycle has run
        return
    for where, message in read:
        tuning_job = preview(settings, team, message)
        if "TrainingJobDefinition" not in tuning_job and "TrainingJobDefinitions" not in tuning_job:
            continue  # an action
        reason = why_never(capacity, settings.deployment.teams, team, instances_of(tuning_job))
        if reason:
            say(f"{where}: it will not start under the current limits: {reason}")


def _show(deployed: Client, team: str, messages: list[dict[str, Any]], as_json: bool) -> None:
    from hpoq.preview import preview

    tuning_jobs = [preview(deployed.settings, team, message) for message in messages]
    estimates = _estimates(deployed, team, messages)
    pairs = zip(tuning_jobs, estimates, strict=True)
    print_json(
        [{"tuning_job": job, "estimate": each} for job, each in pairs] if as_json else tuning_jobs
    )
    say(f"{counted(len(messages), 'valid request')}; nothing was sent")


def _estimates(
    deployed: Client, team: str, messages: list[dict[str, Any]]
) -> list[Estimate | None]:
    """Print the maximum costs to stderr and return them; a failed estimate is not an error."""
    from hpo_dispatcher.contract.errors import HpoqError
    from hpoq.request_cost import budget_in_words, estimate, in_words, together

    try:
        estimates = [estimate(deployed.settings, team, message) for message in messages]
        document = deployed.capacity()
        budget = document.budgets.get(team) if document else None
    except HpoqError as error:
        say(f"cannot estimate the cost: {error}")
        return [None] * len(messages)
    known = [each for each in estimates if each]
    for message, each in zip(messages, estimates, strict=True):
        if each and len(known) <= ESTIMATES_SHOWN:
            say(f"{message.get('request_id', 'a request')}: {in_words(each)}")
    if len(known) > 1:
        say(f"{len(known)} requests together: {in_words(together(known))}")
    if known and budget:
        say(budget_in_words(team, budget, together(known).instance_hours))
    return estimates


def _check(where: str, message: dict[str, Any]) -> None:
    """Check a message; report every wrong field of a request in API form.

    Raises:
        InvalidRequest: the message is wrong.
        InvalidFields: several fields of the API request are wrong.
    """
    from hpo_dispatcher.contract.errors import InvalidRequest
    from hpo_dispatcher.contract.message import parse_message
    from hpo_dispatcher.contract.request import TuningRequest
    from hpo_dispatcher.tuning_job.api.form import problems_of
    from hpoq.errors import InvalidFields

    with _placed(where):
        request = parse_message(json.dumps(message), "message-id")
    if not isinstance(request, TuningRequest) or request.api_request is None:
        return
    found = [InvalidRequest(f"{where}: {path}", *rest) for path, *rest in problems_of(request)]
    if len(found) == 1:
        raise found[0]
    if found:
        raise InvalidFields("\n".join(map(str, found)))
