"""A campaign through the queue: fairness, team limits and cancel come with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from hpo_dispatcher.contract.entry import Entry, Status
from hpoq.campaign.backends.direct import check_digest
from hpoq.campaign.backends.tuning_jobs import TuningJobs, state_from
from hpoq.campaign.model import Plan
from hpoq.campaign.results.trial import Trial
from hpoq.campaign.running.messages import TAG_PLAN
from hpoq.campaign.running.schedule import JobState

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

    from hpoq.campaign.backends.interface import Message
    from hpoq.client import Client


class QueuedAccount:
    """``Account`` over a deployment's queue and ledger.

    Args:
        client: of the deployment.
        team: whose queue.
        sagemaker: client, for progress while jobs run and for the trials.
    """

    queues = True

    def __init__(self, client: Client, team: str, sagemaker: SageMakerClient) -> None:
        self._client = client
        self._team = team
        self.jobs = TuningJobs(sagemaker, team)
        self._ids: dict[str, int] = {}
        self._entries: dict[int, Entry] = {}
        self._sent: set[int] = set()

    def follow(self, plan: Plan) -> None:
        """See ``Account``."""
        self._ids = {plan.request_id(job): job.number for job in plan.jobs}
        self.jobs.follow(plan)
        self._read()
        there = sorted(self._entries)
        for number in there[:1] + there[-1:]:
            request = self._entries[number].request
            if request is not None:
                check_digest(plan, number, request.tags.get(TAG_PLAN))

    def look(self) -> dict[int, JobState]:
        """See ``Account``. The ledger says what waits, SageMaker how far what runs has come."""
        self._read()
        states = {number: _state(entry, number) for number, entry in self._entries.items()}
        if any(entry.status.active for entry in self._entries.values()):
            for number, state in self._running().items():
                if number not in states or self._entries[number].earlier:
                    continue  # what made room has several tuning jobs: the ledger adds them up
                if not states[number].status.ended:
                    # an end counts once the ledger has it: only then do dependants start
                    status = states[number].status if state.status.ended else state.status
                    states[number] = replace(state, status=status)
        for number in self._sent - states.keys():  # on its way
            states[number] = JobState(number=number, status=Status.QUEUED)
        return states

    def send(self, messages: Mapping[int, Message]) -> None:
        """See ``Account``."""
        self._client.submit(self._team, [dict(message) for message in messages.values()])
        self._sent |= messages.keys()

    def best(self, number: int) -> float | None:
        """See ``Account``."""
        entry = self._entries.get(number)
        return entry.best.objective if entry and entry.best else None

    def trials(self, number: int) -> Sequence[Trial]:
        """See ``Account``."""
        entry = self._entries.get(number)
        if entry is None:
            return []
        names = [*(job.tuning_job_name for job in entry.earlier), entry.tuning_job_name]
        return [trial for name in names if name for trial in self.jobs.trials(number, name)]

    def stop(self, numbers: Sequence[int]) -> None:
        """See ``Account``."""
        self._act("cancel", numbers)

    def hold(self, numbers: Sequence[int], *, held: bool) -> None:
        """See ``Account``."""
        self._act("hold" if held else "release", numbers)

    def _act(self, action: str, numbers: Sequence[int]) -> None:
        ids = {number: request_id for request_id, number in self._ids.items()}
        for number in numbers:
            self._client.act(self._team, action, request_id=ids[number])

    def _read(self) -> None:
        for entry in self._client.entries(self._team):
            number = self._ids.get(entry.request_id)
            if number is not None:
                self._entries[number] = entry

    def _running(self) -> dict[int, JobState]:
        """A team may lack the permission to look; then the ledger's counters have to do."""
        try:
            return self.jobs.look()
        except ClientError:
            return {}


def _state(entry: Entry, number: int) -> JobState:
    return state_from(number, entry.status, entry.counters, entry.reason)
