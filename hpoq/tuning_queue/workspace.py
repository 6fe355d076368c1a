"""A team's workspace as the default bucket of SageMaker SDK sessions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from hpo_dispatcher.contract.names import SHARED_PREFIX, WORKSPACES
from hpoq.errors import NotInstalled, UnusableData

ApiRequest = dict[str, Any]

# Operations that write an object. The SDK uploads code with them.
_WRITES = frozenset(
    [
        "PutObject",
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
        "AbortMultipartUpload",
    ]
)
# Folders of the artifact bucket to which code may write on purpose.
_NAMED_FOLDERS = (WORKSPACES, SHARED_PREFIX)
# The bucket that the SDK chooses without settings: `Session.default_bucket` in its documentation.
_SDK_BUCKET = re.compile(r"s3://sagemaker-[a-z0-9-]+-\d{12}(?=/|$)")


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """The folder of the artifact bucket that belongs to one team."""

    bucket: str
    prefix: str  # ends with a slash

    @property
    def uri(self) -> str:
        """The S3 URI of the folder, without a slash at its end."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def session(self, boto_session: Any) -> Any:
        """Return a session of the installed SageMaker SDK whose default bucket is the workspace.

        Raises:
            NotInstalled: there is no SageMaker SDK.
        """
        try:
            from sagemaker.core.helper.session_helper import Session  # version 3
        except ImportError:
            try:
                from sagemaker.session import Session  # version 2
            except ImportError:
                text = "the SageMaker SDK is not installed. Install it with `pip install sagemaker`"
                raise NotInstalled(text) from None
        session = Session(boto_session=boto_session)
        self._become_default_of(session)
        return session

    @contextmanager
    def default_of(self, session: Any) -> Iterator[None]:
        """Make the workspace the default bucket and prefix of an SDK session for a while."""
        if not hasattr(session, "default_bucket"):  # a session of boto3
            yield
            return
        before = dict(vars(session))
        self._become_default_of(session)
        try:
            yield
        finally:
            for name in ("default_bucket", "default_bucket_prefix"):
                vars(session).pop(name, None)
                if name in before:
                    setattr(session, name, before[name])

    def _become_default_of(self, session: Any) -> None:
        # The method would first look for the bucket, which a team may not.
        session.default_bucket = lambda: self.bucket
        session.default_bucket_prefix = self.prefix.rstrip("/")

    def with_uploads(self, session: Any, inputs: Any, folder: str) -> Any:
        """Return the inputs of a tuner with local files and folders uploaded to the workspace.

        Args:
            session: the SDK session of the tuner, with the workspace as its default bucket.
            inputs: a location, locations by channel, or a list of inputs with a ``channel_name``
                and a location as ``data_source``; anything else is returned unchanged.
            folder: the folder of the uploads within the workspace.

        Raises:
            UnusableData: there is no such file or folder.
        """
        if isinstance(inputs, Mapping):
            return {
                name: self.with_uploads(session, each, f"{folder}/{name}")
                for name, each in inputs.items()
            }
        if isinstance(inputs, list | tuple):
            return [self.with_uploads(session, each, folder) for each in inputs]
        if isinstance(source := getattr(inputs, "data_source", None), str):  # InputData, version 3
            place = self.with_uploads(session, source, f"{folder}/{inputs.channel_name}")
            return inputs if place == source else inputs.model_copy(update={"data_source": place})
        path = local_path(inputs)
        if path is None:
            return inputs
        if not path.exists():
            raise UnusableData(f"inputs: {path}: no such file or folder. Name one, or an S3 URI")
        place = session.upload_data(
            path=str(path), bucket=self.bucket, key_prefix=f"{self.prefix}{folder}"
        )
        # With a slash, because the prefix `train` is also the beginning of `train-labels/`.
        return f"{place.rstrip('/')}/" if path.is_dir() else place


def local_path(place: Any) -> Path | None:
    """Return the local file or folder that an input names; None if it names none."""
    if isinstance(place, Path):
        return place
    if not isinstance(place, str):
        return None
    scheme, separator, path = place.partition("://")
    if not separator:
        return Path(place)
    return Path(unquote(path)) if scheme == "file" else None


@dataclass
class Uploads:
    """The uploads of one capture, all of which go to the workspace.

    Version 3 of the SDK uploads the code of tuners without the session's default prefix.
    """

    workspace: Workspace
    moved: dict[str, str] = field(default_factory=dict)  # location as the SDK has it -> actual one

    def redirect(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the parameters of an S3 call with its object in the workspace; None if it stays.

        Code that names a workspace or the shared folder of the artifact bucket means that place.
        """
        workspace, key = self.workspace, params.get("Key", "")
        is_elsewhere = params.get("Bucket") != workspace.bucket
        if operation not in _WRITES or is_elsewhere or key.startswith(_NAMED_FOLDERS):
            return None
        moved = f"{workspace.prefix}{key}"
        self.moved[f"s3://{workspace.bucket}/{key}"] = f"s3://{workspace.bucket}/{moved}"
        return {**params, "Key": moved}

    def located(self, value: Any) -> Any:
        """Return an API request with the actual locations of uploads, and results in the workspace.

        Results in the bucket that the SDK chose by itself move to the workspace, because the team's
        training role cannot write anywhere else.
        """
        if isinstance(value, Mapping):
            return {
                name: _SDK_BUCKET.sub(self.workspace.uri, each)
                if name == "S3OutputPath" and isinstance(each, str)
                else self.located(each)
                for name, each in value.items()
            }
        if isinstance(value, list):
            return [self.located(each) for each in value]
        if isinstance(value, str):
            for before, after in self.moved.items():
                value = value.replace(before, after)
        return value
