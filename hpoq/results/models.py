"""The model of the best training job of a request."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.scheduling import wording
from hpo_dispatcher.tuning_job.api.s3_uri import bucket_and_key
from hpoq.client import Client, explained
from hpoq.errors import NotFound, NotReachable
from hpoq.unpacking import NotUnpacked, unpack


def download(client: Client, entry: Entry, folder: Path) -> Path:
    """Download the model of a request's best training job, and unpack it if it is an archive.

    Training jobs with the CompressionType NONE have a folder in S3 instead of an archive:
    OutputDataConfig in the API reference.

    Args:
        client: the deployment.
        entry: the request.
        folder: the folder for its files, which is created if it does not exist.

    Returns:
        The folder.

    Raises:
        NotFound: there is no model yet, or the caller may not read its training job.
        NotReachable: the caller may not read the model, has no access to its target, or it is not
            an archive.
    """
    services = client.on(entry.target)
    uri = client.model_uri(entry)
    if uri is None:
        if entry.best is None:
            raise NotFound(without_best(entry))
        raise NotFound(f"{entry.request_id} is {entry.status} and has no readable model")
    bucket, key = bucket_and_key(uri)
    folder.mkdir(parents=True, exist_ok=True)
    s3 = services.service("s3")
    with explained(f"model {uri}"):
        if key.endswith("/"):
            _download_files(s3, bucket, key, folder)
            return folder
        with tempfile.TemporaryFile() as file:
            s3.download_fileobj(bucket, key, file)
            file.seek(0)
            try:
                unpack(file, folder)
            except NotUnpacked as error:
                raise NotReachable(f"model {uri}: cannot be unpacked ({error})") from None
    return folder


def without_best(entry: Entry) -> str:
    """Return the text that says why a request has no best training job, or none yet."""
    text = f"{entry.request_id} is {entry.status} and has no best training job"
    if not entry.status.ended:
        return f"{text} yet"
    completed = entry.status is Status.COMPLETED
    reason = entry.reason or (wording.metric_not_found() if completed else "")
    return f"{text}: {reason}" if reason else text


def _download_files(s3: Any, bucket: str, prefix: str, folder: Path) -> None:
    """Download the objects below a prefix into a folder, with their folders."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for each in (found for page in pages for found in page.get("Contents", ())):
        key = each["Key"]
        path = folder / key[len(prefix) :]
        try:
            inside = folder.resolve() in path.resolve().parents
            if key.endswith(("/", "/.", "/..")) or not inside:
                continue  # the console's mark of a folder, or no file of the model
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, key, str(path))
        except (OSError, ValueError) as error:  # the name is too long, for example
            raise NotReachable(f"model {key!r} in {bucket}: cannot be saved ({error})") from None
