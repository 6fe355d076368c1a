"""Checks a finished API request against botocore's description of the SageMaker API.

Botocore checks types and required members before it sends a request, and leaves enumerations,
patterns and bounds to the service. This module checks all of them before anything is created.
"""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, cast

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

from hpo_dispatcher.contract.aws_limits import INSTANCE_TYPE_PREFIX
from hpo_dispatcher.contract.errors import InvalidRequest

OPERATION = "CreateHyperParameterTuningJob"
SOURCE_ARCHIVE = "sagemaker_submit_directory"  # the hyperparameter that names the script's archive

ApiRequest = dict[str, Any]

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "structure": (dict,),
    "map": (dict,),
    "list": (list, tuple),
}
_MISSING = "Add it; in the short form, to overrides or to the template"
# Bits of the service's integers; botocore accepts any Python integer.
_WIDTHS = {"integer": 31, "long": 63}
# Java's Unicode classes, which Python's re does not support.
_JAVA_CLASSES = {r"\p{L}": r"\w", r"\p{Z}": r"\s", r"\p{N}": r"\d"}


def check_api_request(api_request: dict[str, Any]) -> None:
    """Check a CreateHyperParameterTuningJob request.

    Raises:
        InvalidRequest: naming the path of the first member that the service would reject.
    """
    for problem in problems_in(api_request):
        raise InvalidRequest(*problem)


def problems_in(api_request: dict[str, Any]) -> Iterator[Problem]:
    """Yield path, problem and fix of each member that the service would reject."""
    return _problems(_input_rule(), api_request, "")


@lru_cache(maxsize=1)
def _input_rule() -> _Rule:
    description = Loader().load_service_model("sagemaker", "service-2")
    operation = ServiceModel(description, "sagemaker").operation_model(OPERATION)
    return _Rule(cast(Shape, operation.input_shape))


Problem = tuple[str, str, str]  # where, what, and the fix


class _Rule:
    """The constraints of one shape, read once because every message is checked."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self.type_name: str = shape.type_name
        self.types = _PYTHON_TYPES.get(shape.type_name, (object,))
        self.bits = _WIDTHS.get(shape.type_name)
        self.low, self.high = shape.metadata.get("min"), shape.metadata.get("max")
        self.bounded = not (self.low is None and self.high is None and self.bits is None)
        self.required: Sequence[str] = getattr(shape, "required_members", ())
        self.allowed: Sequence[str] = shape.metadata.get("enum", ())
        self.pattern: str = shape.metadata.get("pattern", "")

    # The members of structures, lists and maps are read at first use.

    @cached_property
    def members(self) -> Mapping[str, _Rule]:
        shapes = cast(StructureShape, self._shape).members
        return {name: _Rule(shape) for name, shape in shapes.items()}

    @cached_property
    def member(self) -> _Rule:
        return _Rule(cast(ListShape, self._shape).member)

    @cached_property
    def key(self) -> _Rule:
        return _Rule(cast(MapShape, self._shape).key)

    @cached_property
    def value(self) -> _Rule:
        return _Rule(cast(MapShape, self._shape).value)

    @cached_property
    def regex(self) -> re.Pattern[str]:
        pattern = self.pattern
        for java, python in _JAVA_CLASSES.items():
            pattern = pattern.replace(java, python)
        return re.compile(pattern, re.DOTALL)


def _problems(rule: _Rule, value: Any, path: str) -> Iterator[Problem]:
    if type(value) not in rule.types and not _has_type(rule, value):
        problem = f"{value!r} has the wrong type"
        yield path, problem, f"The API expects the type {rule.type_name}"
        return
    found = _out_of_bounds(rule, value, path) if rule.bounded else None
    if found:
        yield found
        return
    inside = _INSIDE.get(rule.type_name)
    if inside:
        yield from inside(rule, value, path)


def _has_type(rule: _Rule, value: Any) -> bool:
    """Return whether a value has the type of a rule. A Python bool is not an integer here."""
    return isinstance(value, rule.types) and not isinstance(value, bool)


def _out_of_bounds(rule: _Rule, value: Any, path: str) -> Problem | None:
    low, high, bits = rule.low, rule.high, rule.bits
    measured = isinstance(value, (str, list, tuple, dict))
    size = len(value) if measured else value
    if bits and not -(1 << bits) <= size < 1 << bits:
        return path, f"the number has more than {bits} bits", "Use a smaller number"
    unit = (" characters" if isinstance(value, str) else " entries") if measured else ""
    if low is not None and size < low:
        return path, f"{size}{unit} is less than {low}", f"Use at least {low}"
    if high is not None and size > high:
        return path, f"{size}{unit} is more than {high}", f"Use at most {high}"
    return None


def _in_structure(rule: _Rule, value: dict[str, Any], path: str) -> Iterator[Problem]:
    prefix = f"{path}." if path else ""
    for name in rule.required:
        if name not in value:
            yield f"{prefix}{name}", "missing", _MISSING
    for name, item in value.items():
        member = rule.members.get(name)
        if member is None:
            near = difflib.get_close_matches(str(name), rule.members, n=1)
            fix = f"Did you mean {near[0]}?" if near else f"Use {', '.join(rule.members)}"
            yield f"{prefix}{name}", "the API has no such field", fix
        else:
            yield from _problems(member, item, f"{prefix}{name}")


def _in_list(rule: _Rule, value: Sequence[Any], path: str) -> Iterator[Problem]:
    for index, item in enumerate(value):
        yield from _problems(rule.member, item, f"{path}.{index}")


def _in_map(rule: _Rule, value: dict[str, Any], path: str) -> Iterator[Problem]:
    for key, item in value.items():
        where = f"{path}.{key}"
        yield from _problems(rule.key, key, where)
        yield from _problems(rule.value, item, where)


def _in_text(rule: _Rule, value: str, path: str) -> Iterator[Problem]:
    if rule.allowed and value not in rule.allowed:
        near = [f"{INSTANCE_TYPE_PREFIX}{value}"]
        if near[0] not in rule.allowed:
            near = difflib.get_close_matches(value, rule.allowed, n=1)
        choice = f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(rule.allowed[:8])}"
        yield path, f"the API does not accept {value!r}", choice
    elif rule.pattern and not rule.regex.fullmatch(value):
        yield path, f"{value!r} is not allowed", f"It must match {rule.pattern}"


_INSIDE: Mapping[str, Callable[[_Rule, Any, str], Iterator[Problem]]] = {
    "structure": _in_structure,
    "list": _in_list,
    "map": _in_map,
    "string": _in_text,
}


def instance_choices(definition: Mapping[str, Any]) -> Iterator[Mapping[str, int]]:
    """Yield the instances of one training job by type, for each choice that SageMaker has.

    The groups of a heterogeneous cluster run together. Of several preferences or configurations,
    SageMaker uses one. A count beside the preferences applies to each of them: InstancePreference
    in the API reference.
    """
    for field in ("ResourceConfig", "HyperParameterTuningResourceConfig"):
        resources = definition.get(field, {})
        count = resources.get("InstanceCount", 1)
        if "InstanceType" in resources:
            yield {resources["InstanceType"]: count}
        groups = Counter[str]()
        for group in resources.get("InstanceGroups", ()):
            groups[group["InstanceType"]] += group["InstanceCount"]
        if groups:
            yield groups
        for name in ("InstancePreferences", "InstanceConfigs"):
            for each in resources.get(name, ()):
                yield {each["InstanceType"]: each.get("InstanceCount", count)}


def instance_types(definition: Mapping[str, Any]) -> list[str]:
    """Return each instance type that a training job may use."""
    return [each for choice in instance_choices(definition) for each in choice]


def source_archive(definition: Mapping[str, Any]) -> str:
    """Return where a training job's container finds its script; empty if it has none.

    Containers decode hyperparameters as JSON, and version 2 of the SageMaker SDK encodes them.
    """
    value: str = definition.get("StaticHyperParameters", {}).get(SOURCE_ARCHIVE, "")
    try:
        decoded = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return decoded if isinstance(decoded, str) else value


def definitions(api_request: ApiRequest) -> list[dict[str, Any]]:
    """Return the training job definitions from either of the two fields that hold them."""
    if "TrainingJobDefinitions" in api_request:
        return list(api_request["TrainingJobDefinitions"])
    return [api_request["TrainingJobDefinition"]] if "TrainingJobDefinition" in api_request else []


def on_definitions(
    api_request: ApiRequest, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> ApiRequest:
    """Return the request with each of its training job definitions changed."""
    changed = dict(api_request)
    if isinstance(changed.get("TrainingJobDefinition"), dict):
        changed["TrainingJobDefinition"] = change(changed["TrainingJobDefinition"])
    if "TrainingJobDefinitions" in changed:
        changed["TrainingJobDefinitions"] = [
            change(each) for each in changed["TrainingJobDefinitions"]
        ]
    return changed
