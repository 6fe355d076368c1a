"""Publishing a training job's output to logs and metrics while the job runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo_dispatcher.contract.aws_limits import TRAINING_LOG_GROUP
from hpoq.local.sagemaker.ports import Clock, MetricDatum, Ports
from hpoq.local.sagemaker.training.logs import metrics
from hpoq.local.sagemaker.training.logs.follower import LogFollower
from hpoq.local.sagemaker.training.logs.pattern_search import PatternSearch
from hpoq.local.sagemaker.training.programs.environment import host_name

Record = dict[str, Any]


@dataclass(frozen=True)
class _InstanceLog:
    """The log of one instance and its stream in CloudWatch."""

    log: LogFollower
    stream: str


class LogPublisher:
    """The logs and metrics of one training job, across all of its instances and attempts."""

    def __init__(self, ports: Ports, record: Record, clock: Clock, search: PatternSearch) -> None:
        self._ports = ports
        self._name = record["TrainingJobName"]
        definitions = record["AlgorithmSpecification"].get("MetricDefinitions", ())
        self._finder = metrics.MetricFinder(definitions, search)
        self._objective = record.get("_objective", {}).get("MetricName")
        self._clock = clock
        self._instances: list[_InstanceLog] = []
        self._last: dict[str, metrics.MetricValue] = {}

    def follow(self, logs: Sequence[Path]) -> None:
        """Start to follow the files of a new attempt, one for each instance."""
        now = int(self._clock())
        self._instances = [
            _InstanceLog(LogFollower(log, self._clock), f"{self._name}/{host_name(number)}-{now}")
            for number, log in enumerate(logs)
        ]

    def publish_new_lines(self, *, ended: bool = False) -> list[float]:
        """Publish new lines and metrics; return the new values of the objective metric.

        Reads a limited part of each log, so that memory stays flat: see ``is_behind``.
        """
        objectives: list[float] = []
        for instance in self._instances:
            lines = instance.log.new_lines(ended=ended)
            if not lines:
                continue
            self._ports.logs.write(TRAINING_LOG_GROUP, instance.stream, lines)
            values = self._finder.find(lines)
            self._write_problems(instance.stream)
            if values:
                self._ports.metrics.put([self._datum(value) for value in values])
            self._last |= metrics.last(values)
            objectives += [each.value for each in values if each.name == self._objective]
        return objectives

    def _write_problems(self, stream: str) -> None:
        problems, self._finder.problems = self._finder.problems, []
        if problems:
            now = self._clock()
            self._ports.logs.write(TRAINING_LOG_GROUP, stream, [(now, each) for each in problems])

    @property
    def is_behind(self) -> bool:
        """Whether the last call left complete lines for the next one."""
        return any(each.log.is_behind for each in self._instances)

    def publish_rest(self) -> list[float]:
        """Publish everything that the ended processes wrote; see ``publish_new_lines``."""
        objectives = self.publish_new_lines(ended=True)
        while self.is_behind:
            objectives += self.publish_new_lines(ended=True)
        return objectives

    def final_metrics(self) -> list[Record]:
        """Return FinalMetricDataList: the last value of each metric."""
        return [
            {"MetricName": each.name, "Value": each.value, "Timestamp": each.at}
            for each in self._last.values()
        ]

    def _datum(self, value: metrics.MetricValue) -> MetricDatum:
        return MetricDatum(
            namespace=TRAINING_LOG_GROUP,
            name=value.name,
            dimensions={"TrainingJobName": self._name},
            value=value.value,
            at=value.at,
        )
