"""The services of each target, of which a cycle uses the one that the ledger names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpo_dispatcher.cycle.pacing import TokenBucket
from hpo_dispatcher.ports import Quotas, Replicas, TuningService, Unavailable

# SageMaker of each target, home included.
Services = Mapping[str, TuningService]


@dataclass(frozen=True, kw_only=True)
class TargetServices:
    """A target besides home."""

    tuning: TuningService
    quotas: Quotas
    bucket: TokenBucket  # of the creations there: AWS limits the rate per account and Region
    replicas: Replicas | None = None  # None: no data of home is replicated there


def service_on(services: Services, target: str) -> TuningService:
    """Return SageMaker of a target.

    Raises:
        Unavailable: the settings do not have the target any more.
    """
    if target not in services:
        raise Unavailable(f"the settings have no target {target!r}")
    return services[target]
