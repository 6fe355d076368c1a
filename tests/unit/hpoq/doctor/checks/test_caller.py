from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from hpoq.doctor.checks import caller
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import Verdict
from tests.support.stubbed import stubbed


@pytest.mark.parametrize(
    ("minutes", "verdict"),
    [(0, Verdict.OK), (4, Verdict.OK), (6, Verdict.FAULT), (-9, Verdict.FAULT)],
)
def test_a_clock_that_aws_would_refuse_is_a_fault(
    examined: Examined, minutes: int, verdict: Verdict
) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    answer = {
        "Arn": "arn:aws:iam::111122223333:user/ada",
        "Account": "111122223333",
        "UserId": "AIDA",
        "ResponseMetadata": {"HTTPHeaders": {"date": date}},
    }
    with stubbed(examined.client("sts"), ("get_caller_identity", answer)):
        found = {each.check: each for each in caller.identity(examined)}
    assert found["clock"].verdict is verdict
