"""The model of the best training job of a request."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path

from hpo_dispatcher.contract.entry import Entry
from hpoq.client import Client, explained
from hpoq.errors import NotFound


def download(client: Client, entry: Entry, folder: Path) -> Path:
    """Download the model of a request's best training job and unpack it.

    Args:
        client: the deployment.
        entry: the request.
        folder: the folder for its files, which is created if it does not exist.

    Returns:
        The folder.

    Raises:
        NotFound: there is no model yet, or the caller may not read its training job.
        NotReachable: the caller may not read the model.
    """
    uri = client.model_uri(entry)
    if uri is None:
        problem = "has no best training job yet" if entry.best is None else "has no readable model"
        raise NotFound(f"{entry.request_id} is {entry.status} and {problem}")
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as file:
        with explained(f"model {uri}"):
            client.service("s3").download_fileobj(bucket, key, file)
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            archive.extractall(folder, filter="data")  # refuses paths outside of the folder
    return folder
