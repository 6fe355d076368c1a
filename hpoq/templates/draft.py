"""Writes a first template for a training script."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hpo_dispatcher.contract.aws_limits import SEARCHED_HYPERPARAMETERS
from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.templates import RANGES, parse_template
from hpo_dispatcher.tuning_job.builder import check_template
from hpoq.errors import UnreadableFile
from hpoq.templates.ranges import fixed_value, suggested_range
from hpoq.templates.script import Metric, Script, read_script

# The images for the packages that a script imports; the first that it imports decides.
IMAGES: Mapping[str, Mapping[str, str]] = {
    "torch": {"framework": "pytorch", "version": "2.10"},
    "tensorflow": {"framework": "tensorflow", "version": "2.19", "py_version": "py312"},
    "xgboost": {"framework": "xgboost", "version": "1.7-1"},
    "sklearn": {"framework": "sklearn", "version": "1.4-2"},
}
_DEFAULT = IMAGES["torch"]
VALUE = r"([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)"
MAX_METRICS = 40  # MetricDefinitions in the API reference, AlgorithmSpecification
_LOSS = re.compile(r"(?i)(loss|error|err|rmse|rmsle|mse|mae|mape|perplexity|ppl|deviance)")
# The objective: validation before other data, a score before a loss.
_PREFERRED = ("validation", "valid", "val", "eval", "dev", "test")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A first template, and what its author should look at."""

    text: str
    notes: Sequence[str]


def draft_of(path: Path, name: str) -> Draft:
    """Return a template for a script, valid as it is.

    Args:
        path: the script, beside which the template will be.
        name: the name of the template.

    Raises:
        UnreadableFile: the script has no options to search or prints no metric.
    """
    script = read_script(path)
    ranges, fixed, notes = _searched(script)
    if not ranges:
        raise UnreadableFile(
            f"{path}: no option with a number or choices in add_argument(...). Read the "
            "hyperparameters with argparse, or write the template by hand (docs/templates.md)"
        )
    if not script.metrics:
        raise UnreadableFile(
            f"{path}: prints no metric. Print one after training, for example "
            'print(f"validation:accuracy={value}")'
        )
    objective = objective_of(script.metrics)
    request = {
        "hyperparameters": fixed,
        RANGES: ranges,
        "objective": {"metric": objective.name, "type": _direction(objective)},
        "resource_limits": {"max_training_jobs": 20, "max_parallel_training_jobs": 2},
    }
    definition = _definition(script, objective, name)
    fields = {
        "description": script.description,
        "image": dict(next((IMAGES[each] for each in IMAGES if each in script.imports), _DEFAULT)),
        "entry_point": script.name,
        "source": "." if _imports_beside(script, path) else script.name,
        "request": {key: value for key, value in request.items() if value},
        "tuning_job": {"TrainingJobDefinition": {k: v for k, v in definition.items() if v}},
    }
    try:
        check_template(name, parse_template(name, fields))
    except InvalidSettings as error:  # such as a metric whose name the API refuses
        raise UnreadableFile(f"{path}: {error}") from None
    notes = [f"objective: {_direction(objective)} {objective.name}", *notes]
    head = (
        f"# Written by `hpoq template new` from {path.name}. Check ranges, metrics and instance\n"
        "# type. docs/templates.md describes the fields.\n"
    )
    dumped = yaml.safe_dump(fields, sort_keys=False, width=100, allow_unicode=True)
    return Draft(text=head + dumped, notes=notes)


def objective_of(metrics: Sequence[Metric]) -> Metric:
    """Return the metric that a search most likely optimizes."""

    def rank(metric: Metric) -> tuple[int, bool]:
        words = re.split(r"[^a-z]+", metric.name.lower())
        found = [number for number, word in enumerate(_PREFERRED) if word in words]
        is_training = "train" in words or "training" in words
        others = len(_PREFERRED) + is_training
        return (min(found) if found else others, bool(_LOSS.search(metric.name)))

    return min(metrics, key=rank)


def _searched(script: Script) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Return the ranges, the fixed hyperparameters, and notes about the other options."""
    ranges: dict[str, Any] = {}
    fixed: dict[str, Any] = {}
    notes = []
    for option in script.options:
        suggested = suggested_range(option)
        if suggested and len(ranges) < SEARCHED_HYPERPARAMETERS:
            ranges[option.name] = suggested
        elif (value := fixed_value(option)) is not None:
            fixed[option.name] = value
        elif option.required:
            notes.append(f"--{option.name} is required: add it to request.hyperparameters")
    return ranges, fixed, notes


def _direction(objective: Metric) -> str:
    return "Minimize" if _LOSS.search(objective.name) else "Maximize"


def _definition(script: Script, objective: Metric, name: str) -> dict[str, Any]:
    """Return the TrainingJobDefinition."""
    chosen = [objective, *(each for each in script.metrics if each != objective)][:MAX_METRICS]
    definitions = [{"Name": each.name, "Regex": _regex(each, script.metrics)} for each in chosen]
    return {
        "AlgorithmSpecification": {"MetricDefinitions": definitions},
        "InputDataConfig": [_channel(each, name) for each in script.channels],
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }


def _imports_beside(script: Script, path: Path) -> bool:
    """Return whether the script imports modules of its own folder."""
    beside = {each.stem for each in path.parent.glob("*.py")} | {
        each.parent.name for each in path.parent.glob("*/__init__.py")
    }
    return bool((beside - {path.stem}) & script.imports)


def _regex(metric: Metric, metrics: Sequence[Metric]) -> str:
    """Return the regular expression of a metric's value."""
    text = re.sub(r"\s+", r"\\s+", re.escape(metric.prefix).replace(r"\ ", " "))
    # Another metric may end with the same text: `loss=` is also in `test_loss=`.
    is_part = any(each != metric and each.prefix.endswith(metric.prefix) for each in metrics)
    return (r"(?:^|[\s,;|])" if is_part else "") + text + VALUE


def _channel(channel: str, name: str) -> dict[str, Any]:
    place = f"s3://{{artifact_bucket}}/teams/{{team}}/data/{name}/{channel}/"
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": place,
        "S3DataDistributionType": "FullyReplicated",
    }
    return {"ChannelName": channel, "DataSource": {"S3DataSource": source}}
