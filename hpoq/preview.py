"""The SageMaker request of a message, without sending it."""

from __future__ import annotations

from typing import Any

from hpo_dispatcher.contract.request import TuningRequest, parse_fields
from hpo_dispatcher.contract.settings import FrameworkImage, SettingsDocument
from hpo_dispatcher.tuning_job.builder import JobBuilder


class _NamedImages:
    """A stand-in for the image lookup, which needs the SageMaker SDK."""

    def uri(self, image: FrameworkImage, instance_type: str) -> str:
        """Return framework and version in words."""
        return f"{image.framework}-{image.version}-training-for-{instance_type}"


def preview(settings: SettingsDocument, team: str, message: dict[str, Any]) -> dict[str, Any]:
    """Return the CreateHyperParameterTuningJob request that the dispatcher would make.

    Raises:
        InvalidRequest: the dispatcher would reject the message.
    """
    request = parse_fields(message, "message-id")
    if not isinstance(request, TuningRequest):
        return message
    builder = JobBuilder(
        deployment=settings.deployment,
        environment=settings.environment,
        templates=settings.templates,
        images=_NamedImages(),
    )
    return builder.api_request(team, request)
