"""Checks a finished API request against botocore's description of the SageMaker API.

Botocore checks types and required members before it sends a request, and leaves enumerations,
patterns and bounds to the service. This module checks all of them before anything is created.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, cast

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

from hpo_dispatcher.contract.aws_limits import INSTANCE_TYPE_PREFIX
from hpo_dispatcher.contract.errors import InvalidRequest

OPERATION = "CreateHyperParameterTuningJob"
SOURCE_ARCHIVE = "sagemaker_submit_directory"  # the hyperparameter that names the script's archive

ApiRequest = dict[str, Any]

_MISSING = "Add it; in the short form, to overrides or to the template"
# Bits of the service's integers; botocore accepts any Python integer.
_WIDTHS = {"integer": 31, "long": 63}
# Java's Unicode classes, which Python's re does not support.
_JAVA_CLASSES = {r"\p{L}": r"\w", r"\p{Z}": r"\s", r"\p{N}": r"\d"}
_REMEMBERED = 100  # texts that each rule has accepted
_ANY_TEXT = ".*"  # as a pattern: re.DOTALL lets it match every text


def check_api_request(api_request: dict[str, Any]) -> None:
    """Check a CreateHyperParameterTuningJob request.

    Raises:
        InvalidRequest: naming the path of the first member that the service would reject.
    """
    for problem in problems_in(api_request):
        raise InvalidRequest(*problem)


def problems_in(api_request: dict[str, Any]) -> Iterable[Problem]:
    """Return path, problem and fix of each member that the service would reject, lazily."""
    return _input_rule().problems(api_request)


@lru_cache(maxsize=1)
def input_shape() -> Shape:
    """Return botocore's description of the request."""
    description = Loader().load_service_model("sagemaker", "service-2")
    operation = ServiceModel(description, "sagemaker").operation_model(OPERATION)
    return cast(Shape, operation.input_shape)


@lru_cache(maxsize=1)
def _input_rule() -> _Rule:
    return _rule_of(input_shape())


Problem = tuple[str, str, str]  # path below the checked value, what, and the fix


class _Rule:
    """The constraints of one shape, read once because every message is checked.

    A valid value costs neither a path nor a generator. Of an invalid one, problems are looked for
    only as far as the caller reads them, because a message may have very many.
    """

    types: tuple[type, ...] = (object,)

    def __init__(self, shape: Shape) -> None:
        self._type_name: str = shape.type_name

    def problems(self, value: Any) -> Iterable[Problem]:
        """Return the problems of a value; empty if the service accepts it."""
        return self._mistyped(value)

    def _mistyped(self, value: Any) -> Sequence[Problem]:
        """Return the problem of a value of another type. A Python bool is not an integer here."""
        of_type = isinstance(value, self.types) and not isinstance(value, bool)
        if of_type or type(value) in self.types:
            return ()
        problem = f"{value!r} has the wrong type"
        return [("", problem, f"The API expects the type {self._type_name}")]


def _below(name: object, problems: Iterable[Problem]) -> Iterator[Problem]:
    """Yield the problems of a member as problems of the value that has the member."""
    for path, problem, fix in problems:
        yield f"{name}.{path}" if path else f"{name}", problem, fix


class _Boolean(_Rule):
    types = (bool,)


class _Bounded(_Rule):
    """A rule with bounds on a number, a length or a number of entries."""

    unit = ""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self._low = shape.metadata.get("min", -math.inf)
        self._high = shape.metadata.get("max", math.inf)

    def _out_of_bounds(self, size: float) -> Sequence[Problem]:
        low, high = self._low, self._high
        if size < low:
            return [("", f"{size}{self.unit} is less than {low}", f"Use at least {low}")]
        if size > high:
            return [("", f"{size}{self.unit} is more than {high}", f"Use at most {high}")]
        return ()


class _Number(_Bounded):
    types = (int, float)

    def problems(self, value: Any) -> Iterable[Problem]:
        return self._mistyped(value) or self._out_of_bounds(value)


class _Integer(_Bounded):
    types = (int,)

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self._bits = _WIDTHS[shape.type_name]
        self._beyond = 1 << self._bits

    def problems(self, value: Any) -> Iterable[Problem]:
        if type(value) is not int and (mistyped := self._mistyped(value)):
            return mistyped
        if not -self._beyond <= value < self._beyond:
            problem = f"the number has more than {self._bits} bits"
            return [("", problem, "Use a smaller number")]
        return () if self._low <= value <= self._high else self._out_of_bounds(value)


class _Text(_Bounded):
    types = (str,)
    unit = " characters"

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self._allowed: Sequence[str] = shape.metadata.get("enum", ())
        self._allowed_set = frozenset(self._allowed)  # more than a hundred instance types
        pattern = shape.metadata.get("pattern")
        self._pattern: str = "" if pattern in (None, _ANY_TEXT) else pattern
        self._accepted: set[str] = set()  # most values of a message come from its template

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        pattern = self._pattern
        for java, python in _JAVA_CLASSES.items():
            pattern = pattern.replace(java, python)
        return re.compile(pattern, re.DOTALL)

    def problems(self, value: Any) -> Iterable[Problem]:
        if type(value) is not str and (mistyped := self._mistyped(value)):
            return mistyped
        if value in self._accepted:
            return ()
        if not self._low <= len(value) <= self._high:
            return self._out_of_bounds(len(value))
        if self._allowed and value not in self._allowed_set:
            return [("", f"the API does not accept {value!r}", self._choice(value))]
        if self._pattern and not self._regex.fullmatch(value):
            return [("", f"{value!r} is not allowed", f"It must match {self._pattern}")]
        if len(self._accepted) < _REMEMBERED:
            self._accepted.add(value)
        return ()

    def _choice(self, value: str) -> str:
        near = [f"{INSTANCE_TYPE_PREFIX}{value}"]
        if near[0] not in self._allowed:
            near = difflib.get_close_matches(value, self._allowed, n=1)
        few = ", ".join(self._allowed[:8])
        return f"Did you mean {near[0]}?" if near else f"Use one of {few}"


# The members of structures, lists and maps are read at first use.


class _Structure(_Rule):
    types = (dict,)

    def __init__(self, shape: StructureShape) -> None:
        super().__init__(shape)
        self._shape = shape
        self._required: Sequence[str] = shape.required_members

    @cached_property
    def _members(self) -> Mapping[str, _Rule]:
        return {name: _rule_of(shape) for name, shape in self._shape.members.items()}

    def problems(self, value: Any) -> Iterable[Problem]:
        if type(value) is not dict and (mistyped := self._mistyped(value)):
            return mistyped
        for name in self._required:
            if name not in value:
                return self._each_problem(value)
        members = self._members
        for name, item in value.items():
            member = members.get(name)
            if member is None or member.problems(item):
                return self._each_problem(value)
        return ()

    def _each_problem(self, value: dict[str, Any]) -> Iterator[Problem]:
        for name in self._required:
            if name not in value:
                yield name, "missing", _MISSING
        for name, item in value.items():
            if name in self._members:
                yield from _below(name, self._members[name].problems(item))
            else:
                near = difflib.get_close_matches(str(name), self._members, n=1)
                fix = f"Did you mean {near[0]}?" if near else f"Use {', '.join(self._members)}"
                yield f"{name}", "the API has no such field", fix


class _List(_Bounded):
    types = (list, tuple)
    unit = " entries"

    def __init__(self, shape: ListShape) -> None:
        super().__init__(shape)
        self._shape = shape

    @cached_property
    def _member(self) -> _Rule:
        return _rule_of(self._shape.member)

    def problems(self, value: Any) -> Iterable[Problem]:
        if type(value) is not list and (mistyped := self._mistyped(value)):
            return mistyped
        if not self._low <= len(value) <= self._high:
            return self._out_of_bounds(len(value))
        if any(map(self._member.problems, value)):
            return self._each_problem(value)
        return ()

    def _each_problem(self, value: Sequence[Any]) -> Iterator[Problem]:
        for index, item in enumerate(value):
            yield from _below(index, self._member.problems(item))


class _Map(_Bounded):
    types = (dict,)
    unit = " entries"

    def __init__(self, shape: MapShape) -> None:
        super().__init__(shape)
        self._shape = shape

    @cached_property
    def _key(self) -> _Rule:
        return _rule_of(self._shape.key)

    @cached_property
    def _value(self) -> _Rule:
        return _rule_of(self._shape.value)

    def problems(self, value: Any) -> Iterable[Problem]:
        if type(value) is not dict and (mistyped := self._mistyped(value)):
            return mistyped
        if not self._low <= len(value) <= self._high:
            return self._out_of_bounds(len(value))
        if any(map(self._key.problems, value)) or any(map(self._value.problems, value.values())):
            return self._each_problem(value)
        return ()

    def _each_problem(self, value: dict[str, Any]) -> Iterator[Problem]:
        for key, item in value.items():
            yield from _below(key, self._key.problems(key))
            yield from _below(key, self._value.problems(item))


_KINDS: Mapping[str, Callable[[Any], _Rule]] = {
    "string": _Text,
    "integer": _Integer,
    "long": _Integer,
    "float": _Number,
    "double": _Number,
    "boolean": _Boolean,
    "structure": _Structure,
    "map": _Map,
    "list": _List,
}


def _rule_of(shape: Shape) -> _Rule:
    return _KINDS.get(shape.type_name, _Rule)(shape)


def instance_choices(definition: Mapping[str, Any]) -> Iterator[Mapping[str, int]]:
    """Yield the instances of one training job by type, for each choice that SageMaker has.

    The groups of a heterogeneous cluster run together. Of several preferences or configurations,
    SageMaker uses one. A count beside the preferences applies to each of them: InstancePreference
    in the API reference.
    """
    for field in ("ResourceConfig", "HyperParameterTuningResourceConfig"):
        resources = definition.get(field)
        if not resources:
            continue
        count = resources.get("InstanceCount", 1)
        if "InstanceType" in resources:
            yield {resources["InstanceType"]: count}
        if "InstanceGroups" in resources:
            groups = Counter[str]()
            for group in resources["InstanceGroups"]:
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
    if '"' not in value:  # which encoded text begins and ends with
        return value
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
