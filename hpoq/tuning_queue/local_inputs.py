"""Uploads local files and folders that the channels of a captured API request name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo_dispatcher.contract.request import API_NAME
from hpoq.data.channels import S3Channel
from hpoq.data.local_files import of_one
from hpoq.data.upload import upload
from hpoq.tuning_queue.workspace import ApiRequest, Workspace, local_path

DEFINITION, DEFINITIONS = "TrainingJobDefinition", "TrainingJobDefinitions"


def uploaded(api_request: ApiRequest, workspace: Workspace, s3: Any) -> ApiRequest:
    """Return an API request whose channels read local files and folders from the workspace.

    SageMaker accepts S3 URIs only, so a location without a scheme can only mean a local one.

    Args:
        api_request: as code that was captured sends it.
        workspace: where the files go.
        s3: a client that may write there.

    Raises:
        UnusableData: there is no such file or folder.
    """
    folder = f"{workspace.uri}/data/{api_request[API_NAME]}"
    changed = dict(api_request)
    if DEFINITION in api_request:
        changed[DEFINITION] = _definition(api_request[DEFINITION], folder, s3)
    if DEFINITIONS in api_request:
        changed[DEFINITIONS] = [_definition(each, folder, s3) for each in api_request[DEFINITIONS]]
    return changed


def _definition(definition: Mapping[str, Any], folder: str, s3: Any) -> dict[str, Any]:
    if "InputDataConfig" not in definition:
        return dict(definition)
    channels = [_channel(each, folder, s3) for each in definition["InputDataConfig"]]
    return {**definition, "InputDataConfig": channels}


def _channel(channel: Mapping[str, Any], folder: str, s3: Any) -> dict[str, Any]:
    source = channel.get("DataSource", {}).get("S3DataSource", {})
    path = local_path(source.get("S3Uri"))
    if path is None:
        return dict(channel)
    name = channel["ChannelName"]
    place = S3Channel(name=name, uri=f"{folder}/{name}/")
    upload(s3, of_one(Path(path), place), lambda _: None)
    return {**channel, "DataSource": {"S3DataSource": {**source, "S3Uri": place.uri}}}
