"""What a training job says while it runs, passed on to logs and metrics as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpoq.local.sagemaker.ports import Clock, Datum, Ports
from hpoq.local.sagemaker.training import metrics
from hpoq.local.sagemaker.training.log_follower import Follower
from hpoq.local.sagemaker.training.programs import host_name

Record = dict[str, Any]
LOG_GROUP = "/aws/sagemaker/TrainingJobs"


@dataclass(frozen=True)
class _Instance:
    """The log of one instance."""

    log: Follower
    stream: str


class Report:
    """Of one training job, whatever the number of its instances and of its attempts."""

    def __init__(self, ports: Ports, record: Record, clock: Clock) -> None:
        self._ports = ports
        self._name = record["TrainingJobName"]
        self._definitions = record["AlgorithmSpecification"].get("MetricDefinitions", ())
        self._objective = record.get("_objective", {}).get("MetricName")
        self._clock = clock
        self._instances: list[_Instance] = []
        self._last: dict[str, metrics.Value] = {}

    def follow(self, logs: Sequence[Path]) -> None:
        """Begin with new files, one for each instance."""
        now = int(self._clock())
        self._instances = [
            _Instance(Follower(log, self._clock), f"{self._name}/{host_name(number)}-{now}")
            for number, log in enumerate(logs)
        ]

    def pass_on(self, *, ended: bool = False) -> list[float]:
        """What is new; the values of the objective metric among it, in order."""
        objectives: list[float] = []
        for instance in self._instances:
            lines = instance.log.new_lines(ended=ended)
            if not lines:
                continue
            self._ports.logs.write(LOG_GROUP, instance.stream, lines)
            values = metrics.find(self._definitions, lines)
            if values:
                self._ports.metrics.put([self._datum(value) for value in values])
            self._last |= metrics.last(values)
            objectives += [each.value for each in values if each.name == self._objective]
        return objectives

    def final_metrics(self) -> list[Record]:
        """FinalMetricDataList: the last value of each."""
        return [
            {"MetricName": each.name, "Value": each.value, "Timestamp": each.at}
            for each in self._last.values()
        ]

    def _datum(self, value: metrics.Value) -> Datum:
        return Datum(
            namespace=LOG_GROUP,
            name=value.name,
            dimensions={"TrainingJobName": self._name},
            value=value.value,
            at=value.at,
        )
