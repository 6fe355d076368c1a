"""The job templates: models of their files, and the reader of a folder of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, model_validator

from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.settings import SettingsModel, parse_model

# The loader in C reads the templates ten times as fast, which shortens every cold start.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TEMPLATES_DIRECTORY = Path(__file__).parents[1] / "templates"


class FrameworkImage(SettingsModel):
    """An AWS deep learning container, whose URI the SageMaker SDK knows."""

    framework: Literal["pytorch", "tensorflow", "huggingface", "sklearn", "xgboost"]
    version: str
    py_version: str | None = None


class Template(SettingsModel):
    """A job template: defaults for the fields that a message omits. A file in ``templates/``."""

    description: str
    image: FrameworkImage | str
    entry_point: str | None = None  # a script of the bundled training source
    request: dict[str, Any] = Field(default_factory=dict)  # defaults for fields of the message
    # CreateHyperParameterTuningJob fields, API spelling
    tuning_job: dict[str, Any] = Field(default_factory=dict)
    # The hyperparameter that passes the ranges as JSON to a script that searches them itself.
    ranges_parameter: str | None = None
    # Channels that a job with network isolation must have, because its script otherwise downloads
    # what they contain.
    channels_without_network: tuple[str, ...] = ()
    # Their values are redacted from log lines, reasons, dead-letter attributes and events.
    secret_hyperparameters: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _known_defaults(self) -> Template:
        allowed = {"hyperparameters", "objective", "strategy", "resource_limits", "tags"}
        unknown = sorted(set(self.request) - allowed)
        if unknown:
            raise ValueError(f"request.{unknown[0]} cannot have a default")
        return self


def read_templates(directory: Path = TEMPLATES_DIRECTORY) -> dict[str, Template]:
    """Read all ``*.yaml`` files of a directory, by file name without the extension.

    Raises:
        InvalidSettings: for the first file that is not a valid template.
    """
    return {path.stem: read_template(path) for path in sorted(directory.glob("*.yaml"))}


def read_template(path: Path) -> Template:
    """Read one template, named as the file without its extension.

    Raises:
        InvalidSettings: the file cannot be read or is not a valid template.
    """
    try:
        fields = yaml.load(path.read_text(), Loader=_LOADER)  # noqa: S506  a safe one
    except OSError as error:
        raise InvalidSettings(
            path.name, str(error.strerror), "Pass the path of a template"
        ) from None
    except yaml.YAMLError as error:
        raise InvalidSettings(path.name, f"not valid YAML ({error})", "Fix the file") from None
    if not isinstance(fields, dict):
        raise InvalidSettings(path.name, "not a mapping", "Begin with description: ...")
    return parse_template(path.stem, fields)


def parse_template(name: str, fields: Mapping[str, Any]) -> Template:
    """Parse a template that is already a mapping."""
    return parse_model(Template, fields, f"template {name}")
