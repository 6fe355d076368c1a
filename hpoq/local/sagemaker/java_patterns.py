"""Regular expressions in Java's dialect, as SageMaker reads those of metric definitions.

https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/util/regex/Pattern.html
"""

from __future__ import annotations

import re
from functools import lru_cache

# Character classes of Java that Python spells differently: outside of brackets, and inside.
_CLASSES = {
    "Lower": "a-z", "Upper": "A-Z", "ASCII": r"\x00-\x7F", "Alpha": "a-zA-Z", "Digit": "0-9",
    "Alnum": "a-zA-Z0-9", "Punct": r"!-/:-@\[-`{-~", "Graph": "!-~", "Print": " -~",
    "Blank": r" \t", "Cntrl": r"\x00-\x1F\x7F", "XDigit": "0-9a-fA-F", "Space": r" \t\n\x0B\f\r",
    "L": r"^\W\d_", "IsAlphabetic": r"^\W\d_", "N": r"\d", "Nd": r"\d", "IsDigit": r"\d",
    "Z": r"\s", "Zs": r"\s", "P": r"!-/:-@\[-`{-~", "Lu": "A-Z", "Ll": "a-z",
}  # fmt: skip
_CLASSES |= {f"Is{name}": text for name, text in _CLASSES.items() if not name.startswith("Is")}
_OTHER = {"h": r"[ \t]", "R": r"(?:\r\n|[\n-\r])", "z": r"\Z", "Z": r"(?=\n?\Z)", "G": ""}
_TOKEN = re.compile(
    r"""
    \\Q(?P<quoted>.*?)(?:\\E|\Z)
    | \\(?P<kind>[pP])(?:\{(?P<name>\w+)\}|(?P<letter>\w))
    | \\k<(?P<reference>\w+)>
    | \(\?<(?P<group>[A-Za-z]\w*)>
    | \\(?P<other>.)
    | (?P<opening>\[\^?\]?)
    | (?P<closing>\])
    | (?P<intersection>&&)
    """,
    re.VERBOSE | re.DOTALL,
)


class UnsupportedRegex(ValueError):
    """A regular expression that is wrong, or has a construct that is not supported here."""


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """Return a regular expression of Java's dialect as Python's.

    Raises:
        UnsupportedRegex: if it is wrong, or has a construct that is not supported here.
    """
    try:
        return re.compile(_translated(pattern))
    except (re.error, OverflowError, RecursionError) as error:
        raise UnsupportedRegex(str(error)) from None


def _translated(pattern: str) -> str:
    result, end, depth = [], 0, 0  # depth: of nested brackets
    for token in _TOKEN.finditer(pattern):
        result.append(pattern[end : token.start()])
        end = token.end()
        if opening := token["opening"]:
            result.append(_opening(opening, depth))
            depth += 1
        elif token["closing"]:
            depth = max(0, depth - 1)
            result.append("" if depth else "]")
        else:
            result.append(_replaced(token, in_brackets=depth > 0))
    return "".join([*result, pattern[end:]])


def _opening(text: str, depth: int) -> str:
    """Return the beginning of a character class; a nested one, as in ``[a[bc]]``, is a union."""
    if not depth:
        return text.replace("]", r"\]")
    if "^" in text:
        raise UnsupportedRegex("a nested character class that is negated is not supported")
    return text.removeprefix("[").replace("]", r"\]")


def _replaced(token: re.Match[str], *, in_brackets: bool) -> str:
    if token["quoted"] is not None:
        return re.escape(token["quoted"])
    if token["kind"]:
        return _class(token, in_brackets=in_brackets)
    if token["reference"]:
        return f"(?P={token['reference']})"
    if token["group"] and not in_brackets:
        return f"(?P<{token['group']}>"
    if token["intersection"] and in_brackets:
        raise UnsupportedRegex("intersections of character classes (&&) are not supported")
    return token[0] if in_brackets else _OTHER.get(token["other"], token[0])


def _class(token: re.Match[str], *, in_brackets: bool) -> str:
    members = _CLASSES.get(token["name"] or token["letter"])
    if members is None:
        raise UnsupportedRegex(f"the character class {token[0]} is not supported")
    negated = (token["kind"] == "P") != members.startswith("^")
    members = members.removeprefix("^")
    if not in_brackets:
        return f"[{'^' * negated}{members}]"
    if negated:
        raise UnsupportedRegex(f"{token[0]} is not supported within brackets")
    return members
