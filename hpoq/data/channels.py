"""The S3 locations that requests read, and how to fill them. Makes no calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hpo_dispatcher.contract.aws_limits import CHANNELS_FOLDER
from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.tuning_job.api_schema import definitions, source_archive
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
        return self.uri.removeprefix("s3://").partition("/")[0]

    @property
    def prefix(self) -> str:
        """The prefix of the keys of the objects."""
        return self.uri.removeprefix("s3://").partition("/")[2]

    def key(self, name: str) -> str:
        """Return the key of a file of the channel; the prefix counts as a folder."""
        folder = self.prefix.rstrip("/")
        return f"{folder}/{name}" if folder else name


def channels_of(api_request: dict[str, Any]) -> list[S3Channel]:
    """Return the S3 channels of a CreateHyperParameterTuningJob request, each once.

    The channel with the code of a job with network isolation is not data, and is left out.
    """
    found = [
        S3Channel(name=channel["ChannelName"], uri=channel["DataSource"]["S3DataSource"]["S3Uri"])
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
    message = {
        "request_id": "hpoq-data",
        "template": template or settings.deployment.default_template,
        "hyperparameter_ranges": SAMPLE_RANGES,
    }
    return channels_of(preview(settings, team, message))


def given_prefix(settings: SettingsDocument, prefix: str) -> S3Channel:
    """Return the location that a user names by an S3 URI, or by a prefix of the artifact bucket.

    Raises:
        UnusableData: the URI names no folder.
    """
    bucket = settings.artifact_bucket
    uri = prefix if "://" in prefix else f"s3://{bucket}/{prefix.lstrip('/')}"
    named = S3Channel(name="data", uri=uri)
    if not uri.startswith("s3://") or not named.bucket or not named.prefix.strip("/"):
        raise UnusableData(
            f"--prefix {prefix}: not a folder in S3. Name one, such as s3://{bucket}/data/mine/"
        )
    return named


def check_allowed(settings: SettingsDocument, channel: S3Channel) -> None:
    """Check that a location is in the artifact bucket or below an allowed input prefix.

    Raises:
        UnusableData: it is elsewhere, where training jobs cannot read it.
    """
    allowed = _allowed(settings)
    if not _is_below(channel.uri, allowed):
        raise UnusableData(
            f"{channel.uri} is outside the locations that training jobs may read. "
            f"Use {' or '.join(allowed)}, or add it to the guardrail input_prefixes"
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
    elif _is_below(channel.uri, _allowed(settings)):
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


def _allowed(settings: SettingsDocument) -> list[str]:
    own = f"s3://{settings.artifact_bucket}/"
    return [own, *settings.deployment.guardrails.input_prefixes]


def _is_below(uri: str, prefixes: Sequence[str]) -> bool:
    folder = uri.rstrip("/") + "/"
    return any(folder.startswith(each.rstrip("/") + "/") for each in prefixes)
