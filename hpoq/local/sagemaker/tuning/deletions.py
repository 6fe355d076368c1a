"""The deletion of tuning jobs, which takes a while and can fail."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import Any

from hpoq.local.sagemaker.errors import invalid, reason_of
from hpoq.local.sagemaker.records import ACTIVE
from hpoq.local.sagemaker.store import Store

Record = dict[str, Any]
logger = logging.getLogger(__name__)
DELETING, DELETE_FAILED = "Deleting", "DeleteFailed"
# A tag whose value "fails" lets the deletion of its tuning job fail. SageMaker does not publish
# why a deletion fails.
FAILURE_TAG = "hpoq-local-deletion"


class Deletions:
    """The tuning jobs that are being deleted.

    Args:
        store: the jobs.
        seconds: for which a tuning job is Deleting before its record is gone.
        lock: the lock of all jobs.
    """

    def __init__(self, store: Store, seconds: float, lock: threading.RLock) -> None:
        self._store = store
        self._seconds = seconds
        self._lock = lock
        self._timers: list[threading.Timer] = []

    def request(self, name: str) -> None:
        """Start to delete a tuning job, if it exists.

        Raises:
            ApiError: if the tuning job has not ended.
        """
        with self._lock:
            record = self._store.tuning_jobs.get(name)
            if record is None:
                return
            if record["HyperParameterTuningJobStatus"] in ACTIVE:
                raise invalid(f"The tuning job {name} has not ended and cannot be deleted.")
            if not self._seconds:
                self._finish(record)
                return
            self._set_status(record, DELETING)
            timer = threading.Timer(self._seconds, self._finish_or_fail, (record,))
            timer.daemon = True
            self._timers.append(timer)
            timer.start()

    def resume(self) -> None:
        """Finish the deletions that an earlier process left unfinished."""
        for record in self._store.tuning_jobs.with_status([DELETING]):
            self._finish_or_fail(record)

    def close(self) -> None:
        """Leave the unfinished deletions to the next start."""
        for timer in self._timers:
            timer.cancel()
            timer.join()

    def _finish_or_fail(self, record: Record) -> None:
        name = record["HyperParameterTuningJobName"]
        try:
            self._finish(record)
        except Exception as error:
            logger.exception("the tuning job %s could not be deleted", name)
            record["FailureReason"] = reason_of(error)
            with suppress(Exception):  # the next start finishes the deletion
                self._set_status(record, DELETE_FAILED)

    def _finish(self, record: Record) -> None:
        with self._lock:
            tags = self._store.tags.of(record["HyperParameterTuningJobArn"])
            if tags.get(FAILURE_TAG) == "fails":
                self._set_status(record, DELETE_FAILED)
            else:
                self._store.tuning_jobs.delete(record["HyperParameterTuningJobName"])

    def _set_status(self, record: Record, status: str) -> None:
        record["HyperParameterTuningJobStatus"] = status
        self._store.tuning_jobs.save(record)
