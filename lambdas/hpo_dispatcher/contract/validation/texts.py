"""Reads JSON and YAML strictly: a name that appears twice is an error, and 1e-4 is a number."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NoReturn

import yaml

# The loader in C reads the templates ten times as fast, which shortens every cold start.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Numbers as YAML 1.2 and JSON define them. PyYAML follows YAML 1.1, which requires a dot and a sign
# in the exponent, and reads 1e-4 as text: https://yaml.org/spec/1.2.2/#1032-tag-resolution.
_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")


class Twice(ValueError):
    """A name that appears twice in one object."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} appears twice. Remove one of them")
        self.name = name


class NotFinite(ValueError):
    """NaN or an infinity, which JSON does not have."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not valid JSON. Use a finite number")
        self.name = name


def read_json(text: str) -> Any:
    """Parse JSON.

    Raises:
        Twice: a name appears twice in one object.
        NotFinite: a number is NaN or infinite.
        ValueError, RecursionError: the text is not JSON.
    """
    return _DECODER.decode(text)


def read_yaml(text: str) -> list[Any]:
    """Parse all documents of a YAML text, which may be empty.

    Raises:
        Twice: a name appears twice in one mapping.
        yaml.YAMLError: the text is not YAML.
    """
    return list(yaml.load_all(text, Loader=_StrictLoader))


def _refuse_constant(name: str) -> NoReturn:
    raise NotFinite(name)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise Twice(_first_twice(name for name, _ in pairs))
    return fields


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_once)


def _first_twice(names: Iterable[str]) -> str:
    return next(name for name, count in Counter(names).items() if count > 1)


class _StrictLoader(_Loader):  # type: ignore[misc]
    """A safe loader that reads numbers as JSON does, and no name twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a mapping; ``Twice`` if it names a key twice before anchors are merged into it."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(names)) < len(names):
            raise Twice(_first_twice(names))
        made: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return made


_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
