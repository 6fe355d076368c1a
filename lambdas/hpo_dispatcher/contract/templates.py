"""The job templates: models of their files, and the reader of a folder of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from hpo_dispatcher.contract import message
from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.request import Objective, TuningRequest
from hpo_dispatcher.contract.settings import SettingsModel, parse_model
from hpo_dispatcher.contract.validation.problems import Vocabulary, first_problem, nearest, wrong
from hpo_dispatcher.contract.validation.texts import Twice, read_yaml

TEMPLATES_DIRECTORY = Path(__file__).parents[1] / "templates"
# Fields of a message for which templates have defaults.
_DEFAULTS = ("hyperparameters", "objective", "strategy", "resource_limits", "tags")
RANGES = "hyperparameter_ranges"
# What every request has, to check the defaults of a template.
_ANY_REQUEST: dict[str, Any] = {
    "request_id": "any",
    RANGES: {"hpoq-any": {"type": "categorical", "values": [0]}},
}


class FrameworkImage(SettingsModel):
    """An AWS deep learning container, whose URI the SageMaker SDK knows."""

    framework: Literal["pytorch", "tensorflow", "huggingface", "sklearn", "xgboost"]
    version: str
    py_version: str | None = None


class Template(SettingsModel):
    """A job template: defaults for the fields that a message omits. docs/templates.md."""

    description: str
    image: FrameworkImage | str
    entry_point: str | None = None  # the training script
    # The archive that contains the script; None for the bundled training source. In a template that
    # a client sends with a request also a local folder, which the client uploads.
    source: str | None = None
    # Defaults for fields of the message. Clients use the ranges for requests without any.
    request: dict[str, Any] = Field(default_factory=dict)
    # CreateHyperParameterTuningJob fields, API spelling
    tuning_job: dict[str, Any] = Field(default_factory=dict)
    # The hyperparameter that passes the ranges as JSON to a script that searches them itself.
    ranges_parameter: str | None = None
    # Channels that a job with network isolation must have, because its script otherwise downloads
    # what they contain.
    channels_without_network: tuple[str, ...] = ()
    # Their values are redacted from log lines, reasons, dead-letter attributes and events.
    secret_hyperparameters: tuple[str, ...] = ()

    @cached_property
    def objective(self) -> Objective | None:
        """The default objective."""
        objective = self.request.get("objective")
        return Objective.model_validate(objective) if objective else None

    @model_validator(mode="after")
    def _known_defaults(self) -> Template:
        allowed = {*_DEFAULTS, RANGES}
        unknown = sorted(set(self.request) - allowed)
        if unknown:
            fix = nearest(unknown[0], allowed) or f"Use {', '.join(sorted(allowed))}"
            wrong(f"{unknown[0]} cannot have a default", fix, field=f"request.{unknown[0]}")
        for name in ("TrainingJobDefinition", "HyperParameterTuningJobConfig"):
            if not isinstance(self.tuning_job.get(name, {}), dict):
                wrong("not an object", "Use an object of API fields", field=f"tuning_job.{name}")
        if self.source and not self.entry_point:
            wrong("missing", "Name the script in the source", field="entry_point")
        try:
            TuningRequest.model_validate(_ANY_REQUEST | self.request)
        except ValidationError as error:
            found = first_problem(error, self.request, message.VOCABULARY)
            wrong(found.problem, found.fix, field=f"request.{found.field}")
        return self


class Templates(dict[str, Template]):
    """The job templates by name, and what is wrong with the others.

    Args:
        valid: the valid templates by name.
        broken: the problem of each other one.
    """

    def __init__(
        self, valid: Mapping[str, Template], broken: Mapping[str, InvalidSettings]
    ) -> None:
        super().__init__(valid)
        self.broken = broken


def read_templates(directory: Path = TEMPLATES_DIRECTORY) -> Templates:
    """Read all ``*.yaml`` files of a directory, by file name without the extension.

    A broken template stops neither the dispatcher nor the requests for other templates.
    """
    valid: dict[str, Template] = {}
    broken: dict[str, InvalidSettings] = {}
    for path in sorted(directory.glob("*.yaml")):
        try:
            valid[path.stem] = read_template(path)
        except InvalidSettings as error:
            broken[path.stem] = error
    return Templates(valid, broken)


def read_template(path: Path) -> Template:
    """Read one template, named as the file without its extension.

    Raises:
        InvalidSettings: the file cannot be read or is not a valid template.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise InvalidSettings(
            path.name, str(error.strerror), "Pass the path of a template"
        ) from None
    except UnicodeDecodeError as error:
        raise InvalidSettings(path.name, f"not valid YAML ({error})", "Fix the file") from None
    return parse_template_text(path.name, text)


def parse_template_text(name: str, text: str) -> Template:
    """Parse the text of a template.

    Args:
        name: the name of its file.
        text: YAML.

    Raises:
        InvalidSettings: the text is not a valid template.
    """
    try:
        documents = read_yaml(text)
    except Twice as error:
        raise InvalidSettings(name, f"{error.name!r} appears twice", "Remove one of them") from None
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise InvalidSettings(name, f"not valid YAML ({problem})", "Fix the file") from None
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise InvalidSettings(name, "not one mapping", "Begin with description: ...")
    return parse_template(Path(name).stem, documents[0])


_VOCABULARY = Vocabulary(
    kind="field",
    names=frozenset((*Template.model_fields, *FrameworkImage.model_fields)),
    remove="Remove it, or move an API field to tuning_job",
    reference="docs/templates.md describes templates",
)


def parse_template(name: str, fields: Mapping[str, Any]) -> Template:
    """Parse a template that is already a mapping."""
    return parse_model(Template, fields, f"template {name}", _VOCABULARY)
