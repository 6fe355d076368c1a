"""Checks of the caller: credentials and clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import Finding, fault, ok

# Signature Version 4 is refused five minutes off: "Signature Version 4 signing process".
MOST_SKEW = timedelta(minutes=5)


def identity(examined: Examined) -> Iterator[Finding]:
    """Check the credentials and the clock."""
    answer = examined.client("sts").get_caller_identity()
    region = examined.session.region_name
    yield ok("identity", f"{answer['Arn']} in {region}")
    date = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
    if date:
        skew = abs(datetime.now(UTC) - parsedate_to_datetime(date))
        if skew > MOST_SKEW:
            minutes = skew.total_seconds() / 60
            yield fault(
                "clock",
                f"this machine's clock is {minutes:.0f} minutes off",
                "Synchronize it (NTP): AWS refuses signatures that are five minutes off",
            )
        else:
            yield ok("clock", "within a minute or so of AWS's")
