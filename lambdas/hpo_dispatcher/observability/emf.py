"""Metrics written to the log in CloudWatch's embedded metric format, by Powertools."""

from __future__ import annotations

from collections.abc import Iterable

from aws_lambda_powertools.metrics import EphemeralMetrics, Metrics

from hpo_dispatcher.contract.names import METRICS_NAMESPACE
from hpo_dispatcher.observability.metrics import Measurement


class EmfGauge:
    """A ``Gauge``; metrics without a dimension share one log line per invocation."""

    def __init__(self, metrics: Metrics, service: str) -> None:
        self._metrics = metrics
        self._service = service

    def write(self, measurements: Iterable[Measurement]) -> None:
        """Write measurements. CloudWatch bills by name and dimension, not by line."""
        apart: dict[tuple[str, str], EphemeralMetrics] = {}
        for each in measurements:
            if each.dimension is None:
                self._metrics.add_metric(name=each.name, unit=each.unit, value=each.value)
                continue
            if each.dimension not in apart:
                apart[each.dimension] = EphemeralMetrics(
                    namespace=METRICS_NAMESPACE, service=self._service
                )
                apart[each.dimension].add_dimension(*each.dimension)
            line = apart[each.dimension]
            line.add_metric(name=each.name, unit=each.unit, value=each.value)
        for line in apart.values():
            line.flush_metrics()
