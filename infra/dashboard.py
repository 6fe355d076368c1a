"""The CloudWatch dashboard: health, waiting requests, capacity in use, rejected requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.metrics import DispatcherMetrics
from infra.request_queue import RequestQueue
from infra.settings import Settings

PERIOD = Duration.minutes(10)
FULL, THIRD, HEIGHT = 24, 8, 5  # units of CloudWatch's grid


class Dashboard(Construct):
    """A dashboard of one screen, with the most important questions in the top rows."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        function: lambda_.IFunction,
        queues: Mapping[str, RequestQueue],
        alarms: Sequence[cloudwatch.Alarm],
        metrics: DispatcherMetrics,
    ) -> None:
        super().__init__(scope, id_)
        self._metrics = metrics
        cloudwatch.Dashboard(
            self,
            "Screen",
            dashboard_name=settings.name,
            default_interval=Duration.hours(12),
            period_override=cloudwatch.PeriodOverride.INHERIT,
            widgets=[
                [_legend(settings)],
                [cloudwatch.AlarmStatusWidget(title="Alarms", alarms=alarms, width=FULL, height=3)],
                [self._capacity(settings), self._flow(), self._instances()],
                [self._backlog(), self._oldest(), self._waiting()],
                [self._fill_times(), self._refused(), _messages(queues)],
                [self._cycles(), self._calls(), _runs(function)],
                *([[_targets(metrics)]] if settings.sites else []),
            ],
        )

    def _of(self, name: str, statistic: str, label: str) -> cloudwatch.Metric:
        return self._metrics.of(name, statistic, PERIOD, label)

    def _by(self, dimension: str, name: str, statistic: str, label: str = "") -> cloudwatch.IMetric:
        return self._metrics.by(dimension, name, statistic, PERIOD, label)

    def _capacity(self, settings: Settings) -> cloudwatch.IWidget:
        return _graph(
            "Tuning jobs: how full is the account?",
            "tuning jobs",
            self._of("InProgress", "Maximum", "in progress, of all users"),
            self._of("Free", "Minimum", "free"),
            limit=_limit_of_all_targets(settings),
        )

    def _flow(self) -> cloudwatch.IWidget:
        names = {
            "Accepted": "requests accepted",
            "Started": "tuning jobs started",
            "Finished": "tuning jobs finished",
            "Rejected": "requests rejected",
        }
        metrics = [self._of(name, "Sum", label) for name, label in names.items()]
        return _graph("Flow: are requests moving?", "per 10 minutes", *metrics)

    def _instances(self) -> cloudwatch.IWidget:
        return _graph(
            "Training instances: which type is full?",
            "instances",
            self._by("resource", "InProgress", "Maximum", "in use "),
            self._by("resource", "Free", "Minimum", "free "),
        )

    def _backlog(self) -> cloudwatch.IWidget:
        return _graph(
            "Queued requests: how many are waiting?",
            "requests",
            self._of("Queued", "Maximum", "all teams"),
            self._of("Blocked", "Maximum", "waiting for dependencies"),
            self._by("team", "Queued", "Maximum"),
        )

    def _oldest(self) -> cloudwatch.IWidget:
        return _graph(
            "Age of the oldest queued request",
            "seconds",
            self._of("OldestSeconds", "Maximum", "any team"),
            self._by("team", "OldestSeconds", "Maximum"),
        )

    def _waiting(self) -> cloudwatch.IWidget:
        return _graph(
            "Why the first request of each queue waits",
            "requests",
            self._of("Waiting", "Maximum", "all"),
            self._by("reason", "Waiting", "Maximum"),
        )

    def _fill_times(self) -> cloudwatch.IWidget:
        return _graph(
            "Time from a freed slot to the next job",
            "seconds",
            self._of("SlotFillSeconds", "p50", "median"),
            self._of("SlotFillSeconds", "Maximum", "longest"),
        )

    def _refused(self) -> cloudwatch.IWidget:
        return _graph(
            "Rejected requests, by reason; workflows without an answer",
            "requests",
            self._by("reason", "Rejected", "Sum"),
            right=[self._of("UnansweredWorkflows", "Maximum", "workflows")],
        )

    def _cycles(self) -> cloudwatch.IWidget:
        return _graph(
            "Dispatch cycles: duration and count",
            "seconds",
            self._of("CycleSeconds", "Maximum", "longest (s)"),
            right=[
                self._metrics.cycles(PERIOD, "cycles"),
                self._of("SkippedCycles", "Sum", "skipped"),
                self._of("FailedCycles", "Sum", "failed"),
            ],
        )

    def _calls(self) -> cloudwatch.IWidget:
        return _graph(
            "AWS calls and throttled calls",
            "calls",
            self._of("ApiCalls", "Sum", "all calls"),
            self._by("api", "ApiCalls", "Sum"),
            right=[
                self._of("ApiThrottles", "Sum", "throttled"),
                self._by("api", "ApiThrottles", "Sum", "throttled: "),
            ],
        )


def _limit_of_all_targets(settings: Settings) -> int:
    others = (settings.target(site.target).tuning_jobs for site in settings.sites)
    return settings.tuning_job_limit + sum(others)


def _targets(metrics: DispatcherMetrics) -> cloudwatch.IWidget:
    silent = metrics.by("target", "Unanswered", "Maximum", PERIOD)
    return _graph("Targets: which did not answer?", "1: no answer", silent)


def _graph(
    title: str,
    unit: str,
    *left: cloudwatch.IMetric,
    right: Sequence[cloudwatch.IMetric] = (),
    limit: int | None = None,
) -> cloudwatch.IWidget:
    """Make a graph that is a third of a row wide."""
    mark = [cloudwatch.HorizontalAnnotation(value=limit, label="limit")] if limit else []
    return cloudwatch.GraphWidget(
        title=title,
        left=list(left),
        right=list(right),
        left_annotations=mark,
        left_y_axis=cloudwatch.YAxisProps(min=0, label=unit, show_units=False),
        right_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
        width=THIRD,
        height=HEIGHT,
    )


def _legend(settings: Settings) -> cloudwatch.IWidget:
    text = (
        f"# {settings.name}\n"
        "Teams send requests to one SQS queue per team. Every ten minutes, and when a tuning job "
        "ends, a dispatch cycle records them in the ledger and starts those that fit the limits. "
        f"The description of each alarm names the section of {settings.runbook} to follow. "
        "`hpoq capacity` and `hpoq list` show which requests wait and why."
    )
    return cloudwatch.TextWidget(markdown=text, width=FULL, height=2)


def _messages(queues: Mapping[str, RequestQueue]) -> cloudwatch.IWidget:
    """Make a graph of SQS's own metrics of the teams' queues."""
    return _graph(
        "Messages not yet received: age of the oldest; dead letters",
        "seconds",
        *(
            queue.queue.metric_approximate_age_of_oldest_message(
                period=PERIOD, statistic="Maximum", label=f"{team} (s)"
            )
            for team, queue in queues.items()
        ),
        right=[
            queue.dead_letter_queue.metric_approximate_number_of_messages_visible(
                period=PERIOD, statistic="Maximum", label=f"{team} dead letters"
            )
            for team, queue in queues.items()
        ],
    )


def _runs(function: lambda_.IFunction) -> cloudwatch.IWidget:
    return _graph(
        "Function: invocations, errors, throttles",
        "invocations",
        function.metric_invocations(period=PERIOD, label="invocations"),
        function.metric_errors(period=PERIOD, label="errors"),
        function.metric_throttles(period=PERIOD, label="throttles"),
        right=[function.metric_duration(period=PERIOD, statistic="Maximum", label="longest (ms)")],
    )
