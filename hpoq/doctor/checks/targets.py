"""Checks of the targets besides home, as the last dispatch cycle met them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from hpo_dispatcher.contract.targets.resources import HOME, quotas_document
from hpo_dispatcher.contract.targets.sites import site_name
from hpo_dispatcher.cycle.decision.decide import QUOTAS_READ
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import Finding, fault, ok, warning
from hpoq.errors import NotReachable
from hpoq.presentation import at_utc

# A cycle comes every ten minutes, and reads quotas that are too old.
GRACE = timedelta(hours=1)


def answer(examined: Examined) -> Iterator[Finding]:
    """Check that every target answered the last cycle; a deployment without targets has none."""
    targets = examined.settings.deployment.targets
    document = examined.reader.capacity()
    if len(targets) == 1 or document is None:
        return
    problems = document.problems
    for name in targets:
        if name not in problems:
            yield ok("targets", f"{name} answered the last cycle")
            yield from _quotas(examined, name)
        elif name == HOME:
            yield fault("targets", problems[name], "See the other checks of this account")
        else:
            stack = site_name(examined.deployment, name)
            fix = (
                "If it may not be assumed, deploy its stack with credentials of its account: "
                f"`npx cdk deploy {stack}`. Throttling and failures of AWS end without a change"
            )
            yield fault("targets", problems[name], fix)
        if name != HOME:
            yield from _access(examined, name)


def _access(examined: Examined, target: str) -> Iterator[Finding]:
    """Check that the caller can read what ran on a target; the queue does not need it."""
    try:
        examined.reader.on(target)
    except NotReachable as error:
        yield warning("targets", f"you cannot read results there: {error}", "")


def _quotas(examined: Examined, target: str) -> Iterator[Finding]:
    """Check that the quotas of a target were read when they should have been."""
    if target == HOME:  # whose quotas another check reads itself
        return
    document = examined.reader.document(quotas_document(target))
    read_at = datetime.fromisoformat(json.loads(document)["at"]) if document else None
    if read_at is not None and datetime.now(UTC) - read_at < QUOTAS_READ + GRACE:
        return
    when = f"were last read at {at_utc(read_at)}" if read_at else "have never been read"
    fix = (
        "Requests that exceed them wait when SageMaker refuses them. Check that the access role "
        "may call servicequotas:ListServiceQuotas"
    )
    yield warning("targets", f"the quotas of {target} {when}", fix)
