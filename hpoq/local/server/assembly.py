"""The composition root of the cloud's process."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ministack.core import lambda_runtime

from hpoq.local.lifecycle.home import Home
from hpoq.local.lifecycle.processes import wait_until
from hpoq.local.limits import INSTANCE_TYPE, SPOT, Limit
from hpoq.local.ministack_patches.concurrency import limit_concurrency
from hpoq.local.ministack_patches.encryption import accept_default_kms_key
from hpoq.local.ministack_patches.event_buses import connect_event_buses
from hpoq.local.ministack_patches.existing_resources import refuse_existing_names
from hpoq.local.ministack_patches.functions import patch_functions
from hpoq.local.ministack_patches.iam.actions_and_resources import (
    authorize_as_aws_does,
    authorize_batches_by_single_action,
)
from hpoq.local.ministack_patches.iam.condition_keys import (
    add_condition_keys,
    simulate_with_context_entries,
)
from hpoq.local.ministack_patches.iam.managed_policies import add_managed_policies
from hpoq.local.ministack_patches.iam.root_credentials import accept_only_root_keys
from hpoq.local.ministack_patches.logs.events import append_events_to_files
from hpoq.local.ministack_patches.logs.filters import match_filter_patterns
from hpoq.local.ministack_patches.metric_alarms import evaluate_alarms_as_aws_does
from hpoq.local.ministack_patches.persistence import store_state_safely
from hpoq.local.ministack_patches.resource_policies import enforce_resource_policies
from hpoq.local.ministack_patches.speed import speed_up
from hpoq.local.sagemaker import AccountQuotas, EngineSettings, SageMakerEndpoint
from hpoq.local.server.gateway import Gateway
from hpoq.local.server.internal_calls import InternalCalls
from hpoq.local.server.sagemaker_ports import ministack_ports
from hpoq.local.server.sagemaker_service import SageMakerService
from hpoq.local.server.service import Place, ServiceInAllPlaces
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
    endpoints = _Endpoints(home, settings)
    sagemaker = ServiceInAllPlaces(SageMakerService.PREFIX, SageMakerService.NAME, endpoints.start)
    snapshots = Snapshots()

    def start() -> None:
        for place in endpoints.places:
            sagemaker.start(place)
        on_ready()

    def finish() -> None:
        endpoints.close()
        # A dispatcher that is killed during a cycle would keep its lease for minutes.
        wait_until(lambda: lambda_runtime.workers_in_use() == 0, FUNCTION_TIMEOUT)
        lambda_runtime.reset()

    def quotas_of(place: Place) -> ServiceQuotasService:
        values = aws_quotas(settings.limits)
        return ServiceQuotasService(region=place.region, account=place.account, values=values)

    quotas = ServiceInAllPlaces(ServiceQuotasService.PREFIX, ServiceQuotasService.NAME, quotas_of)
    gateway = Gateway([sagemaker, quotas], on_start=start, on_change=snapshots.request)
    return CloudParts(gateway, snapshots, finish)


def _patch_ministack(settings: ServerSettings) -> None:
    accept_only_root_keys(settings)
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
    connect_event_buses()


class _Endpoints:
    """The SageMaker endpoints of all accounts and Regions that have been used.

    Raises:
        DamagedFile: the jobs of one of them cannot be read.
    """

    def __init__(self, home: Home, settings: ServerSettings) -> None:
        self._home = home
        self._settings = settings
        self._own = Place(settings.account, settings.region)
        used = (Place(each.parent.name, each.name) for each in sorted(home.accounts.glob("*/*")))
        self._endpoints = {place: self._open(place) for place in (self._own, *used)}

    @property
    def places(self) -> Sequence[Place]:
        """The cloud's own place first."""
        return [*self._endpoints]

    def start(self, place: Place) -> SageMakerService:
        """Start the endpoint of a place, which resumes its unfinished jobs."""
        if place not in self._endpoints:
            self._endpoints[place] = self._open(place)
        endpoint = self._endpoints[place]
        endpoint.start()
        return SageMakerService(endpoint)

    def close(self) -> None:
        """Kill the training processes of all endpoints."""
        for endpoint in self._endpoints.values():
            endpoint.close()

    def _open(self, place: Place) -> SageMakerEndpoint:
        folder = self._home.accounts / place.account / place.region
        return SageMakerEndpoint(
            self._home.path if place == self._own else folder,
            ministack_ports(InternalCalls(place.account, place.region)),
            _engine_settings(self._settings, place),
        )


def _engine_settings(settings: ServerSettings, place: Place) -> EngineSettings:
    """Return the engine's settings; a limit that is not set keeps the engine's default."""
    limits = settings.limits
    standard = EngineSettings(
        region=place.region,
        account=place.account,
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
