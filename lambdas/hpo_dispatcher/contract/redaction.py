"""Keeps secret hyperparameter values and signed URLs out of texts that people read.

A template names its secret hyperparameters. Their values remain in the message, in the request in
the ledger, and in SageMaker. A ``Redactor`` removes them from every log line, reason, dead-letter
attribute and event.

A name that one template marks as secret is secret for all templates, ignoring case and treating
``-`` and ``_`` alike, because a message may name an unknown template or not be valid JSON.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

from hpo_dispatcher.contract.errors import InvalidRequest, printable
from hpo_dispatcher.contract.templates import Template

HIDDEN = "[secret]"
SIGNATURE = "[signature]"

# A value of at most this length is hidden only as a whole word: hiding every "5" would hide limits.
SHORT = 4
# A longer value is also hidden where a service has truncated it to at least this length.
RECOGNIZED = 8
REMEMBERED = 5_000  # values, for log lines whose request is unknown

_SIGNED_BY = (
    "X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token|X-Amz-Algorithm|"
    "AWSAccessKeyId|Signature|Key-Pair-Id|authToken"
)
# Every pattern takes linear time, because a message of 256 KB that took quadratic time would stop
# the cycle for all teams.
_UNBROKEN = re.compile(r"[^\s\"'<>]+")
_URL = re.compile(r"https?://", re.IGNORECASE)
_SIGNED = re.compile(_SIGNED_BY, re.IGNORECASE)
# A signed URL without its host, or with its characters escaped twice.
_SIGNED_PART = re.compile(
    r"((?:X-Amz-(?:Signature|Credential|Security-Token)|AWSAccessKeyId|authToken)"
    r"(?:=|%3D|%253D))[^\s\"'&<>\\]+",
    re.IGNORECASE,
)
# Keywords of a range, which are never secret.
_GRAMMAR = frozenset(
    ["continuous", "integer", "categorical", "Auto", "Linear", "Logarithmic", "ReverseLogarithmic"]
)
_NAME_FIELDS = frozenset(["name", "key"])

_Error = TypeVar("_Error", bound=InvalidRequest)


class Redactor:
    """A filter for the values that a deployment's templates mark as secret. Thread-safe."""

    def __init__(self, names: Iterable[str] = (), defaults: Iterable[object] = ()) -> None:
        """Create a redactor.

        Args:
            names: names of the secret hyperparameters.
            defaults: requests and API requests of the templates, whose values may be secret.
        """
        names = tuple(names)
        self._names = frozenset(_folded(name) for name in names)
        self._named = _assignments(names) if self._names else None
        self._lock = threading.Lock()
        self._seen: dict[str, None] = {}
        self._defaults = frozenset(
            value for source in defaults for value in _secrets(source, self._names)
        )

    @classmethod
    def of(cls, templates: Iterable[Template]) -> Redactor:
        """Return a redactor for what the templates mark as secret."""
        templates = tuple(templates)
        return cls(
            [name for each in templates for name in each.secret_hyperparameters],
            [source for each in templates for source in (each.request, each.tuning_job)],
        )

    def text(self, text: str, *sources: object) -> str:
        """Return a text without the secrets in ``sources`` and without signatures of URLs.

        Args:
            text: the text to redact.
            sources: messages, raw or parsed, and API requests that the text may quote.
        """
        values = set(self._defaults)
        if self._names:
            for source in sources:
                values |= _secrets(source, self._names)
            self._remember(values)
        return self._without(text, values)

    def error(self, error: _Error, *sources: object) -> _Error:
        """Return the error with its texts redacted."""
        words = [self.text(each, *sources) for each in (error.field, error.problem, error.fix)]
        return type(error)(*words)

    def hide(self, *values: str) -> None:
        """Hide these values in all further log lines."""
        self._remember(values)

    def line(self, text: str) -> str:
        """Return a text of unknown origin, such as a log line of a library, redacted."""
        with self._lock:
            seen = list(self._seen)
        return self._without(text, self._defaults.union(seen))

    def _remember(self, values: Iterable[str]) -> None:
        with self._lock:
            for value in values:
                if len(value) > SHORT:
                    self._seen[value] = None
            for value in list(self._seen)[: max(0, len(self._seen) - REMEMBERED)]:
                del self._seen[value]

    def _without(self, text: str, values: Iterable[str]) -> str:
        text = _UNBROKEN.sub(_without_signature, text)
        text = _SIGNED_PART.sub(rf"\1{SIGNATURE}", text)
        for value in sorted(values, key=len, reverse=True):
            text = _hidden(text, value)
        return self._named.sub(rf"\1{HIDDEN}", text) if self._named else text


def _without_signature(unbroken: re.Match[str]) -> str:
    """Return a signed URL without its query, and any other text unchanged."""
    text = unbroken[0]
    begin = _URL.search(text)
    query = text.find("?", begin.end() + 1) if begin else -1
    signed = query >= 0 and _SIGNED.search(text, query)
    return f"{text[:query]}?{SIGNATURE}" if signed else text


def _folded(name: str) -> str:
    return name.casefold().replace("_", "-")


def _assignments(names: Iterable[str]) -> re.Pattern[str]:
    """Match ``--name value``, ``name=value`` and ``"name": "value"`` with any value."""
    spelled = "|".join("[-_]".join(map(re.escape, re.split("[-_]", name))) for name in names)
    before = rf"(?:--(?:{spelled})[\s=,'\"]+|\b(?:{spelled})=|\\?[\"'](?:{spelled})\\?[\"']\s*:\s*)"
    value = rf"(?!{re.escape(HIDDEN)})(?:\\?\"[^\"]*\"?|'[^']*'?|[^\s\"',}}\]]+)"
    return re.compile(rf"({before}){value}", re.IGNORECASE)


def _secrets(source: object, names: frozenset[str]) -> set[str]:
    """Return all spellings of the secret values in a message or an API request."""
    if not names:
        return set()
    if isinstance(source, str):
        try:
            source = json.loads(source, object_pairs_hook=_Pairs)
        except (ValueError, RecursionError):
            return {form for value in _scavenged(str(source), names) for form in _forms(value)}
    return {form for value in _values(source, names) for form in _forms(value)}


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as pairs, which keeps duplicate names."""


def _values(source: object, names: frozenset[str]) -> Iterator[object]:
    """Yield the values below a secret name, at any depth and in all of the API's shapes."""
    rest: list[tuple[object, bool]] = [(source, False)]
    while rest:
        here, secret = rest.pop()
        if isinstance(here, _Pairs | Mapping):
            pairs = list(here) if isinstance(here, _Pairs) else list(here.items())
            named = any(
                _folded(str(key)) in _NAME_FIELDS and _folded(str(value)) in names
                for key, value in pairs
                if isinstance(value, str)
            )
            for key, value in pairs:
                its_name = named and _folded(str(key)) in _NAME_FIELDS
                inside = secret or named or _folded(str(key)) in names
                rest.append((value, inside and not its_name))
        elif isinstance(here, list | tuple):
            rest += [(each, secret) for each in here]
        elif (
            secret
            and not isinstance(here, bool)
            and here not in (None, "")
            and here not in _GRAMMAR
        ):
            yield here
        elif isinstance(here, str) and here[:1] in ("{", "["):  # JSON within JSON
            try:
                rest.append((json.loads(here, object_pairs_hook=_Pairs), secret))
            except (ValueError, RecursionError):
                continue


def _scavenged(text: str, names: frozenset[str]) -> Iterator[str]:
    """Yield what follows a secret name in a text that is not valid JSON."""
    for found in re.finditer(
        r"(?<![\w-])([\w-]++)[\"']?\s*+[:=]\s*+(?:\"([^\"]*)|'([^']*)|([^\s,}\]\"']+))", text
    ):
        if _folded(found[1]) in names:
            yield next((group for group in found.groups()[1:] if group), "")


def _forms(value: object) -> set[str]:
    """Return a value as JSON, Python, a shell and a URL spell it."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    as_json = json.dumps(text)[1:-1]
    forms = {
        text, printable(text), str(value), repr(value).strip("'\""), as_json,
        json.dumps(as_json)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1], quote(text, safe=""), quote_plus(text),
        "".join(c if c.isprintable() else " " for c in text),
    }  # fmt: skip
    return {form for form in forms if form}


def _hidden(text: str, value: str) -> str:
    if len(value) <= SHORT:
        if value not in text:
            return text
        return re.sub(rf"(?<![\w.]){re.escape(value)}(?![\w]|\.\d)", HIDDEN, text)
    text = text.replace(value, HIDDEN)
    if len(value) > RECOGNIZED:
        text = _without_pieces(text, value)
    return _without_stump(text, value)


def _without_pieces(text: str, value: str) -> str:
    """Hide a truncated beginning or end of a value."""
    head, tail = value[:RECOGNIZED], value[-RECOGNIZED:]
    start = text.find(head)
    while start >= 0:
        end = start + RECOGNIZED
        while end < len(text) and value.startswith(text[start : end + 1]):
            end += 1
        text = text[:start] + HIDDEN + text[end:]
        start = text.find(head, start + len(HIDDEN))
    start = text.find(tail)
    while start >= 0:
        end = start + RECOGNIZED
        while start and value.endswith(text[start - 1 : end]):
            start -= 1
        text = text[:start] + HIDDEN + text[end:]
        start = text.find(tail, start + len(HIDDEN))
    return text


def _without_stump(text: str, value: str) -> str:
    """Hide the short rest of a value before an ellipsis."""
    for dots in ("...", "…"):
        parts = text.split(dots)
        for index, part in enumerate(parts[:-1]):
            kept = next(
                (n for n in range(min(len(value), len(part)), 1, -1) if part.endswith(value[:n])), 0
            )
            if kept:
                parts[index] = part[:-kept] + HIDDEN
        text = dots.join(parts)
    return text
