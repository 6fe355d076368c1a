"""Requests as text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import EarlierJob, Entry, Status
from hpoq.presentation import target

EARLIER = EarlierJob(
    tuning_job_name="fraud-r", counters={}, interrupted=1, seconds=1, instance_seconds=1, found=True
)


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, ""),
        ({"tuning_job_name": "fraud-r"}, ""),
        ({"targets": ("home", "research")}, "home or research"),
        ({"targets": ("home", "research"), "tuning_job_name": "fraud-r"}, "home"),
        ({"targets": ("research",), "target": "research", "tuning_job_name": "r"}, "research"),
        (
            {"targets": ("home", "research"), "target": "research", "earlier": (EARLIER,)},
            "research",
        ),
    ],
)
def test_the_target_of_a_request_is_shown_unless_it_is_home_anyway(
    fields: dict[str, Any], shown: str
) -> None:
    entry = Entry(
        team="fraud", request_id="r", status=Status.QUEUED, accepted_at=datetime.now(UTC), **fields
    )
    assert target(entry) == shown
