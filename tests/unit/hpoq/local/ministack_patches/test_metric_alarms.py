"""Alarms on one metric change their state as CloudWatch's documentation describes.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
"""

from __future__ import annotations

import pytest

from hpoq.local.ministack_patches.metric_alarms import breaches, is_unknown, periods, state

ABOVE = {"Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold"}
TWO_OF_THREE = ABOVE | {"EvaluationPeriods": 3, "DatapointsToAlarm": 2}


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        ("GreaterThanThreshold", [2]),
        ("GreaterThanOrEqualToThreshold", [1, 2]),
        ("LessThanThreshold", [0]),
        ("LessThanOrEqualToThreshold", [0, 1]),
    ],
)
def test_a_value_is_compared_with_the_threshold(comparison: str, breaching: list[int]) -> None:
    alarm = {"Threshold": 1.0, "ComparisonOperator": comparison}
    assert [value for value in (0, 1, 2) if breaches(value, alarm)] == breaching


def test_each_point_belongs_to_its_period_and_old_ones_to_none() -> None:
    points = [{"Timestamp": 990.0}, {"Timestamp": 930.0}, {"Timestamp": 100.0}]
    alarm = {"Period": 60, "EvaluationPeriods": 2}
    assert periods(points, alarm, now=1000.0) == [[points[0]], [points[1]]]


@pytest.mark.parametrize(
    ("values", "found"),
    [([2, 2, 0], "ALARM"), ([2, 0, 0], "OK"), ([2, None, 2], "ALARM"), ([2, None, None], "OK")],
)
def test_so_many_periods_must_breach(values: list[float | None], found: str) -> None:
    assert state(values, TWO_OF_THREE, "OK") == found


@pytest.mark.parametrize(
    ("treated", "found"),
    [
        ("missing", "INSUFFICIENT_DATA"),
        ("ignore", "ALARM"),
        ("breaching", "ALARM"),
        ("notBreaching", "OK"),
    ],
)
def test_missing_data_is_treated_as_the_alarm_says(treated: str, found: str) -> None:
    assert state([None, None, None], TWO_OF_THREE | {"TreatMissingData": treated}, "ALARM") == found


def test_an_alarm_on_a_metric_of_log_lines_is_not_evaluated_until_it_has_data() -> None:
    """The dispatcher's metrics are in its log lines; the embedded cloud extracts none of them."""
    assert is_unknown({"Namespace": "hpoq"}, {"AWS/Lambda"})
    assert not is_unknown({"Namespace": "hpoq"}, {"hpoq"})
    assert not is_unknown({"Namespace": "AWS/Lambda"}, set())
