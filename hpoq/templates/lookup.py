"""Where the template of a request comes from: the deployment, a file, or the team's workspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from hpo_dispatcher.aws.images import SdkImages
from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.errors import InvalidRequest, InvalidSettings
from hpo_dispatcher.contract.names import workspace_prefix
from hpo_dispatcher.contract.templates import (
    FrameworkImage,
    Template,
    parse_template_text,
    read_template,
)
from hpoq.client import explained
from hpoq.errors import NotFound, NotInstalled
from hpoq.request_ids import new_request_id
from hpoq.templates.expansion import Message, in_api_form, with_ranges_of
from hpoq.templates.sources import archive_of, key_of

if TYPE_CHECKING:
    from hpoq.client import Client

SUFFIXES = (".yaml", ".yml")
IN_S3 = "s3://"


class KnownImages:
    """AWS's training images: those that the dispatcher has looked up, else the SageMaker SDK's."""

    def __init__(self, deployed: Client) -> None:
        self._deployed = deployed
        self._images = SdkImages(deployed.settings.region, self)

    def get(self, name: str) -> str | None:
        """Return a document of the deployment."""
        return self._deployed.document(name)

    def put(self, name: str, content: str) -> None:
        """Keep nothing: only the dispatcher writes documents."""

    def uri(self, image: FrameworkImage, instance_type: str) -> str:
        """Return the registry URI of a framework image for an instance type.

        Raises:
            NotInstalled: the SageMaker SDK would be needed to look it up.
        """
        try:
            return self._images.uri(image, instance_type)
        except ImportError:
            raise NotInstalled(
                f"the image of {image.framework} {image.version} for {instance_type} is not known. "
                "Write the image's URI into the template, or `pip install sagemaker`"
            ) from None


@dataclass
class TemplateLookup:
    """The templates that requests of one team name.

    Args:
        deployed: the deployment.
        team: the team.
        upload: whether to upload the code of templates in files.
    """

    deployed: Client
    team: str
    upload: bool = True
    _found: dict[str, Template] = field(default_factory=dict)

    @property
    def _settings(self) -> SettingsDocument:
        return self.deployed.settings

    def expanded(self, message: Mapping[str, Any], name: str | None) -> Message:
        """Return a message that the dispatcher understands without further templates.

        Args:
            message: a request.
            name: the template of messages that name none: a name, or the path of a file.

        Raises:
            InvalidRequest: the request or its template is wrong.
            NotFound: there is no such template.
        """
        chosen = message.get("template") or name
        if "api_request" in message or "action" in message or not isinstance(chosen, str):
            return dict(message)
        if chosen in self._settings.broken_templates:
            return {**message, "template": chosen}
        if not is_file(chosen) and chosen in self._settings.templates:
            known = self._settings.templates[chosen]
            return {**with_ranges_of(known, message), "template": chosen}
        try:
            template = self._found.get(chosen) or self._read(chosen)
        except NotFound:
            if "template" in message:  # the check of the request names the known templates
                return dict(message)
            raise
        self._found[chosen] = template
        images = KnownImages(self.deployed)
        short = Path(chosen).stem
        if not message.get("request_id"):
            message = {"request_id": new_request_id(short), **message}
        return in_api_form(
            self._settings, self.team, message, name=short, template=template, images=images
        )

    def _read(self, chosen: str) -> Template:
        try:
            if not is_file(chosen):
                return self._in_workspace(chosen)
            path = Path(chosen)
            return self._with_code(read_template(path), path)
        except InvalidSettings as error:
            raise InvalidRequest(error.key, error.problem, error.fix) from None

    def _in_workspace(self, name: str) -> Template:
        bucket = self._settings.artifact_bucket
        key = f"{workspace_prefix(self.team)}templates/{name}.yaml"
        s3 = self.deployed.service("s3")
        try:
            text = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        except (BotoCoreError, ClientError, UnicodeDecodeError) as error:
            known = ", ".join(sorted(self._settings.templates))
            raise NotFound(
                f"no template {name!r} in the deployment or at s3://{bucket}/{key} ({error}). "
                f"Templates of the deployment: {known}; a file is named by its path, as in "
                f"{name}.yaml"
            ) from None
        template = parse_template_text(f"{name}.yaml", text)
        if template.source and not template.source.startswith(IN_S3):
            problem = f"{template.source} is not an S3 URI"
            raise InvalidSettings(f"template {name}: source", problem, _UPLOAD)
        return template

    def _with_code(self, template: Template, path: Path) -> Template:
        """Return the template of a file with its local source in the team's workspace."""
        if not template.source or template.source.startswith(IN_S3):
            return template
        archive = archive_of(path.parent / template.source, str(template.entry_point))
        bucket, key = self._settings.artifact_bucket, key_of(self.team, archive)
        uri = f"{IN_S3}{bucket}/{key}"
        if self.upload:
            with explained(uri):
                self.deployed.service("s3").put_object(Bucket=bucket, Key=key, Body=archive)
        return template.model_copy(update={"source": uri})


_UPLOAD = "Upload an archive to the workspace, and name it: s3://{artifact_bucket}/teams/{team}/..."


def is_file(name: str) -> bool:
    """Return whether the name of a template is the path of a file."""
    return name.endswith(SUFFIXES) or "/" in name
