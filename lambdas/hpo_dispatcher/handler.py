"""The Lambda function: one dispatch cycle per invocation."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from hpo_dispatcher.contract.aws_limits import SAGEMAKER_EVENT_SOURCE
from hpo_dispatcher.contract.errors import HpoqError
from hpo_dispatcher.contract.names import EVENT_SOURCE
from hpo_dispatcher.cycle.pacing import Deadline
from hpo_dispatcher.observability.log_format import redacted
from hpo_dispatcher.observability.telemetry import CycleFailed
from hpo_dispatcher.wiring import Wired, logger, metrics, wire

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

EVENT_TIME_RESOLUTION = timedelta(seconds=1)  # EventBridge cuts an event's time to whole seconds

# New objects before the young generation is collected, and collections before older ones are.
# A cycle makes few reference cycles, so almost everything is freed without the garbage
# collector: docs/decisions/0028.
GC_THRESHOLDS = (50_000, 10, 10)


@logger.inject_lambda_context
@metrics.log_metrics(capture_cold_start_metric=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run one dispatch cycle. After an exception, the next invocation continues the work."""
    with _bugs_redacted():
        return deployed().run(Deadline.of(context), asked_at(event)).as_dict()


@lru_cache(maxsize=1)
def deployed() -> Wired:
    """Return the function's own dispatcher, wired at the first invocation of this process."""
    try:
        wired = wire(os.environ, Path(os.environ.get("LAMBDA_TASK_ROOT", ".")))
        wired.publish_settings()
    except Exception as error:
        logger.error("no dispatcher", extra={"problem": str(error)})
        metrics.add_metric(name="FailedCycles", unit=MetricUnit.Count, value=1)
        raise
    tune_garbage_collector()
    return wired


def asked_at(event: Mapping[str, Any]) -> datetime | None:
    """Return the latest time an event can have occurred; None for the heartbeat."""
    if event.get("source") in (SAGEMAKER_EVENT_SOURCE, EVENT_SOURCE) and "time" in event:
        return datetime.fromisoformat(str(event["time"])) + EVENT_TIME_RESOLUTION
    return None


def tune_garbage_collector() -> None:
    """Exempt imported modules and AWS clients from garbage collection, and collect less often."""
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


@contextmanager
def _bugs_redacted() -> Iterator[None]:
    """Log a bug with its traceback, and raise it without secrets.

    Lambda prints what is raised and sends it to the on-failure queue, past our log formatter.
    """
    try:
        yield
    except HpoqError:
        raise
    except Exception as error:
        logger.exception("unforeseen")
        raise CycleFailed(f"{type(error).__name__}: {redacted(logger, str(error))}") from None
