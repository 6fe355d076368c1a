"""Filter patterns match as "Filter pattern syntax" in the CloudWatch Logs user guide describes.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

from __future__ import annotations

import pytest

from hpoq.local.ministack_patches.logs.filters import UnsupportedPattern, matcher

BAD = "[ERROR 400] BAD REQUEST"
DENIED = "[ERROR 401] UNAUTHORIZED REQUEST"
ARGUMENTS = "[ERROR 419] MISSING ARGUMENTS"
GOOD = "[SUCCESS 200] AUTHORIZED REQUEST"
WARNING = "[WARN 302] WITHOUT HTTPS"
EVENTS = [BAD, DENIED, ARGUMENTS, GOOD, WARNING]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("", EVENTS),
        ("ERROR", [BAD, DENIED, ARGUMENTS]),
        ("error", []),
        ("ERROR ARGUMENTS", [ARGUMENTS]),
        ("?ERROR ?ARGUMENTS", [BAD, DENIED, ARGUMENTS]),
        ("?SUCCESS ?WARN", [GOOD, WARNING]),
        ("AUTHORIZED", [GOOD]),
        ("%AUTHORIZED%", [DENIED, GOOD]),
        ("ERROR -ARGUMENTS", [BAD, DENIED]),
        ('"BAD REQUEST"', [BAD]),
        ('?"BAD REQUEST" ?"MISSING ARGUMENTS"', [BAD, ARGUMENTS]),
        ("{ $.status = 400 }", []),
    ],
)
def test_a_pattern_finds_the_events_that_aws_finds(pattern: str, found: list[str]) -> None:
    assert [event for event in EVENTS if matcher(pattern)(event)] == found


# The example of the page, shortened.
RECORD = (
    '{"eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111", "throttles": [2], '
    '"arrayKey": ["value", "another value"], "objectList": [{"name": "a", "id": 1}], '
    '"SomeObject": null, "ThisFlag": true, "latency": 1.5}'
)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ('{ $.eventType = "UpdateTrail" }', True),
        ('{ $.eventType = "Delete*" }', False),
        ("{ $.eventType = Update* }", True),
        ('{ $.sourceIPAddress != "123.123.*" }', True),
        ('{ $.arrayKey[0] = "value" }', True),
        ("{ $.objectList[0].id = 1 }", True),
        ("{ $.throttles[0] > 0 }", True),
        ("{ $.throttles[0] > 2 }", False),
        ("{ $.latency >= 1.5 }", True),
        ("{ $.SomeObject IS NULL }", True),
        ("{ $.SomeOtherObject NOT EXISTS }", True),
        ("{ $.ThisFlag IS TRUE }", True),
        ("{ $.eventType = %^Upd% }", True),
        ("{ ($.latency < 1) || ($.throttles[0] = 2) }", True),
        ("{ ($.latency < 1) && ($.throttles[0] = 2) }", False),
        ("{ $.missing = 1 }", False),
    ],
)
def test_a_pattern_for_json_compares_fields(pattern: str, found: bool) -> None:
    assert matcher(pattern)(RECORD) is found


@pytest.mark.parametrize("pattern", ["{ $.a", "{ a = 1 }", "[ip, user, timestamp]"])
def test_a_pattern_that_is_not_supported_is_refused_instead_of_ignored(pattern: str) -> None:
    with pytest.raises(UnsupportedPattern):
        matcher(pattern)


def test_a_pattern_for_json_has_at_most_two_expressions() -> None:
    with pytest.raises(UnsupportedPattern, match="Invalid filter pattern"):
        matcher("{ $.a = %b% && $.c = %d% && $.e = %f% }")


def test_an_expression_that_aws_refuses_is_refused_in_its_words() -> None:
    for pattern in ("%something!%", "{ $.a = %(b)% }"):
        with pytest.raises(UnsupportedPattern, match=r"Invalid character\(s\) in term '%"):
            matcher(pattern)


def test_an_event_of_nested_brackets_is_not_a_json_object() -> None:
    assert not matcher("{ $.a = 1 }")("[" * 100_000)


def test_a_pattern_has_at_most_1024_characters() -> None:
    assert not matcher("a" * 1024)("b")
    with pytest.raises(UnsupportedPattern, match="at 'filterPattern' failed to satisfy constraint"):
        matcher("a" * 1025)
