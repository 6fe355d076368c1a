"""What ``hpoq campaign plan`` reads: a request, or a campaign file of several models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hpoq.cli.options import client, current_team


def searches_of(file: Path, team: str | None, deployment: str) -> dict[str, dict[str, Any]]:
    """Return the fields of the campaign of each model; of a single request, under "".

    Raises:
        InvalidPlan: the file has several requests, or a model is wrong.
    """
    from hpoq.campaign.many_models import models_of

    document = _document(file)
    models = models_of(document)
    if models is None:
        return {"": _with_template(document, file.parent, team, deployment)}
    return {name: _search(name, each, file, team, deployment) for name, each in models.items()}


def read_points(file: Path) -> list[dict[str, Any]]:
    """Read settings to start from: JSON, JSON Lines or YAML.

    Raises:
        UnreadableFile: the file contains no objects.
    """
    from hpoq.cli.request_files import read_requests

    return [point for _, point in read_requests(file)]


def seeds_of(given: str, settings: int) -> dict[str, Any]:
    """Return the repeats of ``--seeds NAME=1,2,3``.

    Raises:
        InvalidPlan: it is not a name and whole numbers.
    """
    from hpoq.campaign.errors import InvalidPlan

    name, _, values = given.partition("=")
    parts = [part.strip() for part in values.split(",")]
    if not name or not all(part.isdecimal() for part in parts):
        raise InvalidPlan(f"--seeds {given}: write NAME=NUMBER,NUMBER, such as seed=1,2,3")
    return {"hyperparameter": name, "seeds": [int(part) for part in parts], "settings": settings}


def _search(
    name: str, fields: dict[str, Any], file: Path, team: str | None, deployment: str
) -> dict[str, Any]:
    """Return the fields of the campaign of one model."""
    from hpoq.campaign.errors import InvalidPlan

    request, folder = fields["request"], file.parent
    if isinstance(request, str):
        place = folder / request
        request, folder = _document(place), place.parent
    if not isinstance(request, dict):
        raise InvalidPlan(f"models.{name}.request: not a request. Give an object, or a file")
    renamed = {"minutes": "minutes_per_trial"}
    found = {renamed.get(field, field): value for field, value in fields.items()}
    return {**found, **_with_template(request, folder, team, deployment)}


def _document(file: Path) -> dict[str, Any]:
    """Return the content of a file; that of `hpoq submit --api-request`, as a request."""
    from hpoq.campaign.api_form import CONFIG
    from hpoq.campaign.errors import InvalidPlan
    from hpoq.cli.request_files import read_requests

    found = [message for _, message in read_requests(file)]
    if len(found) != 1:
        raise InvalidPlan(
            f"{file}: {len(found)} requests. A campaign needs exactly one, or a file of models "
            "(docs/campaigns.md)"
        )
    return {"api_request": found[0]} if CONFIG in found[0] else found[0]


def _with_template(
    message: dict[str, Any], folder: Path, team: str | None, deployment: str
) -> dict[str, Any]:
    """Return the field ``request``, with what a template in a file or the team's workspace says.

    The path of a file is relative to the request's folder. The code of a template in a file is
    uploaded. Templates of the deployment are applied later; ``runs_script`` says whether one has
    a script.
    """
    if not isinstance(message.get("template"), str) or "api_request" in message:
        return {"request": message}
    from hpoq.errors import NotDeployed, NotReachable
    from hpoq.templates.lookup import TemplateLookup, is_file

    deployed, template = client(deployment), message["template"]
    if is_file(template):
        template = str(folder / template)
    try:
        if template in deployed.settings.templates:
            script = deployed.settings.templates[template].entry_point
            return {"request": message, "runs_script": bool(script)}
        lookup = TemplateLookup(deployed, current_team(team, deployed))
        wanted = {**message, "template": template, "request_id": "campaign"}
        expanded = lookup.expanded(wanted, None)
    except (NotDeployed, NotReachable):
        if is_file(template):
            raise
        return {"request": message}
    return {"request": {name: each for name, each in expanded.items() if name != "request_id"}}
