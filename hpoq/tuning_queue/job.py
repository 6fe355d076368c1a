"""One queued request, followed from the queue to its results."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo_dispatcher.contract.entry import BestTrainingJob, Entry, Status
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.scheduling.forecast.outlooks import Forecast, Outlook
from hpoq.client import Client
from hpoq.errors import NotCompleted, NotFound
from hpoq.presentation import on_stdout, printable
from hpoq.results import logs, models, training_jobs
from hpoq.tuning_queue import sdk
from hpoq.wait_reasons import why

if TYPE_CHECKING:
    import pandas as pd

ApiRequest = dict[str, Any]

_NOT_RECEIVED = "the dispatcher has not received it yet"
_WITH_RESULT = (Status.COMPLETED, Status.STOPPED)


class TuningQueuedJob:
    """A tuning job in a queue: waiting, running or ended.

    The class is long because users find all of it in one object, as in the SDK's queue.

    Args:
        client: the deployment.
        team: the team whose queue it is in.
        request_id: its id.
        boto_session: the session to attach tuners with.
        api_request: the CreateHyperParameterTuningJob request; empty if it is not known here.
    """

    def __init__(
        self,
        client: Client,
        team: str,
        request_id: str,
        boto_session: Any,
        api_request: ApiRequest | None = None,
    ) -> None:
        self.team = team
        self.request_id = request_id
        self.api_request = api_request or {}
        self._client = client
        self._boto_session = boto_session
        self._tuner: Any = None
        self._has_tuning_job = False  # not known yet, if it may have started

    def submitted_with(self, tuner: Any) -> TuningQueuedJob:
        """Remember the tuner that prepared the tuning job, and return the job itself."""
        self._tuner = tuner
        return self

    def __repr__(self) -> str:
        return f"<TuningQueuedJob {self.team}/{self.request_id}>"

    # What it waits for

    @property
    def status(self) -> str:
        """Its status: Queued, InProgress, Stopping, Completed, Failed, Stopped, ..."""
        entry = self._entry()
        return str(entry.status if entry else Status.QUEUED)

    @property
    def reason(self) -> str:
        """Why it waits, failed or was rejected; empty if there is nothing to say."""
        entry = self._entry()
        if entry is None:
            return _NOT_RECEIVED
        return why(entry, self._client.capacity() if entry.status is Status.QUEUED else None)

    @property
    def position(self) -> int | None:
        """The position in the team's queue, from 1; None if it is not queued or not known."""
        return self._outlook().position

    @property
    def estimated_start(self) -> datetime | None:
        """When it is expected to start, in UTC; None if that is not known."""
        seconds = self._outlook().starts_in
        return None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)

    def cancel(self) -> None:
        """Cancel it if it is queued; stop its tuning job if it runs."""
        self._client.act(self.team, "cancel", request_id=self.request_id)

    def wait(self, logs: bool = True, timeout: float | None = None, poll: float = 5.0) -> str:
        """Wait until it ends, and print its progress.

        Args:
            logs: also print the log of each training job that failed, and of the best one.
            timeout: seconds; None to wait as long as it takes.
            poll: seconds between two looks.

        Returns:
            Its final status, Completed or Stopped.

        Raises:
            NotCompleted: it ended without a result, or not within ``timeout``.
        """
        ends = None if timeout is None else time.monotonic() + timeout
        shown = ""
        while True:
            entry = self._entry()
            entry = entry and self._client.live(entry)
            progress = self._progress(entry)
            if progress != shown:
                shown = progress
                sys.stdout.write(f"{printable(progress)}\n")
                sys.stdout.flush()
            if entry and entry.status.ended:
                break
            if ends is not None and time.monotonic() + poll > ends:
                raise NotCompleted(f"{self.request_id} has not ended within {timeout:g} seconds")
            time.sleep(poll)
        if logs:
            self._print_logs(entry)
        if entry.status not in _WITH_RESULT:
            reason = printable(entry.reason)
            raise NotCompleted(f"{self.request_id} is {entry.status}: {reason}")
        return str(entry.status)

    # What it found

    @property
    def tuning_job_name(self) -> str:
        """The name of its SageMaker tuning job; empty if there is none."""
        entry = self._entry()
        if entry is None or entry.status is Status.QUEUED:
            return ""
        self._has_tuning_job = self._has_tuning_job or self._client.has_tuning_job(entry)
        return entry.tuning_job_name if self._has_tuning_job else ""

    @property
    def region(self) -> str:
        """The Region of its tuning job."""
        return str(self._session_there().region_name)

    @property
    def role(self) -> str:
        """The ARN of the role that its training jobs run as."""
        entry = self._entry()
        settings = self._client.settings
        environment = settings.environment_on(entry.target) if entry else settings.environment
        return environment.training_role(self.team)

    @property
    def best_training_job(self) -> str | None:
        """The name of the best training job so far; None if there is none."""
        best = self._best()
        return best.name if best else None

    def results(self) -> pd.DataFrame:
        """Return its training jobs, best first: hyperparameters, objective, status and times.

        The columns have the names of the SageMaker SDK's ``tuner.analytics().dataframe()``.

        Raises:
            NotInstalled: pandas is not installed.
        """
        return training_jobs.data_frame(training_jobs.of_entry(self._client, self._found()))

    def tuner(self, tuner: Any = None) -> Any:
        """Return a tuner of the SageMaker SDK that is attached to the tuning job.

        Args:
            tuner: the tuner to attach; by default the one that it was submitted with.

        Raises:
            NotFound: it has no tuning job yet.
        """
        name = self.tuning_job_name
        if not name:
            raise NotFound(f"{self.request_id} is {self.status} and has no tuning job yet")
        return sdk.attached(name, tuner or self._tuner, self._session_there())

    def download_model(self, path: str | Path) -> Path:
        """Download and unpack the model of the best training job.

        Args:
            path: the folder for its files, which is created if it does not exist.

        Raises:
            NotFound: there is no model yet.
        """
        return models.download(self._client, self._found(), Path(path))

    def _session_there(self) -> Any:
        """Return a session for the target of the tuning job."""
        entry = self._entry()
        if entry is None or entry.target == HOME:
            return self._boto_session
        return self._client.session_on(entry.target)

    def _entry(self) -> Entry | None:
        try:
            return self._client.get(self.team, self.request_id)
        except NotFound:
            return None

    def _found(self) -> Entry:
        return self._client.live(self._client.get(self.team, self.request_id))

    def _best(self) -> BestTrainingJob | None:
        entry = self._entry()
        return self._client.live(entry).best if entry else None

    def _outlook(self) -> Outlook:
        entry = self._entry()
        if entry is None or entry.status is not Status.QUEUED:
            return Outlook()
        teams = self._client.settings.deployment.teams
        forecast = Forecast(self._client.capacity(), teams)
        return forecast.of(entry, datetime.now(UTC), self._client.queued_between)

    def _progress(self, entry: Entry | None) -> str:
        if entry is None:
            return f"{self.request_id}: {Status.QUEUED}, {_NOT_RECEIVED}"
        parts = [str(entry.status)]
        if entry.status is Status.QUEUED:
            parts.append(why(entry, self._client.capacity()))
        if entry.counters:
            done = entry.counters.get("Completed", 0)
            parts.append(f"{done} of {entry.max_training_jobs} training jobs completed")
        if entry.best:
            parts.append(f"best {entry.best.metric} {entry.best.objective:g}")
        return f"{self.request_id}: {', '.join(part for part in parts if part)}"

    def _print_logs(self, entry: Entry) -> None:
        chosen = training_jobs.failed(training_jobs.of_entry(self._client, entry))
        names = [each.name for each in chosen] + ([entry.best.name] if entry.best else [])
        there = self._client.on(entry.target)
        for name in names:
            sys.stdout.write(f"--- log of {name}\n")
            sys.stdout.writelines(f"{on_stdout(line)}\n" for line in logs.lines_of(there, name))
