"""Queues that removed teams left behind are told from those of teams and other deployments."""

from __future__ import annotations

import pytest

from hpoq.client.team_queues import removed_teams

FRAUD = ["hpoq-fraud-requests", "hpoq-fraud-dead-letter"]
FAILURES = "hpoq-DispatcherFailures7F40A3C4-V1nGrxTpUoGs"
# A second deployment, whose name begins with the name of the first one.
OTHER = [
    "hpoq-eu-speech-requests",
    "hpoq-eu-speech-dead-letter",
    "hpoq-eu-DispatcherFailures7F40A3C4-Q3hdQr0hbgxS",
]


@pytest.mark.parametrize(
    ("queues", "left"),
    [
        ([], {}),
        (FRAUD, {}),
        (["hpoq-vision-requests", "hpoq-vision-dead-letter"], {"vision": (True, True)}),
        (["hpoq-vision-dead-letter"], {"vision": (False, True)}),
        (OTHER, {}),
        (["hpoq-my-queue", "hpoq-requests"], {}),
        ([*OTHER, "hpoq-e-requests"], {"e": (True, False)}),
    ],
)
def test_a_queue_is_left_behind_if_it_belongs_to_no_team(
    queues: list[str], left: dict[str, tuple[bool, bool]]
) -> None:
    assert removed_teams([*FRAUD, FAILURES, *queues], "hpoq", {"fraud": {}}) == left
