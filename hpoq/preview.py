"""The SageMaker request of a message, without sending it."""

from __future__ import annotations

from typing import Any

from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.message import parse_fields
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.contract.targets.sites import target_sites
from hpo_dispatcher.contract.templates import FrameworkImage
from hpo_dispatcher.tuning_job.api.search_space import combinations_of, searched_names
from hpo_dispatcher.tuning_job.builder import JobBuilder
from hpo_dispatcher.tuning_job.script_search import SEED


class _NamedImages:
    """A stand-in for the image lookup, which needs the SageMaker SDK."""

    def uri(self, image: FrameworkImage, instance_type: str) -> str:
        """Return framework and version in words."""
        return f"{image.framework}-{image.version}-training-for-{instance_type}"


def preview(settings: SettingsDocument, team: str, message: dict[str, Any]) -> dict[str, Any]:
    """Return the request that the dispatcher would make on the first target of a message.

    Raises:
        InvalidRequest: the dispatcher would reject the message.
    """
    request = parse_fields(message, "message-id")
    if not isinstance(request, TuningRequest):
        return message
    return _placed(settings, team, request)[1]


def targets_of(settings: SettingsDocument, team: str, message: dict[str, Any]) -> tuple[str, ...]:
    """Return the targets on which the dispatcher would let a message run.

    Raises:
        InvalidRequest: the dispatcher would reject the message.
    """
    request = parse_fields(message, "message-id")
    return _placed(settings, team, request)[0] if isinstance(request, TuningRequest) else ()


def _placed(
    settings: SettingsDocument, team: str, request: TuningRequest
) -> tuple[tuple[str, ...], dict[str, Any]]:
    builder = JobBuilder(
        deployment=settings.deployment,
        environment=settings.environment,
        templates=settings.templates,
        images=_NamedImages(),
        broken_templates=settings.broken_templates,
    )
    sites = target_sites(settings.environment, settings.deployment.targets)
    return builder.with_sites(sites, lambda _: _NamedImages()).placed(team, request)


def lowered_training_jobs(message: dict[str, Any], api_request: dict[str, Any]) -> str:
    """Return a note if the search space, and not the message, limits the training jobs.

    Args:
        message: a request message.
        api_request: its result of ``preview``.
    """
    limits = api_request.get("HyperParameterTuningJobConfig", {}).get("ResourceLimits", {})
    total = limits.get("MaxNumberOfTrainingJobs")
    config = (message.get("overrides") or {}).get("HyperParameterTuningJobConfig") or {}
    is_asked = (
        "api_request" in message
        or "max_training_jobs" in (message.get("resource_limits") or {})
        or "MaxNumberOfTrainingJobs" in (config.get("ResourceLimits") or {})
    )
    if total is None or is_asked or total < combinations_of(api_request):
        return ""
    if SEED in searched_names(api_request):  # one training job, whose script searches
        return ""
    return f"max_training_jobs is {total}, because the search space has {total} combinations"
