"""The S3 locations that requests read, and how to fill them. Makes no calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hpo_dispatcher.contract.aws_limits import CHANNELS_FOLDER
from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.errors import InvalidRequest, NotAllowed
from hpo_dispatcher.contract.names import SHARED_PREFIX, workspace_prefix
from hpo_dispatcher.tuning_job.api.s3_uri import bucket_and_key, s3_uri
from hpo_dispatcher.tuning_job.api.schema import definitions, source_archive
from hpo_dispatcher.tuning_job.places import Places
from hpoq.errors import UnusableData
from hpoq.preview import preview

# A search space that every template with a learning rate takes. The request is never sent.
SAMPLE_RANGES = {"lr": {"type": "continuous", "min": 0.0001, "max": 0.1, "scaling": "Logarithmic"}}


@dataclass(frozen=True, kw_only=True)
class S3Channel:
    """A named input of training jobs, and the S3 prefix that it reads."""

    name: str
    uri: str

    @property
    def bucket(self) -> str:
        """The bucket of the prefix."""
        return bucket_and_key(self.uri)[0]

    @property
    def prefix(self) -> str:
        """The prefix of the keys of the objects."""
        return bucket_and_key(self.uri)[1]

    def key(self, name: str) -> str:
        """Return the key of a file of the channel; the prefix counts as a folder."""
        folder = self.prefix.rstrip("/")
        return f"{folder}/{name}" if folder else name


def channels_of(api_request: dict[str, Any]) -> list[S3Channel]:
    """Return the S3 channels of a CreateHyperParameterTuningJob request, each once.

    The channel with the code of a job with network isolation is not data, and is left out.
    """
    found = [
        S3Channel(
            name=channel["ChannelName"],
            uri=s3_uri(channel["DataSource"]["S3DataSource"]["S3Uri"]),
        )
        for definition in definitions(api_request)
        for channel in definition.get("InputDataConfig", ())
        if "S3DataSource" in channel.get("DataSource", {}) and not _is_code(channel, definition)
    ]
    return list(dict.fromkeys(found))


def _is_code(channel: dict[str, Any], definition: dict[str, Any]) -> bool:
    program = source_archive(definition)
    return program.startswith(f"{CHANNELS_FOLDER}/{channel['ChannelName']}/")


def template_channels(
    settings: SettingsDocument, team: str, template: str | None = None
) -> list[S3Channel]:
    """Return the S3 channels of a team's requests for a template, or for the default one.

    Raises:
        InvalidRequest: there is no such template, or the guardrails reject its requests.
    """
    return channels_of(sample_request(settings, team, "hpoq-data", template))


def sample_request(
    settings: SettingsDocument, team: str, request_id: str, template: str | None = None
) -> dict[str, Any]:
    """Return what a request of a team with nothing but a template would send to SageMaker.

    Raises:
        InvalidRequest: there is no such template, or the guardrails reject its values.
    """
    named = template or settings.deployment.default_template
    message = {
        "request_id": request_id,
        "template": named,
        "hyperparameter_ranges": SAMPLE_RANGES,
    }
    try:
        return preview(settings, team, message)
    except NotAllowed as error:
        raise NotAllowed(
            f"template {named}: {error.field}",
            error.problem,
            f"{error.fix} in the template, or change the guardrail",
        ) from None


def given_prefix(settings: SettingsDocument, team: str | None, prefix: str) -> S3Channel:
    """Return the location that a user names by an S3 URI, or by a folder.

    The folder is in the workspace of the team if one is named, except shared/, else in the artifact
    bucket.

    Raises:
        UnusableData: the URI names no folder.
    """
    bucket = settings.artifact_bucket
    folder = prefix.lstrip("/")
    in_workspace = team and folder and not folder.startswith(SHARED_PREFIX)
    home = f"s3://{bucket}/{workspace_prefix(team) if team and in_workspace else ''}"
    uri = prefix if "://" in prefix else f"{home}{folder}"
    named = S3Channel(name="data", uri=uri)
    if not uri.startswith("s3://") or not named.bucket or not named.prefix.strip("/"):
        raise UnusableData(
            f"--prefix {prefix}: not a folder in S3. Name one, such as s3://{bucket}/shared/mine/"
        )
    return named


def check_allowed(settings: SettingsDocument, team: str | None, channel: S3Channel) -> None:
    """Check that the training jobs of a team, or of any if none is named, can read a location.

    Raises:
        UnusableData: they cannot.
    """
    teams = [team] if team else sorted(settings.deployment.teams)
    places = [_places(settings, each) for each in teams]
    if not any(each.may_read(channel.uri) for each in places):
        whose = f" of {team}" if team else ""
        raise UnusableData(
            f"{channel.uri} is outside the locations that training jobs{whose} may read. "
            f"Use {' or '.join(places[0].readable)}, or add it to the guardrail input_prefixes"
        )


def push_command(
    settings: SettingsDocument, team: str, channel: S3Channel, template: str | None = None
) -> str:
    """Return the command that uploads the data of a channel of a request."""
    options = ["--deployment", settings.name] if settings.name != "hpoq" else []
    if channel in _channels_or_none(settings, team, template):
        if template not in (None, settings.deployment.default_template):
            options += ["--template", str(template)]
        if f"/{team}/" in channel.uri:
            options += ["--team", team]
    elif _places(settings, team).may_read(channel.uri):
        options += ["--prefix", channel.uri]
    else:
        return f"aws s3 cp --recursive FOLDER {channel.uri.rstrip('/')}/"
    return " ".join(["hpoq data push", *options, "FOLDER"])


def _channels_or_none(
    settings: SettingsDocument, team: str, template: str | None
) -> list[S3Channel]:
    try:
        return template_channels(settings, team, template)
    except InvalidRequest:
        return []


def _places(settings: SettingsDocument, team: str) -> Places:
    return Places(
        team=team,
        bucket=settings.artifact_bucket,
        training_source=settings.training_source,
        opened=settings.deployment.opened_for(team),
    )
