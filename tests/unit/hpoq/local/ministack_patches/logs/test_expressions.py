"""Regular expressions match as "Supported regular expressions (regex) syntax" describes.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/regex-expressions.html
"""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hpoq.local.ministack_patches.logs.expressions import LogExpression, UnsupportedExpression

# The examples of the page: an expression, texts that match, and texts that do not.
EXAMPLES = [
    ("AUTHORIZED", ["[ERROR 401] UNAUTHORIZED REQUEST", "[SUCCESS 200] AUTHORIZED REQUEST"], [""]),
    ("^[hc]at", ["hat", "cat"], ["a hat"]),
    ("[hc]at$", ["hat", "a cat"], ["hats"]),
    ("colou?r", ["color", "colour"], ["colouur"]),
    ("[abc]", ["a", "b", "c"], ["d", "A"]),
    ("[a-z]", ["q"], ["Q", "1"]),
    ("[abcx-z]", ["b", "y"], ["d", "w"]),
    ("^a{3,5}$", ["aaa", "aaaa", "aaaaa"], ["aa", "aaaaaa"]),
    ("gra|ey", ["gray", "grey"], ["groy"]),
    ("[Ee]rror|[Ff]ail", ["Error", "error", "Fail", "fail"], ["ERROR"]),
    (r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}", ["from 10.10.0.1:80"], ["10.10.0", "10-10-0-1"]),
    (r"\x28", ["a (b"], ["x28"]),
]


@pytest.mark.parametrize(("expression", "found", "not_found"), EXAMPLES)
def test_an_expression_finds_what_the_page_says(
    expression: str, found: list[str], not_found: list[str]
) -> None:
    searched = LogExpression(expression)

    assert [text for text in found + not_found if searched.is_found_in(text)] == found


@pytest.mark.parametrize(
    "expression",
    [
        "something!",  # "would be rejected since '!' is not supported"
        "(a)",  # "The ( and ) operators are not supported"
        r"\(a\)",  # modernisation-platform-environments pull request 5137
        "é",  # "Multi-byte characters are not supported"
        '"a"',
        "<a>",
    ],
)
def test_other_characters_are_refused(expression: str) -> None:
    text = re.escape(f"Invalid character(s) in term '%{expression}%'")

    with pytest.raises(UnsupportedExpression, match=text):
        LogExpression(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "[a",
        "a]",
        "*a",
        "a**",
        "a{",
        "a{}",
        "a{,}",
        "a{2,1}",
        "a}",
        "[z-a]",
        r"\b",
        r"\1",
        "\\",
        "[]",
    ],
)
def test_wrong_syntax_is_refused(expression: str) -> None:
    with pytest.raises(UnsupportedExpression, match="Invalid filter pattern"):
        LogExpression(expression)


def test_more_repetitions_than_fit_are_refused() -> None:
    for expression in ("a{10001}", "a{9999}b{9999}", "a{0,99999999999}"):
        with pytest.raises(UnsupportedExpression, match="too many repetitions"):
            LogExpression(expression)


@pytest.mark.timeout(10)
def test_no_expression_takes_long() -> None:
    """For each of them, ``re`` takes years: it tries each division of the text."""
    for expression in ("a*a*a*a*a*a*a*b$", "[ab]+[ab]+[ab]+[ab]+[ab]+c", "a{0,50}a{0,50}a{0,50}b"):
        assert not LogExpression(expression).is_found_in("a" * 20_000)


PARTS = st.tuples(
    st.sampled_from(["a", "b", "c", ".", "[ab]", "[^a]", r"\w", r"\W", r"\.", "[a-c]", "-", " "]),
    st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,3}", "{2,}", "{,2}", "*?"]),
)
ALTERNATIVES = st.tuples(st.sampled_from(["", "^"]), st.lists(PARTS), st.sampled_from(["", "$"]))


def joined(alternatives: list[tuple[str, list[tuple[str, str]], str]]) -> str:
    return "|".join(
        start + "".join(map("".join, parts)) + end for start, parts, end in alternatives
    )


@given(st.lists(ALTERNATIVES, min_size=1, max_size=3).map(joined), st.text("abc.- \n"))
@example("^", "")
@example("a{,2}b|^$", "")
def test_an_expression_finds_what_the_same_expression_of_python_finds(
    expression: str, text: str
) -> None:
    """In Python, $ matches before a last newline too, and {,2} needs a zero before Python 3.12."""
    same = re.compile(expression.replace("{,", "{0,").replace("$", r"\Z"), re.ASCII)

    assert LogExpression(expression).is_found_in(text) == bool(same.search(text))
