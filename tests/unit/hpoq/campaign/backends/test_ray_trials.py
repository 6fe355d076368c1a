"""The trials that a training job of Ray has recorded."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from hpoq.campaign.backends.ray_trials import RayTrials
from hpoq.campaign.results.trial import Trial

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
RECORD = "search/job/trials.jsonl"


def minutes_after_noon(at: datetime | None) -> float:
    assert at is not None
    return (at - NOON).total_seconds() / 60


def test_the_first_trial_begins_with_its_training_job_so_that_the_start_of_ray_counts() -> None:
    began = NOON.timestamp()
    rows = [
        {"number": number, "started": began + 60 * minute, "ended": began + 60 * minute + 30}
        for number, minute in ((2, 5), (1, 3), (3, 4))
    ]
    body = "\n".join(map(json.dumps, [{"identity": "any"}, *rows])).encode()
    checkpoints = {"CheckpointConfig": {"S3Uri": "s3://bucket/search"}}
    sagemaker: Any = SimpleNamespace(describe_training_job=lambda **_: checkpoints)
    page = {"Contents": [{"Key": RECORD, "ETag": "1"}]}
    s3: Any = SimpleNamespace(
        get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: [page]),
        get_object=lambda **_: {"Body": io.BytesIO(body)},
    )
    job = Trial(
        name="job", job=1, status="Completed", hyperparameters={}, objective=None,
        created_at=NOON, ended_at=NOON + timedelta(minutes=6),
    )  # fmt: skip
    found = {trial.name: trial for trial in RayTrials(sagemaker, s3).of([job])}
    created = {name: minutes_after_noon(trial.created_at) for name, trial in found.items()}
    assert created == {"job/1": 0, "job/2": 5, "job/3": 4}
    assert minutes_after_noon(found["job/1"].started_at) == 3
