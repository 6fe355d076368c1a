"""Filter patterns of CloudWatch Logs, and the prefix of streams in FilterLogEvents.

ministack requires every term, also optional ones as in ``?ERROR ?WARN``, ignores case, matches no
fields of JSON, and searches all streams whatever the prefix. The rules are those of "Filter pattern
syntax" in the CloudWatch Logs user guide, without those for space-delimited events.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from hpoq.local.ministack_patches.logs.expressions import LogExpression, UnsupportedExpression

# A term that is a word, a phrase in double quotes or a regular expression between percent signs.
_TERM = re.compile(r'([?-]?)(?:"([^"]*)"|%([^%]+)%|(\S+))')
# One comparison: { $.field[0] >= 1 }, { $.field = "text*" }, { $.field IS NULL }.
_COMPARISON = re.compile(
    r'\s*\$\.?([^\s=!<>]+)\s*(?:(=|!=|>=|<=|>|<)\s*(?:"([^"]*)"|%([^%]+)%|(\S+))|'
    r"(IS NULL|IS TRUE|IS FALSE|NOT EXISTS))\s*"
)
_STEP = re.compile(r"[^.\[\]]+")
_ABSENT = object()
MOST_OF_A_PATTERN = 1024  # characters: API_FilterLogEvents.html of the CloudWatch Logs reference
# A comparison with a regular expression, of which a pattern for JSON has at most two: "Supported
# regular expressions (regex) syntax".
_WITH_EXPRESSION = re.compile(r"=\s*%[^%]+%")
_MOST_EXPRESSIONS = 2

Matches = Callable[[str], bool]


class UnsupportedPattern(ValueError):
    """A pattern that is wrong, or is not supported here."""


def match_filter_patterns() -> None:
    """Let FilterLogEvents search the streams of a prefix, and match patterns as AWS does."""
    from ministack.core.responses import error_response_json, json_response
    from ministack.services import cloudwatch_logs

    original = cloudwatch_logs._filter_log_events

    def filter_events(data: dict[str, Any]) -> Any:
        prefix, names = data.get("logStreamNamePrefix"), data.get("logStreamNames")
        if prefix and names:
            text = "logStreamNames and logStreamNamePrefix are mutually exclusive"
            return error_response_json("InvalidParameterException", text, 400)
        if prefix:
            group = cloudwatch_logs._log_groups.get(cloudwatch_logs._resolve_log_group_name(data))
            names = [name for name in (group or {}).get("streams", {}) if name.startswith(prefix)]
            if group and not names:
                return json_response({"events": [], "searchedLogStreams": []})
        try:
            return original({**data, "logStreamNames": names})
        except UnsupportedPattern as error:
            return error_response_json("InvalidParameterException", str(error), 400)

    cloudwatch_logs._filter_log_events = filter_events
    cloudwatch_logs._compile_filter_pattern = matcher


def matcher(pattern: str) -> Matches:
    """Return a function that tells whether the text of an event matches a pattern.

    Raises:
        UnsupportedPattern: the pattern is wrong, or is not supported here.
    """
    if len(pattern) > MOST_OF_A_PATTERN:
        raise UnsupportedPattern(
            f"1 validation error detected: Value '{pattern}' at 'filterPattern' failed to satisfy "
            f"constraint: Member must have length less than or equal to {MOST_OF_A_PATTERN}"
        )
    stripped = pattern.strip()
    if stripped.startswith("[") and stripped.endswith("]"):
        raise UnsupportedPattern("the embedded cloud matches no space-delimited events")
    try:
        return _of_json(stripped) if stripped.startswith("{") else _of_text(pattern)
    except UnsupportedExpression as error:
        raise UnsupportedPattern(str(error)) from None


def _of_text(pattern: str) -> Matches:
    """Match text by terms: whole words, case-sensitive.

    A text must contain each required term, none of the excluded ones and, if there are no required
    terms, one of the optional ones.
    """
    terms: dict[str, list[Callable[[str], object]]] = {"": [], "?": [], "-": []}
    for sign, phrase, expression, word in _TERM.findall(pattern):
        words = rf"(?<!\w){re.escape(phrase or word)}(?!\w)"
        terms[sign].append(
            LogExpression(expression).is_found_in if expression else re.compile(words).search
        )
    required, optional, excluded = terms[""], terms["?"], terms["-"]

    def matches(text: str) -> bool:
        return (
            all(each(text) for each in required)
            and not any(each(text) for each in excluded)
            and (bool(required) or not optional or any(each(text) for each in optional))
        )

    return matches


def _of_json(pattern: str) -> Matches:
    """Match JSON objects by comparisons that && and || combine, without nested parentheses."""
    if not pattern.endswith("}") or len(_WITH_EXPRESSION.findall(pattern)) > _MOST_EXPRESSIONS:
        raise UnsupportedPattern(f"Invalid filter pattern: {pattern}")
    parts = [alternative.split("&&") for alternative in pattern[1:-1].split("||")]
    alternatives = [[_comparison(part) for part in alternative] for alternative in parts]

    def matches(text: str) -> bool:
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            return False
        return isinstance(event, dict) and any(
            all(holds(event) for holds in alternative) for alternative in alternatives
        )

    return matches


def _comparison(text: str) -> Callable[[Any], bool]:
    found = _COMPARISON.fullmatch(text.strip().removeprefix("(").removesuffix(")"))
    if not found:
        raise UnsupportedPattern(f"Invalid filter pattern, or not supported here: {text.strip()}")
    path, operator, quoted, expression, bare, test = found.groups()
    steps = list(_steps(path))
    if test:
        wanted = {"IS NULL": None, "IS TRUE": True, "IS FALSE": False, "NOT EXISTS": _ABSENT}[test]
        return lambda event: _value(event, steps) is wanted
    given = quoted if quoted is not None else bare
    found_in = LogExpression(expression).is_found_in if expression else None
    return lambda event: _compared(_value(event, steps), operator, given, found_in)


def _steps(path: str) -> Iterator[str | int]:
    for step in _STEP.findall(path):
        yield int(step) if step.isdigit() else step


def _value(event: Any, steps: list[str | int]) -> Any:
    for step in steps:
        try:
            event = event[step]
        except (KeyError, IndexError, TypeError):
            return _ABSENT
    return event


def _compared(value: Any, operator: str, given: str | None, found_in: Matches | None) -> bool:
    """Compare a field; one that is absent matches nothing."""
    if value is _ABSENT or isinstance(value, dict | list):
        return False
    if found_in is not None:
        return found_in(str(value)) == (operator == "=")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _ordered(float(value), operator, _number(given))
    equal = fnmatch.fnmatchcase(str(value), (given or "").replace("[", "[[]"))
    return equal if operator == "=" else operator == "!=" and not equal


def _ordered(value: float, operator: str, given: float | None) -> bool:
    if given is None:
        return operator == "!="
    return {
        "=": value == given,
        "!=": value != given,
        ">": value > given,
        "<": value < given,
        ">=": value >= given,
        "<=": value <= given,
    }[operator]


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
