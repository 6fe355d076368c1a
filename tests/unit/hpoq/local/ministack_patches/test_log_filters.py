"""Filter patterns match as "Filter pattern syntax" in the CloudWatch Logs user guide describes.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

from __future__ import annotations

import pytest

from hpoq.local.ministack_patches.log_filters import matcher

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
        ("{ $.status = 400 }", EVENTS),
    ],
)
def test_a_pattern_finds_the_events_that_aws_finds(pattern: str, found: list[str]) -> None:
    assert [event for event in EVENTS if matcher(pattern)(event)] == found
