"""Regular expressions in Java's dialect."""

from __future__ import annotations

import pytest

from hpoq.local.sagemaker.java_patterns import UnsupportedRegex, compiled


# Constructs of https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/util/regex/Pattern.html
@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"(?<v>[0-9.]+)", "loss 1.5", "1.5"),
        (r"x (?<a>\d)\k<a>", "x 55", "x 55"),
        (r"\p{Alpha}+", "12abc", "abc"),
        (r"\P{Alpha}+", "ab12", "12"),
        (r"[\p{Alpha}_]+=", "a_b=5", "a_b="),
        (r"\p{L}+", "1é", "é"),
        (r"\pN+", "a12", "12"),
        (r"\Q[x]\E=\d", "[x]=3", "[x]=3"),
        (r"[a[bc]]+", "xcab", "cab"),
        (r"[]a]+", "x]a", "]a"),
        (r"[^\]]+", "ab]", "ab"),
        (r"a++b", "aab", "aab"),
        (r"(?>a+)b", "aab", "aab"),
        (r"a\h+b", "a \tb", "a \tb"),
        (r"end\Z", "the end", "end"),
        (r"end\z", "the end", "end"),
        (r"(?i)LOSS: (.*)", "loss: 3", "loss: 3"),
        (r"(?<=a)b", "ab", "b"),
        (r"\\[x]", "\\x", "\\x"),
        (r".*\[[0-9]+\].*#011validation-auc:([-+\w.]+)", "[3]#011validation-auc:0.5",
         "[3]#011validation-auc:0.5"),
    ],
)  # fmt: skip
def test_a_pattern_finds_what_java_finds(pattern: str, text: str, found: str) -> None:
    match = compiled(pattern).search(text)
    assert match is not None
    assert match[0] == found


@pytest.mark.parametrize(
    "pattern",
    [
        "m=([0-9.]+",
        "*a",
        "[a",
        "a{99999999999}",
        "(?<1a>x)",
        r"[a-z&&[^b]]",
        r"\p{X}",
        "(" * 200,
    ],
)
def test_a_pattern_that_cannot_be_compiled_is_refused(pattern: str) -> None:
    with pytest.raises(UnsupportedRegex):
        compiled(pattern)
