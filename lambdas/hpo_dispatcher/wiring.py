"""The composition root: settings and clients in, a dispatcher and its telemetry out."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger, Metrics

from hpo_dispatcher.aws.clients import (
    CONFIG,
    UNCHECKED,
    BotocoreClients,
    CallCounter,
    Clients,
)
from hpo_dispatcher.aws.documents import DynamoDBDocuments
from hpo_dispatcher.aws.dynamodb_table import Table
from hpo_dispatcher.aws.eventbridge import EventBridge
from hpo_dispatcher.aws.images import SdkImages
from hpo_dispatcher.aws.lease import DynamoDBLeases
from hpo_dispatcher.aws.ledger import DynamoDBRequests
from hpo_dispatcher.aws.sagemaker import SageMakerTuning
from hpo_dispatcher.aws.service_quotas import ServiceQuotas
from hpo_dispatcher.aws.sqs import SqsQueues
from hpo_dispatcher.aws.targets.assumed_role import TARGET_CONFIG, TargetClients
from hpo_dispatcher.aws.targets.replicas import S3Replicas
from hpo_dispatcher.aws.workflows.answers import ANSWERS, AwsWorkflows
from hpo_dispatcher.aws.workflows.owed import DynamoDBOwedAnswers
from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.environment import Environment
from hpo_dispatcher.contract.names import METRICS_NAMESPACE, SETTINGS_DOCUMENT, dispatcher_function
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.contract.settings import DEPLOYMENT_FILE, read_deployment
from hpo_dispatcher.contract.targets.resources import quotas_document
from hpo_dispatcher.contract.targets.sites import TargetSite, target_sites
from hpo_dispatcher.contract.templates import read_templates
from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.cycle.outcome import Summary
from hpo_dispatcher.cycle.pacing import Deadline, TokenBucket
from hpo_dispatcher.cycle.targets.services import TargetServices
from hpo_dispatcher.cycle.workflows.heartbeats import SpacedHeartbeats
from hpo_dispatcher.cycle.workflows.permitted import PermittedWorkflows
from hpo_dispatcher.observability.emf import EmfGauge
from hpo_dispatcher.observability.log_format import RedactingFormatter, redact
from hpo_dispatcher.observability.logged_ports import (
    LoggedEvents,
    LoggedQueues,
    LoggedTuning,
    LoggedWorkflows,
)
from hpo_dispatcher.observability.telemetry import Telemetry
from hpo_dispatcher.tuning_job.builder import JobBuilder

# Metrics carry the service name as a dimension; a deployment's alarms select by it.
SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME", dispatcher_function("hpoq"))
logger = Logger(service=SERVICE, logger_formatter=RedactingFormatter())
metrics = Metrics(namespace=METRICS_NAMESPACE, service=SERVICE)


@dataclass(frozen=True, kw_only=True)
class Wired:
    """A deployment's dispatcher, and the telemetry that reports its cycles."""

    dispatcher: Dispatcher
    telemetry: Telemetry
    settings: SettingsDocument

    def run(self, deadline: Deadline, asked_at: datetime | None) -> Summary:
        """Run a dispatch cycle and report it, also if it is skipped or fails."""
        try:
            summary = self.dispatcher.run(deadline, asked_at)
        except Exception as error:
            self.telemetry.failed(str(error))
            raise
        if summary.skipped:
            self.telemetry.skipped(summary)
        return summary

    def publish_settings(self) -> None:
        """Write the settings document, from which clients read teams, limits and templates."""
        documents, content = self.dispatcher.documents, self.settings.to_json()
        if documents.get(SETTINGS_DOCUMENT) != content:
            documents.put(SETTINGS_DOCUMENT, content)


def build_dispatcher(
    variables: Mapping[str, str], root: Path, clients: Clients | None = None
) -> Dispatcher:
    """Build a dispatcher without telemetry and publish its deployment's settings.

    Args:
        variables: environment variables of the function.
        root: folder that holds ``deployment.json``.
        clients: AWS clients other than the function's own, for tools and tests.

    Raises:
        InvalidSettings: a setting is missing or wrong; no AWS call was made.
    """
    wired = wire(variables, root, clients)
    wired.publish_settings()
    return replace(wired.dispatcher, watch=lambda *_: None)


def wire(variables: Mapping[str, str], root: Path, clients: Clients | None = None) -> Wired:
    """Build a dispatcher with its telemetry; see ``build_dispatcher``. Make no AWS call."""
    environment = Environment.read(variables)
    deployment = read_deployment(root / DEPLOYMENT_FILE)
    templates = read_templates()
    broken = {name: str(error) for name, error in templates.broken.items()}
    clients = clients or BotocoreClients(environment.region)
    calls = CallCounter()
    calls.listen(clients.events)
    table = Table(clients.client("dynamodb", config=UNCHECKED), environment.ledger_table)
    documents = DynamoDBDocuments(table)
    requests = DynamoDBRequests(table, _now, deployment.keep_finished)
    sites = target_sites(environment, deployment.targets)
    home = JobBuilder(
        deployment=deployment,
        environment=environment,
        templates=templates,
        images=SdkImages(environment.region, documents),
        broken_templates=broken,
    )
    builder = home.with_sites(
        sites, lambda site: SdkImages(site.region, documents, f"images-{site.region}")
    )
    redactor = Redactor.of(templates.values())
    redact(logger, redactor)
    for problem in broken.values():
        logger.error("broken template", extra={"problem": problem})
    telemetry = Telemetry(
        log=logger,
        gauge=EmfGauge(metrics, SERVICE),
        requests=requests,
        calls=calls,
        teams=tuple(deployment.teams),
        clock=_now,
    )
    sqs = SqsQueues(clients.client("sqs", config=UNCHECKED), environment.deployment)
    sagemaker = SageMakerTuning(clients.client("sagemaker", config=CONFIG), redactor)
    bus = EventBridge(
        clients.client("events", config=CONFIG),
        environment.event_bus,
        environment.deployment,
        logger,
    )
    workflows = AwsWorkflows(
        lambda: clients.client("stepfunctions", config=ANSWERS),
        lambda: clients.client("sagemaker", config=ANSWERS),
    )
    permitted = PermittedWorkflows(
        workflows=SpacedHeartbeats(workflows, _now), settings=deployment.workflows
    )
    limits = deployment.limits

    def sts() -> Any:
        return clients.client("sts", config=TARGET_CONFIG)

    def bucket() -> TokenBucket:
        return TokenBucket(
            rate=limits.creates_per_second,
            burst=limits.creates_at_once,
            clock=time.monotonic,
            sleep=time.sleep,
        )

    def target(name: str, site: TargetSite) -> TargetServices:
        """Return SageMaker and the quotas of a target."""
        there = TargetClients(
            region=site.region,
            role_arn=site.access_role_arn(environment.partition),
            external_id=site.external_id,
            sts=sts,
        )
        calls.listen(there.events)
        tuning = SageMakerTuning(there.client("sagemaker"), redactor)
        return TargetServices(
            tuning=LoggedTuning(tuning=tuning, log=logger, created=telemetry.created, target=name),
            quotas=ServiceQuotas(
                lambda: there.client("service-quotas"), documents, _now, quotas_document(name)
            ),
            bucket=bucket(),
            replicas=S3Replicas(
                lambda: clients.client("s3", config=TARGET_CONFIG),
                environment.artifact_bucket,
                lambda: there.client("s3"),
                site.artifact_bucket,
            )
            if deployment.targets[name].replicate
            else None,
        )

    dispatcher = Dispatcher(
        teams=deployment.teams,
        limits=limits,
        workflow_settings=deployment.workflows,
        builder=builder,
        redactor=redactor,
        queues=LoggedQueues(queues=sqs, log=logger, rejected=telemetry.rejected),
        leases=DynamoDBLeases(table),
        documents=documents,
        requests=requests,
        answers=DynamoDBOwedAnswers(table),
        tuning=LoggedTuning(tuning=sagemaker, log=logger, created=telemetry.created),
        events=LoggedEvents(events=bus, log=logger),
        workflows=LoggedWorkflows(workflows=permitted, log=logger),
        quotas=ServiceQuotas(
            lambda: clients.client("service-quotas", config=CONFIG), documents, _now
        ),
        clock=_now,
        bucket=bucket(),
        watch=telemetry.cycle,
        targets={name: target(name, site) for name, site in sites.items()},
        target_settings=deployment.targets,
    )
    settings = SettingsDocument.of(environment, deployment, templates, broken)
    return Wired(dispatcher=dispatcher, telemetry=telemetry, settings=settings)


def _now() -> datetime:
    return datetime.now(UTC)
