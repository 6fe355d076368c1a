"""Documents from which courses of the next hours are drawn."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from hpo_dispatcher.contract.documents.capacity import CapacityDocument, WaitKind
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.forecast.course import Course, DrawnCourse

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
M5 = "ml.m5.xlarge"
TEAMS = {team: TeamSettings() for team in ("audio", "fraud", "vision")}


def at(minutes_ago: float) -> str:
    return (NOON - timedelta(minutes=minutes_ago)).isoformat()


def waiting(team: str, request_id: str, position: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "team": team, "request_id": request_id, "position": position, "reason": "next",
        "reason_kind": WaitKind.NEXT_IN_QUEUE, "accepted_at": at(60 - position),
        "template": "cpu", **fields,
    }  # fmt: skip


def running(team: str | None, minutes: float | None, **fields: Any) -> dict[str, Any]:
    began = {} if minutes is None else {"started_at": at(minutes)}
    return {"team": team, "template": "cpu", **began, **fields}


def times(team: str, minutes: float, template: str = "cpu") -> dict[str, Any]:
    return {"team": team, "template": template, "seconds_per_round": [60.0 * minutes] * 20}


def drawn(slots: int = 1, **document: Any) -> DrawnCourse:
    of = CapacityDocument.model_validate({"at": at(0), "tuning_jobs": {"limit": slots}, **document})
    return Course(of, TEAMS).draw(random.Random(1))
