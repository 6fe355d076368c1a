"""The Lambda function: one dispatch cycle per invocation."""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from hpo_dispatcher.aws.call_counter import CallCounter
from hpo_dispatcher.aws.clients import CONFIG, UNCHECKED, BotocoreClients, Clients
from hpo_dispatcher.aws.eventbridge import EventBridge
from hpo_dispatcher.aws.images import SdkImages
from hpo_dispatcher.aws.ledger import DynamoDBLedger
from hpo_dispatcher.aws.sagemaker import SageMakerTuning
from hpo_dispatcher.aws.service_quotas import ServiceQuotas
from hpo_dispatcher.aws.sqs import SqsQueues
from hpo_dispatcher.contract.errors import HpoqError
from hpo_dispatcher.contract.settings import (
    DEPLOYMENT_FILE,
    Environment,
    read_deployment,
    read_templates,
)
from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.cycle.pacing import Deadline, TokenBucket
from hpo_dispatcher.observability.emf import NAMESPACE, EmfGauge
from hpo_dispatcher.observability.log_format import RedactingFormatter, redact, redacted
from hpo_dispatcher.observability.logged_ports import LoggedEvents, LoggedQueues, LoggedTuning
from hpo_dispatcher.observability.telemetry import CycleFailed, Telemetry
from hpo_dispatcher.tuning_job.builder import JobBuilder

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = "settings"
EVENT_TIME_RESOLUTION = timedelta(seconds=1)  # EventBridge cuts the time to whole seconds

# New objects until the young are looked at, and rounds until the old are. Little of a cycle's
# refers to itself, so nearly all goes without the collector: docs/decisions/0028.
THRESHOLDS = (50_000, 10, 10)

# Metrics carry it as a dimension; the alarms of a deployment look for their own.
SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME", "hpoq-dispatcher")
logger = Logger(service=SERVICE, logger_formatter=RedactingFormatter())
metrics = Metrics(namespace=NAMESPACE, service=SERVICE)


def _now() -> datetime:
    return datetime.now(UTC)


def dispatcher(
    variables: Mapping[str, str], root: Path, session: Clients | None = None
) -> Dispatcher:
    """Everything of a deployment, wired, and nobody told about its cycles.

    Args:
        variables: the function's environment.
        root: folder that holds ``deployment.json``.
        session: another than the function's own, for tools and tests.

    Raises:
        InvalidSettings: something is missing or wrong; nothing was touched.
    """
    wired, _ = watched(variables, root, session)
    publish_settings(wired)
    return replace(wired, watch=lambda *_: None)


def watched(
    variables: Mapping[str, str], root: Path, session: Clients | None = None
) -> tuple[Dispatcher, Telemetry]:
    """See ``dispatcher``; this one tells the telemetry, which comes with it. Calls nothing yet."""
    environment = Environment.read(variables)
    deployment = read_deployment(root / DEPLOYMENT_FILE)
    templates = read_templates()
    clients = session or BotocoreClients(environment.region)
    calls = CallCounter()
    calls.listen(clients.events)
    dynamodb = clients.client("dynamodb", config=UNCHECKED)
    ledger = DynamoDBLedger(dynamodb, environment.ledger_table)
    builder = JobBuilder(
        deployment=deployment,
        environment=environment,
        templates=templates,
        images=SdkImages(environment.region, ledger),
    )
    redact(logger, builder.redactor)
    queues = LoggedQueues(
        queues=SqsQueues(clients.client("sqs", config=UNCHECKED), environment.deployment),
        log=logger,
    )
    sagemaker = SageMakerTuning(clients.client("sagemaker", config=CONFIG), builder.redactor)
    tuning = LoggedTuning(tuning=sagemaker, log=logger, clock=_now)
    bus = EventBridge(clients.client("events", config=CONFIG), environment.event_bus, logger)
    telemetry = Telemetry(
        log=logger,
        gauge=EmfGauge(metrics, SERVICE),
        ledger=ledger,
        queues=queues,
        tuning=tuning,
        calls=calls,
        teams=tuple(deployment.teams),
        clock=_now,
    )
    limits = deployment.limits
    wired = Dispatcher(
        builder=builder,
        queues=queues,
        ledger=ledger,
        tuning=tuning,
        events=LoggedEvents(events=bus, log=logger),
        quotas=ServiceQuotas(lambda: clients.client("service-quotas", config=CONFIG), ledger, _now),
        clock=_now,
        bucket=TokenBucket(
            rate=limits.creates_per_second,
            burst=limits.creates_at_once,
            clock=time.monotonic,
            sleep=time.sleep,
        ),
        watch=telemetry.cycle,
    )
    return wired, telemetry


def publish_settings(wired: Dispatcher) -> None:
    """Clients check requests, and find what there is, by this document alone."""
    environment, deployment = wired.builder.environment, wired.builder.deployment
    templates = wired.builder.templates
    settings = {
        "name": environment.deployment,
        "region": environment.region,
        "artifact_bucket": environment.artifact_bucket,
        "training_role_arn": environment.training_role_arn,
        "training_source": environment.training_source,
        "deployment": deployment.model_dump(mode="json"),
        "templates": {name: each.model_dump(mode="json") for name, each in templates.items()},
    }
    content = json.dumps(settings, sort_keys=True)
    if wired.ledger.document(SETTINGS) != content:
        wired.ledger.put_document(SETTINGS, content)


_warm: tuple[Dispatcher, Telemetry] | None = None


@logger.inject_lambda_context
@metrics.log_metrics(capture_cold_start_metric=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run one cycle; an exception means that the next one has to go on from there."""
    global _warm  # noqa: PLW0603  what a warm start may keep
    telemetry: Telemetry | None = None
    try:
        if _warm is None:
            fresh = watched(os.environ, Path(os.environ.get("LAMBDA_TASK_ROOT", ".")))
            publish_settings(fresh[0])
            _warm = fresh
            settle()
        cycles, telemetry = _warm
        summary = cycles.cycle(deadline_of(context), asked_at(event))
    except Exception as error:
        _tell(error, telemetry)
        if isinstance(error, HpoqError):
            raise
        # Lambda logs what is raised, and sends it to the on-failure queue, past our formatter.
        raise CycleFailed(f"{type(error).__name__}: {redacted(logger, str(error))}") from None
    if summary.skipped:
        telemetry.skipped(summary)
    return summary.as_dict()


def _tell(error: Exception, telemetry: Telemetry | None) -> None:
    if not isinstance(error, HpoqError):  # a bug keeps its traceback
        logger.exception("unforeseen")
    if telemetry:
        telemetry.failed(str(error))
    else:
        logger.error("no dispatcher", extra={"problem": str(error)})
        metrics.add_metric(name="FailedCycles", unit=MetricUnit.Count, value=1)


def deadline_of(context: LambdaContext) -> Deadline:
    """The invocation's own time limit."""

    def remaining() -> float:
        return context.get_remaining_time_in_millis() / 1000

    return Deadline(remaining=remaining, total=remaining())


def asked_at(event: Mapping[str, Any]) -> datetime | None:
    """When an event came about, at the latest; None for the heartbeat, which always runs."""
    if event.get("source") in ("aws.sagemaker", "hpoq") and "time" in event:
        return datetime.fromisoformat(str(event["time"])) + EVENT_TIME_RESOLUTION
    return None


def settle() -> None:
    """Once modules are imported and clients made: never look at them again, and at others less."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
