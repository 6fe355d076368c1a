"""Checks of the targets besides home, as the last dispatch cycle met them."""

from __future__ import annotations

from collections.abc import Iterator

from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.contract.targets.sites import site_name
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import Finding, fault, ok


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
        elif name == HOME:
            yield fault("targets", problems[name], "See the other checks of this account")
        else:
            stack = site_name(examined.deployment, name)
            fix = f"Deploy its stack with credentials of its account: `npx cdk deploy {stack}`"
            yield fault("targets", problems[name], fix)
