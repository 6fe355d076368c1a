"""The option that names further metrics of a campaign."""

from __future__ import annotations

from typing import Annotated, Any

import typer

Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        help="A further metric to compare trials by, such as validation:loss=Minimize. minutes and "
        "cost are known without a script. Repeatable.",
    ),
]


def further_metrics(given: list[str], message: dict[str, Any]) -> dict[str, str]:
    """Return the direction of each further metric; they must be known where a message says them."""
    from hpoq.campaign.errors import InvalidPlan
    from hpoq.campaign.model import MEASURED

    known = _metrics_of(message)
    found = {}
    for each in given:
        name, _, direction = each.rpartition("=")
        if not name or direction not in ("Maximize", "Minimize"):
            raise InvalidPlan(f"--metric {each}: write NAME=Minimize or NAME=Maximize")
        if known and name not in (*known, *MEASURED):
            names = ", ".join([*known, *MEASURED])
            raise InvalidPlan(f"--metric {each}: the template defines no such metric. Use {names}")
        found[name] = direction
    return found


def _metrics_of(message: dict[str, Any]) -> list[str]:
    """Return the metrics that a message in API form defines; empty if it does not say."""
    found: Any = message.get("api_request")
    for name in ("TrainingJobDefinition", "AlgorithmSpecification", "MetricDefinitions"):
        found = found.get(name) if isinstance(found, dict) else None
    definitions = found if isinstance(found, list) else []
    return [str(each.get("Name")) for each in definitions if isinstance(each, dict)]
