"""Putting the parts of the cloud's process together."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ministack.core import lambda_runtime

from hpoq.local.lifecycle.home import Home
from hpoq.local.lifecycle.processes import wait_until
from hpoq.local.ministack_patches import (
    alarms,
    batch_actions,
    condition_keys,
    encryption,
    functions,
    speed,
)
from hpoq.local.sagemaker import EngineSettings, Quotas, SageMakerEndpoint
from hpoq.local.server.authorization import trust_no_other_root
from hpoq.local.server.gateway import Front
from hpoq.local.server.internal_calls import Inside
from hpoq.local.server.sagemaker_ports import ports
from hpoq.local.server.sagemaker_service import SageMaker
from hpoq.local.server.service import Service
from hpoq.local.server.service_quotas import CALLS, MEMORY, ServiceQuotas, named
from hpoq.local.server.settings import ServerSettings
from hpoq.local.server.snapshots import Snapshots

FUNCTIONS_MAY_TAKE = 10.0  # seconds to finish what they are doing at a `down`


@dataclass(frozen=True)
class CloudParts:
    """What serves, and what the process has to do besides."""

    front: Front  # the ASGI application
    snapshots: Snapshots
    finish: Callable[[], None]  # ends all work that was begun; requests are still answered


def assemble(home: Home, settings: ServerSettings, tell_ready: Callable[[], None]) -> CloudParts:
    """Build the cloud.

    Args:
        home: where everything lies.
        settings: what ``up`` decided.
        tell_ready: called once requests are answered.
    """
    logging.getLogger("persistence").setLevel(logging.WARNING)  # a line a service a snapshot
    trust_no_other_root(settings.access_key_id)
    alarms.accept_expressions()
    encryption.use_the_default_key()
    batch_actions.use_the_single_actions()
    condition_keys.know_more_keys()
    speed.quicken()
    interpreters = {name: Path(path) for name, path in settings.function_interpreters.items()}
    functions.run_with(interpreters, Path(tempfile.gettempdir()) / "layers")
    endpoint = _endpoint(home, settings)
    quotas = ServiceQuotas(
        region=settings.region, account=settings.account, values=dict(named(settings.quotas))
    )
    snapshots = Snapshots()

    def start() -> None:
        endpoint.start()
        tell_ready()

    def finish() -> None:
        endpoint.close()
        # A dispatcher killed in the middle of a cycle would keep its lease for minutes.
        wait_until(lambda: lambda_runtime.workers_in_use() == 0, FUNCTIONS_MAY_TAKE)
        lambda_runtime.reset()

    services: list[Service] = [SageMaker(endpoint), quotas]
    front = Front(services, on_start=start, on_change=snapshots.change)
    return CloudParts(front, snapshots, finish)


def _endpoint(home: Home, settings: ServerSettings) -> SageMakerEndpoint:
    inside = Inside(settings.account, settings.region)
    engine = EngineSettings(
        region=settings.region,
        account=settings.account,
        interpreter=Path(settings.interpreter),
        quotas=_quotas(settings),
        calls_per_second=settings.quotas.get(CALLS),
        memory_mib=settings.quotas.get(MEMORY),
    )
    return SageMakerEndpoint(home.path, ports(inside), engine)


def _quotas(settings: ServerSettings) -> Quotas:
    given = settings.quotas
    return Quotas(
        tuning_jobs=given["tuning_jobs"],
        training_jobs=given.get("training_jobs"),
        all_instances=given.get("instances"),
        instances={key: value for key, value in given.items() if key.startswith("ml.")},
    )
