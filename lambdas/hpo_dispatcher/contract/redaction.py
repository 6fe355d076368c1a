"""Keeps secret hyperparameter values and signed URLs out of what operators and teams read.

A template names its secret hyperparameters. Their values are where they have to be: in the
message, in the request the ledger holds, in SageMaker. They appear in no log line, no reason, no
dead-letter attribute and no event: whatever text goes there passes through a ``Redactor``.

A name that one template marks is secret in all of them, in any spelling of case, ``-`` and ``_``:
a message may name a template that does not exist, or be no JSON at all.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

from hpo_dispatcher.contract.errors import InvalidRequest

HIDDEN = "[secret]"
SIGNATURE = "[signature]"

# A value this short is hidden where it stands alone only: hiding every "5" would hide limits too.
SHORT = 4
# A longer value is hidden also where a service has cut it off, if this much of it is left.
RECOGNISED = 8
REMEMBERED = 5_000  # values, for log lines that no longer know whose they are

_SIGNED_BY = (
    "X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token|X-Amz-Algorithm|"
    "AWSAccessKeyId|Signature|Key-Pair-Id|authToken"
)
# Every pattern here looks at a character a fixed number of times, whatever text a message brings:
# one of 256 KB that takes the square of that time would stop the cycle for all teams.
_UNBROKEN = re.compile(r"[^\s\"'<>]+")
_URL = re.compile(r"https?://", re.IGNORECASE)
_SIGNED = re.compile(_SIGNED_BY, re.IGNORECASE)
# Without its host, or with its characters escaped once more.
_SIGNED_PART = re.compile(
    r"((?:X-Amz-(?:Signature|Credential|Security-Token)|AWSAccessKeyId|authToken)"
    r"(?:=|%3D|%253D))[^\s\"'&<>\\]+",
    re.IGNORECASE,
)
# Words of the wire contract that stand beside values in a range.
_GRAMMAR = frozenset(
    ["continuous", "integer", "categorical", "Auto", "Linear", "Logarithmic", "ReverseLogarithmic"]
)
_NAME_FIELDS = frozenset(["name", "key"])

_Error = TypeVar("_Error", bound=InvalidRequest)


class Redactor:
    """Hides what a deployment's templates mark as secret. Safe to use from several threads."""

    def __init__(self, names: Iterable[str] = (), defaults: Iterable[object] = ()) -> None:
        """Know what to hide.

        Args:
            names: of the secret hyperparameters.
            defaults: requests and API requests of the templates, for values they carry.
        """
        names = tuple(names)
        self._names = frozenset(_folded(name) for name in names)
        self._named = _assignments(names) if self._names else None
        self._lock = threading.Lock()
        self._seen: dict[str, None] = {}
        self._defaults = frozenset(
            value for source in defaults for value in _secrets(source, self._names)
        )

    def text(self, text: str, *sources: object) -> str:
        """A text without the secrets that ``sources`` hold and without signatures of URLs.

        Args:
            text: on its way to a reader.
            sources: messages, as text or read, and API requests that the text may quote.
        """
        values = set(self._defaults)
        if self._names:
            for source in sources:
                values |= _secrets(source, self._names)
            self._remember(values)
        return self._without(text, values)

    def error(self, error: _Error, *sources: object) -> _Error:
        """The same error, its words fit to be read by anybody."""
        words = [self.text(each, *sources) for each in (error.field, error.problem, error.fix)]
        return type(error)(*words)

    def line(self, text: str) -> str:
        """A text of which nobody knows where it came from, such as a log line of a library."""
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
    """A signed URL without its query; whatever else stands there unchanged."""
    text = unbroken[0]
    begin = _URL.search(text)
    query = text.find("?", begin.end() + 1) if begin else -1
    signed = query >= 0 and _SIGNED.search(text, query)
    return f"{text[:query]}?{SIGNATURE}" if signed else text


def _folded(name: str) -> str:
    return name.casefold().replace("_", "-")


def _assignments(names: Iterable[str]) -> re.Pattern[str]:
    """``--name value``, ``name=value`` and ``"name": "value"``: values that nobody has told us."""
    spelled = "|".join("[-_]".join(map(re.escape, re.split("[-_]", name))) for name in names)
    before = rf"(?:--(?:{spelled})[\s=,'\"]+|\b(?:{spelled})=|\\?[\"'](?:{spelled})\\?[\"']\s*:\s*)"
    value = rf"(?!{re.escape(HIDDEN)})(?:\\?\"[^\"]*\"?|'[^']*'?|[^\s\"',}}\]]+)"
    return re.compile(rf"({before}){value}", re.IGNORECASE)


def _secrets(source: object, names: frozenset[str]) -> set[str]:
    """Every way in which a text may spell the secret values of a message or API request."""
    if not names:
        return set()
    if isinstance(source, str):
        try:
            source = json.loads(source, object_pairs_hook=_Pairs)
        except (ValueError, RecursionError):
            return {form for value in _scavenged(str(source), names) for form in _forms(value)}
    return {form for value in _values(source, names) for form in _forms(value)}


class _Pairs(list[tuple[str, Any]]):
    """A JSON object, a name given twice included."""


def _values(source: object, names: frozenset[str]) -> Iterator[object]:
    """The values below a secret name, however deep and in whichever of the API's shapes."""
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
    """What follows a secret name in a text that is no JSON."""
    for found in re.finditer(
        r"(?<![\w-])([\w-]++)[\"']?\s*+[:=]\s*+(?:\"([^\"]*)|'([^']*)|([^\s,}\]\"']+))", text
    ):
        if _folded(found[1]) in names:
            yield next((group for group in found.groups()[1:] if group), "")


def _forms(value: object) -> set[str]:
    """As JSON, Python, a shell and a URL would write it."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    as_json = json.dumps(text)[1:-1]
    forms = {
        text, str(value), repr(value).strip("'\""), as_json, json.dumps(as_json)[1:-1],
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
    if len(value) > RECOGNISED:
        text = _without_pieces(text, value)
    return _without_stump(text, value)


def _without_pieces(text: str, value: str) -> str:
    """Hide a beginning or an end of the value that somebody has cut off."""
    head, tail = value[:RECOGNISED], value[-RECOGNISED:]
    start = text.find(head)
    while start >= 0:
        end = start + RECOGNISED
        while end < len(text) and value.startswith(text[start : end + 1]):
            end += 1
        text = text[:start] + HIDDEN + text[end:]
        start = text.find(head, start + len(HIDDEN))
    start = text.find(tail)
    while start >= 0:
        end = start + RECOGNISED
        while start and value.endswith(text[start - 1 : end]):
            start -= 1
        text = text[:start] + HIDDEN + text[end:]
        start = text.find(tail, start + len(HIDDEN))
    return text


def _without_stump(text: str, value: str) -> str:
    """Hide what little of the value is left before an ellipsis or at the end of a cut text."""
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
