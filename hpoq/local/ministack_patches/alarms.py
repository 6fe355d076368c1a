"""Alarms on expressions of metrics: ministack cannot evaluate them, but need not refuse them."""

from __future__ import annotations

from typing import Any

from ministack.services.cloudformation import provisioners

# A metric that never has data, so that the alarm stays as missing data are treated.
STAND_IN = {"Namespace": "hpoq/local", "MetricName": "ExpressionNotEvaluatedHere"}

Properties = dict[str, Any]


def accept_expressions() -> None:
    """Let a template's alarm have ``Metrics``; without it the whole stack would fail."""
    record = provisioners._cw_metric_alarm_record

    def accepting(name: str, properties: Properties) -> Properties:
        expressions = properties.get("Metrics")
        if not expressions:
            return dict(record(name, properties))
        plain = {key: value for key, value in properties.items() if key != "Metrics"}
        return {**record(name, plain | STAND_IN), "Metrics": expressions}

    provisioners._cw_metric_alarm_record = accepting
