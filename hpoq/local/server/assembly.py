"""The composition root of the cloud's process."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ministack.core import lambda_runtime

from hpoq.local.lifecycle.home import Home
from hpoq.local.lifecycle.processes import wait_until
from hpoq.local.limits import INSTANCE_TYPE, SPOT, Limit
from hpoq.local.ministack_patches.actions_and_resources import (
    authorize_as_aws_does,
    authorize_batches_by_single_action,
)
from hpoq.local.ministack_patches.concurrency import limit_concurrency
from hpoq.local.ministack_patches.condition_keys import (
    add_condition_keys,
    simulate_with_context_entries,
)
from hpoq.local.ministack_patches.encryption import accept_default_kms_key
from hpoq.local.ministack_patches.existing_resources import refuse_existing_names
from hpoq.local.ministack_patches.functions import patch_functions
from hpoq.local.ministack_patches.logs.events import append_events_to_files
from hpoq.local.ministack_patches.logs.filters import match_filter_patterns
from hpoq.local.ministack_patches.managed_policies import add_managed_policies
from hpoq.local.ministack_patches.metric_alarms import evaluate_alarms_as_aws_does
from hpoq.local.ministack_patches.persistence import store_state_safely
from hpoq.local.ministack_patches.resource_policies import enforce_resource_policies
from hpoq.local.ministack_patches.root_credentials import accept_only_root_key
from hpoq.local.ministack_patches.speed import speed_up
from hpoq.local.sagemaker import AccountQuotas, EngineSettings, SageMakerEndpoint
from hpoq.local.server.gateway import Gateway
from hpoq.local.server.internal_calls import InternalCalls
from hpoq.local.server.sagemaker_ports import ministack_ports
from hpoq.local.server.sagemaker_service import SageMakerService
from hpoq.local.server.service import Service
from hpoq.local.server.service_quotas import ServiceQuotasService, aws_quotas
from hpoq.local.server.settings import ServerSettings
from hpoq.local.server.snapshots import Snapshots

FUNCTION_TIMEOUT = 10.0  # seconds for which `down` waits for running functions


@dataclass(frozen=True)
class CloudParts:
    """The parts of the cloud that the server's main loop uses."""

    gateway: Gateway
    snapshots: Snapshots
    finish: Callable[[], None]  # ends training jobs and functions while requests are answered


def assemble(home: Home, settings: ServerSettings, on_ready: Callable[[], None]) -> CloudParts:
    """Patch ministack and build the cloud.

    Args:
        home: the cloud's folder.
        settings: what ``up`` decided.
        on_ready: called when the cloud answers requests.

    Raises:
        DamagedFile: a file of the stored state cannot be read.
    """
    logging.getLogger("persistence").setLevel(logging.WARNING)  # it logs each service's snapshot
    store_state_safely(home.state)
    _patch_ministack(settings)
    endpoint = _endpoint(home, settings)
    quotas = ServiceQuotasService(
        region=settings.region, account=settings.account, values=aws_quotas(settings.limits)
    )
    snapshots = Snapshots()

    def start() -> None:
        endpoint.start()
        on_ready()

    def finish() -> None:
        endpoint.close()
        # A dispatcher that is killed during a cycle would keep its lease for minutes.
        wait_until(lambda: lambda_runtime.workers_in_use() == 0, FUNCTION_TIMEOUT)
        lambda_runtime.reset()

    services: list[Service] = [SageMakerService(endpoint), quotas]
    gateway = Gateway(services, on_start=start, on_change=snapshots.request)
    return CloudParts(gateway, snapshots, finish)


def _patch_ministack(settings: ServerSettings) -> None:
    accept_only_root_key(settings.access_key_id)
    evaluate_alarms_as_aws_does()
    refuse_existing_names()
    match_filter_patterns()
    append_events_to_files()
    accept_default_kms_key()
    add_managed_policies()
    authorize_batches_by_single_action()
    authorize_as_aws_does()
    add_condition_keys()
    simulate_with_context_entries()
    speed_up()
    interpreters = {name: Path(path) for name, path in settings.function_interpreters.items()}
    patch_functions(interpreters, Path(tempfile.gettempdir()) / "layers")
    limit_concurrency(settings.limits.get(Limit.FUNCTION_CONCURRENCY))
    enforce_resource_policies()


def _endpoint(home: Home, settings: ServerSettings) -> SageMakerEndpoint:
    calls = InternalCalls(settings.account, settings.region)
    return SageMakerEndpoint(home.path, ministack_ports(calls), _engine_settings(settings))


def _engine_settings(settings: ServerSettings) -> EngineSettings:
    """Return the engine's settings; a limit that is not set keeps the engine's default."""
    limits = settings.limits
    standard = EngineSettings(
        region=settings.region,
        account=settings.account,
        interpreter=Path(settings.interpreter),
        environments=Path(settings.environments),
        pip=settings.pip,
        quotas=_engine_quotas(limits),
    )
    return replace(
        standard,
        calls_per_second=limits.get(Limit.CALLS),
        memory_mib=limits.get(Limit.MEMORY),
        tag_lag_seconds=limits.get(Limit.TAG_LAG, standard.tag_lag_seconds),
        deletion_seconds=limits.get(Limit.DELETION, standard.deletion_seconds),
        stop_grace_seconds=limits.get(Limit.STOP_GRACE, standard.stop_grace_seconds),
        sigterm=bool(limits.get(Limit.SIGTERM, standard.sigterm)),
    )


def _engine_quotas(limits: Mapping[str, int]) -> AccountQuotas:
    standard = AccountQuotas()
    spot = {key.removeprefix(SPOT): n for key, n in limits.items() if key.startswith(SPOT)}
    parallel = limits.get(Limit.PARALLEL_TRAINING_JOBS, standard.parallel_training_jobs)
    return AccountQuotas(
        tuning_jobs=limits.get(Limit.TUNING_JOBS, standard.tuning_jobs),
        training_jobs=limits.get(Limit.TRAINING_JOBS),
        all_instances=limits.get(Limit.INSTANCES),
        all_spot_instances=limits.get(Limit.SPOT_INSTANCES),
        instances={key: n for key, n in limits.items() if key.startswith(INSTANCE_TYPE)},
        spot_instances=spot,
        parallel_training_jobs=parallel,
        random_training_jobs=limits.get(Limit.RANDOM_TRAINING_JOBS, standard.random_training_jobs),
    )
