"""The CloudWatch metrics that the dispatcher publishes through its log."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from hpo_dispatcher.contract import names


class DispatcherMetrics:
    """The metrics of one deployment, named as in ``hpo_dispatcher.observability.metrics``."""

    def __init__(self, deployment: str) -> None:
        # The dimension that distinguishes deployments in one account.
        self._dimensions = {"service": names.dispatcher_function(deployment)}

    def of(
        self, name: str, statistic: str, period: Duration, label: str | None = None
    ) -> cloudwatch.Metric:
        """Return a metric of the whole deployment; only dashboards use the label."""
        return cloudwatch.Metric(
            namespace=names.METRICS_NAMESPACE,
            metric_name=name,
            dimensions_map=self._dimensions,
            statistic=statistic,
            period=period,
            label=label,
        )

    def by(
        self, dimension: str, name: str, statistic: str, period: Duration, label: str = ""
    ) -> cloudwatch.MathExpression:
        """Return one line for each value of a dimension: teams, resources, reasons or services.

        CloudWatch searches for the values, because they are not known at deployment.
        """
        service = self._dimensions["service"]
        schema = f"{{{names.METRICS_NAMESPACE},service,{dimension}}}"
        query = f'{schema} MetricName="{name}" service="{service}"'
        return cloudwatch.MathExpression(
            expression=f"SEARCH('{query}', '{statistic}', {int(period.to_seconds())})",
            using_metrics={},
            label=f"{label}${{PROP('Dim.{dimension}')}}",
            period=period,
        )

    def cycles(self, period: Duration, label: str | None = None) -> cloudwatch.Metric:
        """Return the number of completed cycles."""
        return self.of("CycleSeconds", "SampleCount", period, label)

    def free(self, period: Duration) -> cloudwatch.Metric:
        """Return the largest number of free tuning job slots within the period."""
        return self.of("Free", "Maximum", period)

    def oldest(self, period: Duration) -> cloudwatch.Metric:
        """Return the age of the oldest queued request, in seconds."""
        return self.of("OldestSeconds", "Maximum", period)

    def api_throttles(self, period: Duration) -> cloudwatch.Metric:
        """Return the number of throttled AWS calls of the dispatcher."""
        return self.of("ApiThrottles", "Sum", period)

    def account_faults(self, period: Duration) -> cloudwatch.Metric:
        """Return the number of requests that wait because of a fault of the account."""
        return self.of("AccountFaults", "Maximum", period)

    def unanswered_workflows(self, period: Duration) -> cloudwatch.Metric:
        """Return the number of workflows whose service does not take the answer."""
        return self.of("UnansweredWorkflows", "Maximum", period)
