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

# Values of a YAML document, with those that its aliases repeat. A thousand requests have fewer.
MOST_VALUES = 1_000_000


class Twice(ValueError):
    """A name that appears twice in one object."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} appears twice. Remove one of them")
        self.name = name


class TooManyValues(yaml.YAMLError):
    """YAML whose aliases repeat so much that the document would fill the memory."""

    def __init__(self) -> None:
        super().__init__(f"its aliases make it more than {MOST_VALUES:,} values")


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
        TooManyValues: a document is too large once its aliases are replaced.
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


def _values(document: yaml.Node) -> int:
    """Return the number of values of a document whose aliases are replaced by what they repeat.

    A value inside of itself counts once: whoever needs a tree refuses it later.
    """
    sizes: dict[int, int] = {}
    open_: list[tuple[yaml.Node, bool]] = [(document, False)]
    while open_:
        node, below_done = open_.pop()
        below = _below(node)
        if below_done:
            sizes[id(node)] = 1 + sum(sizes[id(each)] for each in below)
        elif id(node) not in sizes:
            sizes[id(node)] = 1  # until those below it are counted
            open_.append((node, True))
            open_ += [(each, False) for each in below]
    return sizes[id(document)]


def _below(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


class _StrictLoader(_Loader):  # type: ignore[misc]
    """A safe loader that reads numbers as JSON does, and no name twice."""

    def construct_document(self, node: yaml.Node) -> Any:
        """Return a document; ``TooManyValues`` if its aliases stand for too many."""
        if _values(node) > MOST_VALUES:
            raise TooManyValues
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a mapping; ``Twice`` if it names a key twice before anchors are merged into it."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(names)) < len(names):
            raise Twice(_first_twice(names))
        made: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return made


_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
