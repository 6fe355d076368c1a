"""ministack, quicker where much comes at once; each answer is the same as without.

Thousands of messages that arrive together cost it most here, apart from SQS itself.
"""

from __future__ import annotations

import copy
import gc
import json
from collections import defaultdict
from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, TextIO

from ministack.core import iam_actions, persistence
from ministack.core.responses import AccountRegionScopedDict
from ministack.services import dynamodb, sqs

# Of dynamodb, whose answer depends on a text alone: grammar and numbers, asked again and again.
_FUNCTIONS_OF_TEXT = (
    "_condition_syntax_error",
    "_ddb_canonicalize_number",
    "_number_error",
    "_number_size_bytes",
)


def quicken() -> None:
    """Put the quicker ways into its modules."""
    persistence.json = _Encoder()
    dynamodb.copy = sqs.copy = SimpleNamespace(copy=copy.copy, deepcopy=_copied)
    iam_actions.json = _Reader()
    for name in _FUNCTIONS_OF_TEXT:
        setattr(dynamodb, name, _remembering(getattr(dynamodb, name)))
    # Each collection of the old walks through all that is stored, which lives on.
    gc.set_threshold(50_000, 10, 10)


def _remembering(function: Callable[..., Any]) -> Callable[..., Any]:
    known = lru_cache(4096)(function)

    def answer(text: Any, *more: Any) -> Any:
        return (known if type(text) is str else function)(text, *more)

    return answer


class _Encoder:
    """``json`` with a ``dump`` in C: its own encodes in Python, and the cloud stands still."""

    def __getattr__(self, name: str) -> Any:
        return getattr(json, name)

    def dump(self, value: Any, file: TextIO, **options: Any) -> None:
        file.write(json.dumps(value, **options))


class _Reader:
    """``json`` that reads a request once; what may be done with it is asked in several places."""

    def __init__(self) -> None:
        self._last: tuple[Any, Any] = (None, None)

    def __getattr__(self, name: str) -> Any:
        return getattr(json, name)

    def loads(self, text: Any) -> Any:
        last, value = self._last
        if text != last:
            value = json.loads(text)
            self._last = text, value
        return value


def _copied(value: Any) -> Any:
    """``copy.deepcopy`` of what is a tree, as all that is stored; it remembers nothing."""
    kind = type(value)
    if kind is dict:
        return {key: _copied(each) for key, each in value.items()}
    if kind is list:
        return [_copied(each) for each in value]
    if kind is str or kind is int or kind is float or kind is bool or value is None:
        return value
    if kind is defaultdict:
        return defaultdict(value.default_factory, _copied(dict(value)))
    if kind is AccountRegionScopedDict:
        scoped = AccountRegionScopedDict()
        scoped._data = _copied(value._data)
        return scoped
    return copy.deepcopy(value)
