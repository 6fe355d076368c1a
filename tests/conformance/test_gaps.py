"""The gaps of the embedded cloud (gaps.yaml), which docs/local.md lists: each is still there.

AWS has none of them, so these tests do not run there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hpoq.local.lifecycle.processes import wait_until
from tests.support.conformance_requests import NAME, TRAINING, TUNING, base_of, changed
from tests.support.conformance_service import ON_AWS, Service

OPERATIONS = {"T": TUNING, "J": TRAINING}
GAPS = yaml.safe_load(Path(__file__).with_name("gaps.yaml").read_text())

pytestmark = pytest.mark.skipif(ON_AWS, reason="these are gaps of the embedded cloud")


@pytest.mark.parametrize("gap", GAPS, ids=lambda gap: gap["gap"][:40])
def test_a_gap_is_still_there(service: Service, gap: dict[str, Any]) -> None:
    operation = OPERATIONS[gap["operation"]]
    request = base_of(operation)
    for path, value in gap["set"].items():
        request = changed(request, path, value)
    answer = service.call(operation, request)
    assert answer.code == gap.get("code", "")
    if "reason" not in gap:
        return
    name = {NAME[operation]: request[NAME[operation]]}

    def reason() -> str:
        body = service.call("DescribeTrainingJob", name).body
        return str(body.get("FailureReason", ""))

    assert wait_until(lambda: reason() != "", 10)
    assert gap["reason"] in reason()
