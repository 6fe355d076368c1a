"""Alarms on metric expressions: accepted, but not evaluated.

Without this patch, CloudFormation fails to create a stack that contains such an alarm.
"""

from __future__ import annotations

from typing import Any

from ministack.services.cloudformation import provisioners

# A metric without data, so that the alarm has the state that it defines for missing data.
STAND_IN = {"Namespace": "hpoq/local", "MetricName": "ExpressionNotEvaluatedHere"}

Properties = dict[str, Any]


def accept_metric_expressions() -> None:
    """Let an alarm of a template have ``Metrics``."""
    original = provisioners._cw_metric_alarm_record

    def record(name: str, properties: Properties) -> Properties:
        expressions = properties.get("Metrics")
        if not expressions:
            return dict(original(name, properties))
        plain = {key: value for key, value in properties.items() if key != "Metrics"}
        return {**original(name, plain | STAND_IN), "Metrics": expressions}

    provisioners._cw_metric_alarm_record = record
