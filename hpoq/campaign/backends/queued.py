"""The backend that sends a campaign through a team's queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.names import TAG_PLAN
from hpo_dispatcher.contract.targets.resources import HOME
from hpoq.botocore_config import PATIENT
from hpoq.campaign.backends.job_state import JobState, state_from
from hpoq.campaign.backends.tuning_jobs import CampaignTuningJobs
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.results.trial import Trial
from hpoq.errors import NotReachable

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

    from hpoq.campaign.backends.interface import Message
    from hpoq.client import Client


class QueueBackend:
    """A ``Backend`` over a team's queue and the ledger of its deployment.

    Args:
        client: client of the deployment.
        team: the team that owns the queue.
        sagemaker: client that reads the progress of running jobs, and trials.
    """

    queues = True

    def __init__(self, client: Client, team: str, sagemaker: SageMakerClient) -> None:
        self._client = client
        self._team = team
        self.jobs = CampaignTuningJobs(sagemaker, team)
        self._elsewhere: dict[str, CampaignTuningJobs] = {}  # by target
        self._plan: CampaignPlan | None = None
        self._ids: dict[str, int] = {}
        self._entries: dict[int, Entry] = {}
        self._sent: set[int] = set()

    @property
    def began(self) -> datetime | None:
        """The time when the first job was created, if known.

        SageMaker's lists are read only while jobs run, and a short job runs between two polls: the
        ledger has it, too.
        """
        starts = (entry.started_at for entry in self._entries.values())
        return min((at for at in (self.jobs.began, *starts) if at), default=None)

    def follow(self, plan: CampaignPlan) -> None:
        """Read and control the jobs of this plan from now on."""
        self._ids = {plan.request_id(job): job.number for job in plan.jobs}
        self._plan = plan
        for jobs in (self.jobs, *self._elsewhere.values()):
            jobs.follow(plan)
        self._read()
        existing = sorted(self._entries)
        for number in existing[:1] + existing[-1:]:
            request = self._entries[number].request
            if request is not None:
                plan.check_digest(number, request.tags.get(TAG_PLAN))

    def poll(self) -> dict[int, JobState]:
        """Return the states of all sent jobs, with the progress of running ones from SageMaker."""
        self._read()
        states = {number: _state(entry, number) for number, entry in self._entries.items()}
        if any(entry.status.active for entry in self._entries.values()):
            for number, running in self._running().items():
                if number in states:
                    states[number] = self._merged(states[number], running)
        for number in self._sent - states.keys():  # the dispatcher has not read the message yet
            states[number] = JobState(number=number, status=Status.QUEUED)
        return states

    def _merged(self, recorded: JobState, running: JobState) -> JobState:
        """Combine the ledger's state of a job with SageMaker's."""
        if self._entries[recorded.number].earlier:
            return recorded  # the request ran as several tuning jobs, which the ledger adds up
        if recorded.status.ended:
            return recorded
        # Dependants start once the ledger records an end, so an end counts only then.
        status = recorded.status if running.status.ended else running.status
        return replace(running, status=status)

    def send(self, messages: Mapping[int, Message]) -> None:
        """Send jobs, by number."""
        self._client.submit(self._team, [dict(message) for message in messages.values()])
        self._sent |= messages.keys()

    def best(self, number: int) -> float | None:
        """Return the best objective of a job that has ended."""
        entry = self._entries.get(number)
        return entry.best.objective if entry and entry.best else None

    def trials(self, number: int) -> Sequence[Trial]:
        """Return all trials of a job that was sent."""
        entry = self._entries.get(number)
        if entry is None:
            return []
        names = [*(job.tuning_job_name for job in entry.earlier), entry.tuning_job_name]
        names = [name for name in names if name]
        if not names:
            return []
        jobs = self.jobs_on(entry.target)
        found = [trial for name in names for trial in jobs.trials(number, name)]
        return [replace(trial, target=entry.target) for trial in found]

    def target(self, number: int) -> str:
        """Return the target of a job that has started."""
        entry = self._entries.get(number)
        return entry.target if entry else HOME

    def jobs_on(self, target: str) -> CampaignTuningJobs:
        """Return the campaign's tuning jobs in SageMaker of a target.

        Raises:
            NotReachable: the user has no access to the target.
        """
        if target == HOME:
            return self.jobs
        if target not in self._elsewhere:
            sagemaker = self._client.on(target).service("sagemaker", PATIENT)
            made = CampaignTuningJobs(sagemaker, self._team)
            if self._plan is not None:
                made.follow(self._plan)
            self._elsewhere[target] = made
        return self._elsewhere[target]

    def stop(self, numbers: Sequence[int]) -> None:
        """Cancel queued jobs and stop running ones."""
        self._act("cancel", numbers)

    def hold(self, numbers: Sequence[int], *, held: bool) -> None:
        """Hold queued jobs so that they do not start, or release them."""
        self._act("hold" if held else "release", numbers)

    def _act(self, action: str, numbers: Sequence[int]) -> None:
        ids = {number: request_id for request_id, number in self._ids.items()}
        for number in numbers:
            self._client.act(self._team, action, request_id=ids[number])

    def _read(self) -> None:
        """Read the entries that may have changed; only a rejected request can be sent again."""
        settled = {
            number
            for number, entry in self._entries.items()
            if entry.status.ended and entry.status is not Status.REJECTED
        }
        wanted = [id_ for id_, number in self._ids.items() if number not in settled]
        for id_, entry in self._client.get_all(self._team, wanted).items():
            self._entries[self._ids[id_]] = entry

    def _running(self) -> dict[int, JobState]:
        """Return SageMaker's states; of targets that the team may not read, none."""
        found: dict[int, JobState] = {}
        for target in {e.target for e in self._entries.values() if e.status.active}:
            with suppress(ClientError, NotReachable):
                states = self.jobs_on(target).poll()
                found |= {n: each for n, each in states.items() if self.target(n) == target}
        return found


def _state(entry: Entry, number: int) -> JobState:
    return state_from(number, entry.status, entry.counters, entry.reason)
