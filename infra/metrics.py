"""The metrics that the dispatcher writes into its log; CloudWatch reads them from there."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

NAMESPACE = "hpoq"


def service_name(deployment: str) -> str:
    """The dimension that tells deployments of one account apart."""
    return f"{deployment}-dispatcher"


class DispatcherMetrics:
    """The metrics of one deployment, named as in ``hpo_dispatcher.observability.metrics``."""

    def __init__(self, deployment: str) -> None:
        self._dimensions = {"service": service_name(deployment)}

    def of(
        self, name: str, statistic: str, period: Duration, label: str | None = None
    ) -> cloudwatch.Metric:
        """One metric of the whole deployment; a label is for dashboards, not for alarms."""
        return cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name=name,
            dimensions_map=self._dimensions,
            statistic=statistic,
            period=period,
            label=label,
        )

    def by(
        self, dimension: str, name: str, statistic: str, period: Duration, label: str = ""
    ) -> cloudwatch.MathExpression:
        """One line for each value of a dimension: teams, resources, reasons, services.

        Which there are is known only once they have been seen, so CloudWatch searches.
        """
        service = self._dimensions["service"]
        query = f'{{{NAMESPACE},service,{dimension}}} MetricName="{name}" service="{service}"'
        return cloudwatch.MathExpression(
            expression=f"SEARCH('{query}', '{statistic}', {int(period.to_seconds())})",
            using_metrics={},
            label=f"{label}${{PROP('Dim.{dimension}')}}",
            period=period,
        )

    def cycles(self, period: Duration, label: str | None = None) -> cloudwatch.Metric:
        """Cycles that came to their end."""
        return self.of("CycleSeconds", "SampleCount", period, label)

    def free(self, period: Duration) -> cloudwatch.Metric:
        """Tuning jobs that could still start, at best within the period."""
        return self.of("Free", "Maximum", period)

    def oldest(self, period: Duration) -> cloudwatch.Metric:
        """How long the request that is longest in line has waited, in seconds."""
        return self.of("OldestSeconds", "Maximum", period)

    def api_throttles(self, period: Duration) -> cloudwatch.Metric:
        """AWS calls of the dispatcher that were told to come back later."""
        return self.of("ApiThrottles", "Sum", period)
