"""The learning curves in the logs of training jobs, by the expressions of their metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from hpo_dispatcher.contract.targets.resources import HOME
from hpoq.client import explained
from hpoq.results.logs import Services, TrainingJobLog
from hpoq.results.measured import Series, series

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

AT_ONCE = 4  # logs; CloudWatch Logs allows 25 reads per second and account
PAGES = 20  # of a log, each up to 1 MiB or 10,000 lines


class CurveReader:
    """A reader of the curves of training jobs.

    Args:
        sagemaker: client that knows the expressions of the metrics.
        services: the client of a deployment, or any other source of botocore clients.
        on: returns the services of another target than home; None: there is none.
    """

    def __init__(
        self,
        sagemaker: SageMakerClient,
        services: Services,
        on: Callable[[str], Services] | None = None,
    ) -> None:
        self._sagemaker, self._services, self._on = sagemaker, services, on

    def of(self, training_jobs: Sequence[str], target: str = HOME) -> dict[str, Series]:
        """Return the curves of training jobs of one campaign, which share their metrics.

        Args:
            training_jobs: their names.
            target: where all of them ran.

        Raises:
            NotReachable: the caller may not read a training job or its log.
        """
        if not training_jobs:
            return {}
        sagemaker, services = self._sagemaker, self._services
        if self._on is not None and target != HOME:
            services = self._on(target)
            sagemaker = services.service("sagemaker")
        first = training_jobs[0]
        with explained(f"training job {first}"):
            answer = sagemaker.describe_training_job(TrainingJobName=first)
        definitions: Any = answer["AlgorithmSpecification"].get("MetricDefinitions", ())

        def read(name: str) -> Series:
            log = TrainingJobLog(services, name, most_pages=PAGES)
            return series(definitions, [text for _, text in log.new_lines()])

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip(training_jobs, pool.map(read, training_jobs), strict=True))
