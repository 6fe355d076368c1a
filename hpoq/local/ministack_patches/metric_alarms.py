"""Alarms: on one metric as AWS evaluates them, on metric expressions accepted but not evaluated.

ministack ignores an alarm's dimensions, so that the metric of any queue fires the alarm of each,
and takes all datapoints of its periods together. AWS compares each period with the threshold:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any

from hpo_dispatcher.contract.names import METRICS_NAMESPACE

# A metric without data, so that the alarm has the state that it defines for missing data.
STAND_IN = {"Namespace": "hpoq/local", "MetricName": "ExpressionNotEvaluatedHere"}
OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"

Properties = dict[str, Any]


def evaluate_alarms_as_aws_does() -> None:
    """Let an alarm of a template have ``Metrics``, and evaluate the others by their periods."""
    _accept_metric_expressions()
    _evaluate_periods()


def _accept_metric_expressions() -> None:
    """Without this patch, CloudFormation fails to create a stack that contains such an alarm."""
    from ministack.services.cloudformation import provisioners

    original = provisioners._cw_metric_alarm_record

    def record(name: str, properties: Properties) -> Properties:
        expressions = properties.get("Metrics")
        if not expressions:
            return dict(original(name, properties))
        plain = {key: value for key, value in properties.items() if key != "Metrics"}
        return {**original(name, plain | STAND_IN), "Metrics": expressions}

    provisioners._cw_metric_alarm_record = record


def _evaluate_periods() -> None:
    from ministack.services import cloudwatch

    def evaluate(alarm: Properties) -> None:
        if is_unknown(alarm, {namespace for namespace, *_ in cloudwatch._metrics}):
            return
        name, before = alarm["AlarmName"], alarm["StateValue"]
        dimensions = cloudwatch._dims_from_list(alarm.get("Dimensions") or [])
        metric = (alarm.get("Namespace"), alarm.get("MetricName"))
        points = cloudwatch._metrics.get((*metric, cloudwatch._dims_key(dimensions))) or []
        statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic", "Average")
        values = [
            cloudwatch._stat_value(cloudwatch._calc_stats(period), statistic, period)
            if period
            else None
            for period in periods(points, alarm, time.time())
        ]
        after = state(values, alarm, before)
        if after == before:
            return
        reason = f"{values} {alarm.get('ComparisonOperator')} {alarm.get('Threshold')}"
        alarm.update(StateValue=after, StateReason=reason, StateUpdatedTimestamp=int(time.time()))
        cloudwatch._record_history(name, before, after, reason)
        cloudwatch._dispatch_alarm_actions(alarm, before, after, reason)
        cloudwatch._evaluate_parent_alarms(alarm)

    cloudwatch._evaluate_alarm = evaluate


def is_unknown(alarm: Properties, namespaces: Collection[str]) -> bool:
    """Return whether an alarm's metric is in log lines only, from which none is extracted here.

    Its missing data says nothing: an alarm that treats it as breaching would always be on.

    Args:
        alarm: with its namespace.
        namespaces: those with data.
    """
    return alarm.get("Namespace") == METRICS_NAMESPACE and METRICS_NAMESPACE not in namespaces


def periods(points: Sequence[Properties], alarm: Properties, now: float) -> list[list[Properties]]:
    """Return the datapoints of each evaluated period, the newest first."""
    length = alarm.get("Period") or 60
    found: list[list[Properties]] = [[] for _ in range(alarm.get("EvaluationPeriods") or 1)]
    for point in points:
        ago = int((now - point["Timestamp"]) // length)
        if 0 <= ago < len(found):
            found[ago].append(point)
    return found


def state(values: Sequence[float | None], alarm: Properties, before: str) -> str:
    """Return the state of an alarm.

    Args:
        values: the statistic of each evaluated period; None without data.
        alarm: with threshold, comparison, datapoints to alarm, and treatment of missing data.
        before: its state so far.
    """
    treated = alarm.get("TreatMissingData") or "missing"
    wanted = alarm.get("DatapointsToAlarm") or len(values)
    known = [value for value in values if value is not None]
    breaching = sum(breaches(value, alarm) for value in known)
    if treated == "breaching":
        breaching += len(values) - len(known)
    if breaching >= wanted:
        return ALARM
    if known or treated in ("breaching", "notBreaching"):
        return OK
    return before if treated == "ignore" else INSUFFICIENT_DATA


def breaches(value: float, alarm: Properties) -> bool:
    """Return whether a value is beyond the threshold of an alarm."""
    threshold, comparison = alarm.get("Threshold", 0), alarm.get("ComparisonOperator") or ""
    if "OrEqualTo" in comparison and value == threshold:
        return True
    return bool(value > threshold if comparison.startswith("Greater") else value < threshold)
