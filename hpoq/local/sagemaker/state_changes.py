"""The EventBridge events that announce state changes of tuning and training jobs."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hpo_dispatcher.contract import aws_limits
from hpoq.local.sagemaker.ports import EventBus

Record = dict[str, Any]
logger = logging.getLogger(__name__)
_TUNING_JOB_FIELDS = (
    "HyperParameterTuningJobName", "HyperParameterTuningJobArn", "HyperParameterTuningJobStatus",
    "TrainingJobStatusCounters", "ObjectiveStatusCounters",
)  # fmt: skip
_TRAINING_JOB_FIELDS = (
    "TrainingJobName", "TrainingJobArn", "TrainingJobStatus", "SecondaryStatus", "FailureReason",
    "ModelArtifacts", "ResourceConfig",
)  # fmt: skip


class StateChanges:
    """A publisher of state changes, in the order in which they happened.

    One thread publishes all events: callers hold the engine's lock, and publishing may block.
    """

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus
        self._thread = ThreadPoolExecutor(1, "events")

    def announce_tuning_job(self, record: Record) -> None:
        """Publish the present status of a tuning job."""
        detail = {key: record[key] for key in _TUNING_JOB_FIELDS if key in record}
        times = ("CreationTime", "LastModifiedTime")
        detail |= {key: round(record[key] * 1000) for key in times}
        self._put(aws_limits.TUNING_JOB_EVENT, detail, record["HyperParameterTuningJobArn"])

    def announce_training_job(self, record: Record) -> None:
        """Publish the present status of a training job."""
        detail = {key: record[key] for key in _TRAINING_JOB_FIELDS if key in record}
        self._put(aws_limits.TRAINING_JOB_EVENT, detail, record["TrainingJobArn"])

    def close(self) -> None:
        """Block until every event is published."""
        self._thread.shutdown(wait=True)

    def _put(self, detail_type: str, detail: Record, arn: str) -> None:
        # Serialized at once: the record may change before the thread publishes it.
        content, source = json.dumps(detail), aws_limits.SAGEMAKER_EVENT_SOURCE
        self._thread.submit(self._publish, detail_type, content, source, arn)

    def _publish(self, detail_type: str, content: str, source: str, arn: str) -> None:
        try:
            self._bus.put(detail_type, content, source, [arn])
        except Exception:
            logger.exception("an event of %s was not published", arn)
