"""The regular expressions of filter patterns, matched in bounded time.

AWS supports a part of the usual syntax: "Supported regular expressions (regex) syntax" in the
CloudWatch Logs user guide. Without groups, an expression is a list of alternatives, and each is a
list of characters that may repeat. Such an expression is matched by an automaton, which reads each
character of a text once. Python's ``re`` would backtrack, for years in the case of "a*a*a*a*a*b".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import reduce
from operator import or_
from typing import NamedTuple

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/regex-expressions.html: alphanumeric
# characters, symbols and operators; no multi-byte characters. The page does not list the space,
# which published filters use, such as '%REQUEST RECEIVED: Handling HTTP request%'.
_PLAIN = r"A-Za-z0-9:_#=@/;, \-"
_OPERATORS = r"\^$?\[\]{}|\\*+."
_SUPPORTED = re.compile(rf"[{_PLAIN}{_OPERATORS}]*")
_ESCAPED = rf"\\(?:x[0-9A-Fa-f]{{2}}|[dDsSwW]|[:_#=@/;,\-{_OPERATORS}])"
_CLASS = rf"\[(?P<negated>\^?)(?P<members>(?:{_ESCAPED}|[^\]\\])+)\]"
_REPEAT = r"(?P<sign>[?*+])|\{(?P<least>\d*)(?P<comma>,?)(?P<most>\d*)\}"
# A ? after a repetition makes it reluctant, which does not change whether a text matches.
_PART = re.compile(
    rf"(?:{_CLASS}|(?P<any>\.)|(?P<single>{_ESCAPED}|[{_PLAIN}]))(?:(?:{_REPEAT})\??)?|"
    r"(?P<anchor>[\^$])|(?P<other>\|)"
)
_MEMBER = re.compile(rf"(?P<first>{_ESCAPED}|[^\\])(?:-(?P<last>{_ESCAPED}|[^\\]))?")
_COUNTS = {"": (1, 1), "?": (0, 1), "*": (0, None), "+": (1, None)}
MOST_POSITIONS = 10_000  # of an expression, so that a character takes microseconds
_MOST_KEPT = 10_000  # transitions between states, and characters
_NOTHING = re.compile(r"(?!)")


class UnsupportedExpression(ValueError):
    """A regular expression that AWS refuses, or that is too large for the embedded cloud."""


class _Position(NamedTuple):
    """A place in an expression: what the next character of a text may be there."""

    accepts: re.Pattern[str]  # of one character
    repeats: bool = False
    is_optional: bool = False
    kind: str = ""  # "^", "$", or "end" for the end of an alternative


class _Reached:
    """The positions that a text may have reached, and the states that follow by character."""

    __slots__ = ("following", "positions")

    def __init__(self, positions: int) -> None:
        self.positions = positions
        self.following: dict[str, _Reached] = {}


class LogExpression:
    """A regular expression between percent signs.

    Sets of positions are integers with one bit for each position.

    Args:
        text: without the percent signs.

    Raises:
        UnsupportedExpression: the text is not in the syntax that AWS documents.
    """

    def __init__(self, text: str) -> None:
        self._parts = _parsed(text)
        patterns = {each.accepts for each in self._parts}
        self._accepted = {each: self._accepted_by(each) for each in patterns}
        self._repeating = self._where(lambda each: each.repeats)
        self._ends = self._where(lambda each: each.kind == "end")
        optional = self._where(lambda each: each.is_optional)
        self._inside = _runs(optional)
        self._at_end = _runs(optional | self._where(lambda each: each.kind == "$"))
        at_start = _runs(optional | self._where(lambda each: each.kind == "^"))
        starts = 1 | (self._ends << 1) & ((1 << len(self._parts)) - 1)
        self._again = _closed(starts, self._inside)  # a match may begin at each character
        self._first = _Reached(_closed(starts, at_start))
        self._accepting: dict[str, int] = {}  # the positions that accept a character
        self._states: dict[int, _Reached] = {}
        self._kept = 0

    def is_found_in(self, text: str) -> bool:
        """Return whether a part of a text matches."""
        state = self._first
        for character in text:
            if state.positions & self._ends:
                return True
            state = state.following.get(character) or self._next(state, character)
        return bool(_closed(state.positions, self._at_end) & self._ends)

    def _next(self, state: _Reached, character: str) -> _Reached:
        """Return the state after one more character, and keep it for the next time."""
        self._kept += 1
        if self._kept > _MOST_KEPT:
            for kept in (self._states, self._accepting, self._first.following, state.following):
                kept.clear()
            self._kept = 0
        if character not in self._accepting:
            accepting = (mask for each, mask in self._accepted.items() if each.match(character))
            self._accepting[character] = reduce(or_, accepting, 0)
        matched = state.positions & self._accepting[character]
        reached = _closed(matched << 1 | matched & self._repeating, self._inside) | self._again
        found = state.following[character] = self._states.setdefault(reached, _Reached(reached))
        return found

    def _accepted_by(self, pattern: re.Pattern[str]) -> int:
        return self._where(lambda each: each.accepts == pattern)

    def _where(self, holds: Callable[[_Position], bool]) -> int:
        digits = "".join("01"[holds(each)] for each in reversed(self._parts))
        return int(digits, 2)


def _parsed(text: str) -> list[_Position]:
    if not _SUPPORTED.fullmatch(text):
        # The words of CloudWatch Logs for parentheses in an expression, also for escaped ones:
        # ministryofjustice/modernisation-platform-environments pull request 5137.
        raise UnsupportedExpression(f"Invalid character(s) in term '%{text}%'")
    positions: list[_Position] = []
    read = 0
    end = _Position(_NOTHING, kind="end")
    while read < len(text):
        found = _PART.match(text, read)
        if not found:
            raise UnsupportedExpression(f"Invalid filter pattern: %{text}%")
        read = found.end()
        if found["other"]:
            positions.append(end)
        elif found["anchor"]:
            positions.append(_Position(_NOTHING, kind=found["anchor"]))
        else:
            positions += _repeated(found, text)
        if len(positions) > MOST_POSITIONS:
            raise UnsupportedExpression(f"%{text}% has too many repetitions for the embedded cloud")
    return [*positions, end]


def _repeated(found: re.Match[str], text: str) -> Iterator[_Position]:
    """Yield the positions of a character that occurs as often as its repetition says."""
    least, most = _COUNTS[found["sign"] or ""]
    if found["comma"] is not None:
        least, most = int(found["least"] or 0), int(found["most"]) if found["most"] else None
        if not found["comma"]:
            most = least
        if found["least"] == found["most"] == "" or (most is not None and most < least):
            raise UnsupportedExpression(f"Invalid filter pattern: %{text}%")
    accepts = _accepted(found, text)
    if max(least, most or 0) > MOST_POSITIONS:
        raise UnsupportedExpression(f"%{text}% has too many repetitions for the embedded cloud")
    for _ in range(least):
        yield _Position(accepts)
    if most is None:
        yield _Position(accepts, repeats=True, is_optional=True)
    for _ in range((most or least) - least):
        yield _Position(accepts, is_optional=True)


def _accepted(found: re.Match[str], text: str) -> re.Pattern[str]:
    """Return a pattern for the one character that a part of an expression accepts."""
    if found["any"]:
        return re.compile(".")
    if found["single"]:
        return re.compile(_literal(found["single"]), re.ASCII)
    members = "".join(
        _literal(each["first"]) + (f"-{_literal(each['last'])}" if each["last"] else "")
        for each in _MEMBER.finditer(found["members"])
    )
    try:
        return re.compile(f"[{found['negated']}{members}]", re.ASCII)
    except re.error:
        raise UnsupportedExpression(f"Invalid filter pattern: %{text}%") from None


def _literal(member: str) -> str:
    """Return a character, or an escape sequence such as ``\\d`` or ``\\x28``, for ``re``."""
    if not member.startswith("\\"):
        return re.escape(member)
    rest = member[1:]
    return member if rest[0] in "xdDsSwW" else re.escape(rest)


def _runs(optional: int) -> list[int]:
    """Return the positions at which 1, 2, 4, 8, ... positions in a row may be skipped."""
    runs = [optional]
    while runs[-1]:
        runs.append(runs[-1] & (runs[-1] >> (1 << len(runs) - 1)))
    return runs


def _closed(positions: int, runs: list[int]) -> int:
    """Return positions and those that are reached by skipping others."""
    for number, run in enumerate(runs):
        positions |= (positions & run) << (1 << number)
    return positions
