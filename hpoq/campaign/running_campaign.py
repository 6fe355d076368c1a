"""The campaign that the command line and notebooks run, control and read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hpo_dispatcher.contract.targets.resources import HOME
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.planning.compare import extended
from hpoq.campaign.running.control import Control
from hpoq.campaign.running.progress import CampaignProgress
from hpoq.campaign.running.runner import Runner

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from botocore.client import ClientMeta
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

    from hpoq.campaign.backends.curve_reader import CurveReader
    from hpoq.campaign.backends.interface import Backend
    from hpoq.campaign.backends.target import Target
    from hpoq.campaign.results.curves import LearningCurves
    from hpoq.campaign.results.trial import Trial
    from hpoq.results.measured import Series

CURVES = 20  # trials whose logs are read for learning curves
NO_CURVES = "No training job of these printed a metric more than once."
# The console of each partition, by the domain of its endpoints.
CONSOLES = {
    ".amazonaws.com": "console.aws.amazon.com",
    ".amazonaws.com.cn": "console.amazonaws.cn",
}


class RunningCampaign:
    """A plan file and the backend it runs on.

    The class is long because it is the one object that commands and notebooks use.

    Args:
        file: path of the saved plan.
        backend: where it runs; ``queued`` and ``direct`` create one.
        curve_reader: reader of learning curves; None: there are none.
    """

    def __init__(
        self,
        file: Path,
        backend: Backend,
        curve_reader: CurveReader | None = None,
    ) -> None:
        self.file = file
        self.backend = backend
        self._curve_reader = curve_reader

    @classmethod
    def queued(
        cls,
        file: Path,
        team: str,
        *,
        deployment: str = "hpoq",
        session: boto3.Session | None = None,
    ) -> RunningCampaign:
        """Return a campaign that runs through a team's queue."""
        from hpoq.campaign.backends.curve_reader import CurveReader
        from hpoq.campaign.backends.queued import QueueBackend
        from hpoq.campaign.backends.ray_jobs import RayJobs
        from hpoq.campaign.backends.ray_trials import RayTrials
        from hpoq.campaign.backends.target import deployed_api_form
        from hpoq.client import Client

        client = Client(deployment, session)
        sagemaker = sagemaker_client(session)
        return cls(
            file,
            RayJobs(
                QueueBackend(client, team, sagemaker),
                RayTrials(sagemaker, s3_client(session)),
                lambda message: deployed_api_form(client, team, message),
                lambda: client.settings.environment.training_source,
            ),
            CurveReader(sagemaker, client, client.on),
        )

    @classmethod
    def direct(
        cls, file: Path, target: Target | None = None, *, session: boto3.Session | None = None
    ) -> RunningCampaign:
        """Return a campaign that creates its tuning jobs itself, without a queue.

        Args:
            file: path of the saved plan.
            target: what a deployment would supply; not needed to read results.
            session: session of the account; default: boto3's default session.
        """
        from hpoq.campaign.backends.curve_reader import CurveReader
        from hpoq.campaign.backends.direct import DirectBackend
        from hpoq.campaign.backends.ray_jobs import RayJobs
        from hpoq.campaign.backends.ray_trials import RayTrials
        from hpoq.client import Client

        sagemaker = sagemaker_client(session)
        backend = DirectBackend(sagemaker, target)
        records = RayTrials(sagemaker, s3_client(session))
        ray = RayJobs(backend, records, backend.in_api_form, lambda: backend.training_source)
        return cls(file, ray, CurveReader(sagemaker, Client(session=session)))

    @property
    def began(self) -> datetime | None:
        """The time when its first tuning job was created, if known."""
        return self.backend.began

    @property
    def plan(self) -> CampaignPlan:
        """The plan as saved now."""
        return CampaignPlan.load(self.file)

    def run(
        self,
        every: float = 30.0,
        show: Callable[[CampaignProgress], None] | None = None,
        *,
        keep_goals: bool = True,
    ) -> CampaignProgress:
        """Run the campaign to its end. It may be interrupted and run again at any time.

        Args:
            every: seconds between polls.
            show: called after each poll.
            keep_goals: start no tuning job that would miss the plan's deadline or budget.

        Returns:
            The last progress.
        """
        last: CampaignProgress | None = None
        for last in self.updates(every, keep_goals=keep_goals):
            if show:
                show(last)
        if last is None:
            raise RuntimeError("a run yields at least one progress")
        return last

    def updates(
        self,
        every: float = 30.0,
        *,
        keep_goals: bool = True,
        wait: Callable[[float], None] = time.sleep,
    ) -> Iterator[CampaignProgress]:
        """Run the campaign and yield its progress at each poll.

        Args:
            every: seconds between polls.
            keep_goals: start no tuning job that would miss the plan's deadline or budget.
            wait: called with these seconds.
        """
        runner = Runner(self.plan, self.backend, self.file, keep_goals=keep_goals, wait=wait)
        return runner.run(every)

    def detach(self) -> int:
        """Send the rest of the current wave and leave it to the queue.

        Returns:
            How many tuning jobs were sent.
        """
        return Runner(self.plan, self.backend, self.file).send_wave()

    def pause(self) -> None:
        """Start no further tuning jobs; running ones continue to their end."""
        Control(self.file).send("pause")

    def resume(self) -> None:
        """Undo a pause or a cancel."""
        Control(self.file).send("run")

    def cancel(self) -> None:
        """Stop all tuning jobs at the runner's next poll."""
        Control(self.file).send("cancel")

    def extend(self, trials: int) -> CampaignPlan:
        """Add trials, which a runner picks up at its next poll."""
        longer = extended(self.plan, trials)
        longer.save(self.file)
        return longer

    def results(self) -> pd.DataFrame:
        """Return all trials so far as one table; see ``hpoq.campaign.results.table.frame``."""
        from hpoq.campaign.results.table import frame

        plan = self.plan
        self.backend.follow(plan)
        numbers = sorted(self.backend.poll())
        trials = [trial for number in numbers for trial in self.backend.trials(number)]
        if plan.campaign.logged_metrics:
            trials = [
                trial
                for target, found in _by_target(trials).items()
                for trial in self._with_metrics(target, found, numbers)
            ]
        return frame(plan, trials)

    def curves(self, table: pd.DataFrame, trials: int = CURVES) -> LearningCurves:
        """Return the learning curves of some trials: the better half of them are the best ones.

        Args:
            table: from ``results``.
            trials: how many logs to read at most.
        """
        from hpoq.campaign.results.curves import LearningCurves, chosen, curves_frame
        from hpoq.errors import NotReachable

        ranks, note = chosen(table, trials), ""
        found: dict[str, Series] = {}
        try:
            if self._curve_reader:
                for target, names in _names_by_target(table, ranks).items():
                    found |= self._curve_reader.of(names, target)
        except NotReachable as error:
            note = f"The logs cannot be read: {error}."
        made = curves_frame(found, ranks)
        if made.empty:
            note = note or NO_CURVES
        return LearningCurves(table=made, note=note)

    def report(self, path: Path, others: Sequence[RunningCampaign] = ()) -> Path:
        """Write the HTML report and return its path.

        Args:
            path: path of the HTML file.
            others: campaigns of the same objective to compare it with.
        """
        from hpoq.campaign.report import write
        from hpoq.campaign.report.comparison import check_comparable
        from hpoq.campaign.results.table import targets_in

        found = [(each.plan, each.results()) for each in (self, *others)]
        check_comparable(found)
        (plan, table), *compared = found
        consoles = {
            target: console_address(self.backend.jobs_on(target).sagemaker.meta)
            for target in targets_in(table)
        }
        return write(plan, table, path, compared, curves=self.curves(table), consoles=consoles)

    def _with_metrics(
        self, target: str, trials: Sequence[Trial], numbers: Sequence[int]
    ) -> list[Trial]:
        """Return the trials of a target with their further metrics."""
        from hpoq.campaign.backends.final_metrics import FinalMetrics

        jobs = self.backend.jobs_on(target)
        names = [jobs.name(number) for number in numbers if self.backend.target(number) == target]
        return FinalMetrics(jobs.sagemaker).added_to(trials, names)


def _by_target(trials: Sequence[Trial]) -> dict[str, list[Trial]]:
    """Return the trials of each target."""
    found: dict[str, list[Trial]] = {}
    for trial in trials:
        found.setdefault(trial.target, []).append(trial)
    return found


def _names_by_target(table: pd.DataFrame, names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of some trials of a table by target."""
    from hpoq.campaign.results.table import TARGET

    if TARGET not in table:
        return {HOME: list(names)}
    target_of = dict(zip(table["trial"], table[TARGET], strict=True))
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(target_of[name], []).append(name)
    return found


def console_address(meta: ClientMeta) -> str:
    """Return the address of a training job in the console, up to its name; empty outside of AWS."""
    host, region = meta.endpoint_url, meta.region_name
    for domain, console in CONSOLES.items():
        if host.endswith(domain):
            return f"https://{region}.{console}/sagemaker/home?region={region}#/jobs/"
    return ""


def s3_client(session: boto3.Session | None) -> S3Client:
    """Return a client that reads what training jobs have recorded."""
    import boto3

    return (session or boto3.Session()).client("s3")


def sagemaker_client(session: boto3.Session | None) -> SageMakerClient:
    """Return a client that adapts to the API's rate limit."""
    import boto3

    from hpoq.botocore_config import PATIENT

    return (session or boto3.Session()).client("sagemaker", config=PATIENT)
