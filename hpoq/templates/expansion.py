"""Turns a request with a template that the deployment does not know into its API form.

The dispatcher then checks it like every other request, with the guardrails of the deployment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.errors import BrokenTemplate, InvalidRequest, InvalidSettings
from hpo_dispatcher.contract.message import parse_fields
from hpo_dispatcher.contract.names import OWN_TAG_PREFIX
from hpo_dispatcher.contract.request import API_NAME, SHORT_FORM, TuningRequest
from hpo_dispatcher.contract.templates import RANGES, Template
from hpo_dispatcher.tuning_job.api.form import tags_of
from hpo_dispatcher.tuning_job.builder import Images, JobBuilder

Message = dict[str, Any]


def with_ranges_of(template: Template, message: Mapping[str, Any]) -> Message:
    """Return the message with the template's ranges if it has none of its own."""
    if message.get(RANGES) or RANGES not in template.request:
        return dict(message)
    static = message.get("hyperparameters")
    fixed = set(static) if isinstance(static, Mapping) else set()
    ranges = template.request[RANGES].items()
    return {**message, RANGES: {name: each for name, each in ranges if name not in fixed}}


def in_api_form(
    settings: SettingsDocument,
    team: str,
    message: Mapping[str, Any],
    *,
    name: str,
    template: Template,
    images: Images,
) -> Message:
    """Return a message in API form, with all that the template says.

    Args:
        settings: the settings of the deployment.
        team: the team that sends it.
        message: the message in short form, with a request id.
        name: the name of the template, for errors.
        template: the template, whose source is in S3.
        images: a lookup of AWS's training images.

    Raises:
        InvalidRequest: the message or the template is wrong, or the guardrails reject the request.
    """
    if template.secret_hyperparameters:
        fix = "Ask your administrator to add the template to the deployment"
        problem = "only templates of the deployment keep values secret"
        raise InvalidRequest(f"template {name}: secret_hyperparameters", problem, fix)
    request = parse_fields({**with_ranges_of(template, message), "template": name}, "message-id")
    if not isinstance(request, TuningRequest):
        raise InvalidRequest("action", "an action has no template", "Send it without --template")
    builder = JobBuilder(
        deployment=settings.deployment,
        environment=settings.environment,
        templates={name: template},
        images=images,
    )
    try:
        built = builder.new_api_request(team, request)
    except BrokenTemplate as error:
        raise InvalidRequest(f"template {name}", error.problem, "Fix the template") from None
    except InvalidSettings as error:
        raise InvalidRequest(f"template {name}: {error.key}", error.problem, error.fix) from None
    tags = {key: value for key, value in tags_of(built).items() if not _is_ours(key)}
    left = {key: value for key, value in message.items() if key not in (*SHORT_FORM, "tags")}
    api_request = {key: value for key, value in built.items() if key not in (API_NAME, "Tags")}
    return {**left, "api_request": api_request, **({"tags": tags} if tags else {})}


def _is_ours(tag: str) -> bool:
    return tag.startswith(OWN_TAG_PREFIX)
