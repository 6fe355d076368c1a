"""Names of resources per target: ``ml.g5.xlarge`` at home, ``research/ml.g5.xlarge`` elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hpo_dispatcher.contract.names import QUOTAS_DOCUMENT

# The account and Region of the deployment. Its resources have no prefix, so ledgers, settings and
# documents from before there were targets stay valid.
HOME = "home"
_SEPARATOR = "/"  # in no name of a resource or of a tuning job


def on_target(target: str, resource: str) -> str:
    """Return the name of a resource of a target."""
    return resource if target == HOME else f"{target}{_SEPARATOR}{resource}"


def all_on_target(target: str, amounts: Mapping[str, int]) -> Mapping[str, int]:
    """Return amounts of resources by their names on a target."""
    if target == HOME:
        return amounts
    return {on_target(target, resource): amount for resource, amount in amounts.items()}


def target_of(name: str) -> str:
    """Return the target that a name says."""
    target, separator, _ = name.partition(_SEPARATOR)
    return target if separator else HOME


def without_target(name: str) -> str:
    """Return a name without its target."""
    return name.partition(_SEPARATOR)[2] or name


def over_targets(amounts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return the sums over all targets, by the names of the resources at home."""
    sums: dict[str, int] = {}
    for name, amount in amounts:
        resource = without_target(name)
        sums[resource] = sums.get(resource, 0) + amount
    return sums


def quotas_document(target: str) -> str:
    """Return the name of the document in the ledger that keeps the quotas of a target."""
    return QUOTAS_DOCUMENT if target == HOME else f"{QUOTAS_DOCUMENT}-{target}"
