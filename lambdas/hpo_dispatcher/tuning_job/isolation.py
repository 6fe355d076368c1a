"""Training jobs with network isolation, whose container can download nothing.

SageMaker itself copies the channels into the container, so the code is a channel, too. Version 2 of
the SageMaker SDK does the same for ``enable_network_isolation``: the channel ``code``, and its
archive as ``sagemaker_submit_directory`` (``CONTAINER_CODE_CHANNEL_SOURCEDIR_PATH``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hpo_dispatcher.contract.aws_limits import CHANNELS_FOLDER
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.templates import Template
from hpo_dispatcher.tuning_job.api.schema import (
    SOURCE_ARCHIVE,
    ApiRequest,
    check_api_request,
    definitions,
    on_definitions,
    source_archive,
)

CODE_CHANNEL = "code"


def with_code_channels(api_request: ApiRequest) -> ApiRequest:
    """Return the request with the code of isolated training jobs as a channel.

    Args:
        api_request: a request whose locations the guardrails allow.

    Raises:
        InvalidRequest: a channel of the request is in the way.
    """
    if not any(map(_downloads_code, definitions(api_request))):
        return api_request
    changed = on_definitions(
        api_request, lambda each: _with_code_channel(each) if _downloads_code(each) else each
    )
    check_api_request(changed)  # the number of channels is limited
    return changed


def check_isolated_channels(
    api_request: ApiRequest, template: Template, image_of: Callable[[Mapping[str, Any]], str]
) -> None:
    """Check that isolated training jobs have the channels that replace their script's downloads.

    A script or an image of the request's own is not checked.

    Args:
        api_request: a request that conforms to the service model.
        template: its template.
        image_of: returns the template's image for a definition.

    Raises:
        InvalidRequest: naming the first missing channel.
    """
    if not template.channels_without_network:
        return
    for definition in definitions(api_request):
        static = definition.get("StaticHyperParameters", {})
        image = definition["AlgorithmSpecification"].get("TrainingImage")
        is_bundled = static.get("sagemaker_program") == template.entry_point
        if not (_is_isolated(definition) and is_bundled and image == image_of(definition)):
            continue
        for name in template.channels_without_network:
            if name not in _channel_names(definition):
                raise InvalidRequest(
                    "TrainingJobDefinition.InputDataConfig",
                    f"{template.entry_point} downloads packages, which network isolation prevents, "
                    f"and there is no channel {name!r}",
                    f"Add a channel {name} with their wheels (docs/training.md), or use an image "
                    "that includes them",
                )


def _is_isolated(definition: Mapping[str, Any]) -> bool:
    return bool(definition.get("EnableNetworkIsolation"))


def _downloads_code(definition: Mapping[str, Any]) -> bool:
    return _is_isolated(definition) and source_archive(definition).startswith("s3://")


def _channel_names(definition: Mapping[str, Any]) -> list[str]:
    return [each["ChannelName"] for each in definition.get("InputDataConfig", ())]


def _with_code_channel(definition: Mapping[str, Any]) -> dict[str, Any]:
    static = definition["StaticHyperParameters"]
    archive = source_archive(definition)
    folder = f"{CHANNELS_FOLDER}/{CODE_CHANNEL}"
    if CODE_CHANNEL in _channel_names(definition):
        raise InvalidRequest(
            "TrainingJobDefinition.InputDataConfig",
            f"a job with network isolation gets its code in the channel {CODE_CHANNEL!r}, and the "
            "request has another channel of this name",
            f"Rename it, or set {SOURCE_ARCHIVE} to an archive in it, "
            f"such as {folder}/sourcedir.tar.gz",
        )
    channel = {
        "ChannelName": CODE_CHANNEL,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": archive,
                "S3DataDistributionType": "FullyReplicated",
            }
        },
        "InputMode": "File",  # whatever the mode of the data
    }
    return {
        **definition,
        "InputDataConfig": [*definition.get("InputDataConfig", ()), channel],
        "StaticHyperParameters": {
            **static,
            SOURCE_ARCHIVE: f"{folder}/{archive.rpartition('/')[2]}",
        },
    }
