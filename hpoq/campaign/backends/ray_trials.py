"""The trials of Ray's training jobs, in a file of each job that SageMaker copies to S3."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from hpoq.campaign.results.trial import Trial

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

FILE = "trials.jsonl"  # written by training/script_search/record.py


class RayTrials:
    """A reader of the records of training jobs.

    Args:
        sagemaker: client that knows where a training job keeps its checkpoints.
        s3: client that reads them.
    """

    def __init__(self, sagemaker: SageMakerClient, s3: S3Client) -> None:
        self._sagemaker, self._s3 = sagemaker, s3
        self._places: dict[str, str] = {}  # by training job
        self._read: dict[str, tuple[str, list[dict[str, Any]]]] = {}  # key -> ETag and rows

    def of(self, training_jobs: Iterable[Trial]) -> list[Trial]:
        """Return the trials inside the training jobs of one tuning job.

        A request that ran as several training jobs counts each number once. A training job that
        failed or was stopped counts as a trial without a result, so that its reason is not lost.
        """
        found: dict[int, Trial] = {}
        problems = []
        for outer in training_jobs:
            rows = self._rows(outer.name)
            first = min(rows, key=lambda row: row.get("started") or math.inf, default=None)
            for row in rows:
                found.setdefault(row["number"], _trial(row, outer, is_first=row is first))
            if outer.status in ("Failed", "Stopped"):
                problems.append(outer)
        return [*found.values(), *problems]

    def _rows(self, training_job: str) -> list[dict[str, Any]]:
        for bucket, key, etag in self._files(training_job):
            known = self._read.get(key)
            if known is None or known[0] != etag:
                body = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
                self._read[key] = known = (etag, list(_parsed(body)))
            return known[1]
        return []

    def _files(self, training_job: str) -> Iterator[tuple[str, str, str]]:
        place = self._place(training_job)
        if not place:
            return
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        try:
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            for page in pages:
                for each in page.get("Contents", ()):
                    # A tuning job's training jobs have a folder each below the location.
                    if each["Key"].endswith((f"{training_job}/{FILE}", f"{prefix}/{FILE}")):
                        yield bucket, each["Key"], each["ETag"]
        except ClientError:  # the bucket or the right to read it is gone
            return

    def _place(self, training_job: str) -> str:
        if training_job not in self._places:
            answer = self._sagemaker.describe_training_job(TrainingJobName=training_job)
            uri = answer.get("CheckpointConfig", {}).get("S3Uri", "")
            self._places[training_job] = uri.rstrip("/")
        return self._places[training_job]


def _parsed(body: bytes) -> Iterator[dict[str, Any]]:
    """Yield the rows; skip the first line, which identifies the search, and a line that is cut."""
    for line in body.decode(errors="replace").splitlines()[1:]:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("number"), int):
            yield row


def _trial(row: dict[str, Any], training_job: Trial, *, is_first: bool) -> Trial:
    """Return a trial; the first one was created with its training job, as it waited for Ray."""
    started, ended = _time(row.get("started")), _time(row.get("ended"))
    return Trial(
        name=f"{training_job.name}/{row['number']}",
        job=training_job.job,
        status=str(row.get("status", "Completed")),
        hyperparameters=dict(row.get("hyperparameters", {})),
        objective=row.get("objective"),
        created_at=(training_job.created_at if is_first else None) or started,
        started_at=started,
        ended_at=ended,
        reason=str(row.get("reason", "")),
        metrics=dict(row.get("metrics", {})),
    )


def _time(seconds: Any) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int | float) else None
