"""Prices of instances, used unless the user gives one.

AWS's public on-demand prices of SageMaker training in us-east-1, USD per hour, as of 2025.
Prices differ by Region and change over time: a plan shows the price it used, and ``--price``
overrides it.
"""

from __future__ import annotations

PRICES = {
    "ml.m5.large": 0.115,
    "ml.m5.xlarge": 0.23,
    "ml.m5.2xlarge": 0.461,
    "ml.m5.4xlarge": 0.922,
    "ml.c5.xlarge": 0.204,
    "ml.c5.2xlarge": 0.408,
    "ml.c5.4xlarge": 0.816,
    "ml.g4dn.xlarge": 0.7364,
    "ml.g5.xlarge": 1.408,
    "ml.g5.2xlarge": 1.515,
}


def price_per_hour(instance_type: str) -> float | None:
    """Return the price of one instance in USD; None if unknown."""
    return PRICES.get(instance_type)
