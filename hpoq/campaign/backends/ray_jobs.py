"""The backend that runs jobs with Ray inside one training job each, over another backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from hpo_dispatcher.contract.errors import InvalidRequest
from hpoq.campaign.backends.interface import Backend, Message
from hpoq.campaign.backends.job_state import JobState
from hpoq.campaign.backends.ray_request import as_ray_request
from hpoq.campaign.backends.ray_trials import RayTrials
from hpoq.campaign.backends.tuning_jobs import CampaignTuningJobs
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.given_settings import settings_of
from hpoq.campaign.results.trial import Trial, ranked

_SUCCESSFUL = ("Completed", "Stopped")  # Ray stops poor trials early, which have a result


class RayJobs:
    """A ``Backend`` that turns jobs with ``instances`` into Ray jobs and reads their trials.

    Args:
        inner: where tuning jobs run.
        records: reader of the trials inside training jobs.
        in_api_form: returns a message of the short form in API form.
        training_source: returns the archive of the bundled scripts.
    """

    def __init__(
        self,
        inner: Backend,
        records: RayTrials,
        in_api_form: Callable[[Message], Mapping[str, Any]],
        training_source: Callable[[], str],
    ) -> None:
        self._inner, self._records = inner, records
        self._in_api_form, self._training_source = in_api_form, training_source
        self.queues = inner.queues
        self._plan: CampaignPlan | None = None
        self._ended: dict[int, list[Trial]] = {}

    @property
    def jobs(self) -> CampaignTuningJobs:
        """The campaign's tuning jobs in SageMaker."""
        return self._inner.jobs

    @property
    def began(self) -> datetime | None:
        """The time when the first job was created, if known."""
        return self._inner.began

    def follow(self, plan: CampaignPlan) -> None:
        """Read and control the jobs of this plan from now on."""
        self._plan = plan
        self._inner.follow(plan)

    def poll(self) -> dict[int, JobState]:
        """Return the states of all jobs that were sent, with the trials inside Ray's jobs."""
        states = self._inner.poll()
        return {n: self._inside(state) if self._is_ray(n) else state for n, state in states.items()}

    def send(self, messages: Mapping[int, Message]) -> None:
        """Send jobs, by number; fewer than all if the account is full."""
        self._inner.send(
            {n: self._as_ray(n, m) if self._is_ray(n) else m for n, m in messages.items()}
        )

    def best(self, number: int) -> float | None:
        """Return the best objective of a job that has ended."""
        if not self._is_ray(number):
            return self._inner.best(number)
        maximize = bool(self._plan and self._plan.campaign.maximize)
        found = ranked(self.trials(number), maximize=maximize)
        return found[0].objective if found else None

    def trials(self, number: int) -> Sequence[Trial]:
        """Return all trials of a job that was sent."""
        if not self._is_ray(number):
            return self._inner.trials(number)
        if number not in self._ended:
            return self._records.of(self._inner.trials(number))
        return self._ended[number]

    def target(self, number: int) -> str:
        """Return the target of a job that has started."""
        return self._inner.target(number)

    def jobs_on(self, target: str) -> CampaignTuningJobs:
        """Return the campaign's tuning jobs in SageMaker of a target."""
        return self._inner.jobs_on(target)

    def stop(self, numbers: Sequence[int]) -> None:
        """Cancel queued jobs and stop running ones."""
        self._inner.stop(numbers)

    def hold(self, numbers: Sequence[int], *, held: bool) -> None:
        """Hold queued jobs so that they do not start, or release them."""
        self._inner.hold(numbers, held=held)

    def _is_ray(self, number: int) -> bool:
        return self._plan is not None and self._plan.job(number).instances > 0

    def _inside(self, state: JobState) -> JobState:
        """Return a job's state with the numbers of its trials instead of its training job."""
        assert self._plan is not None  # noqa: S101  a job is only known with its plan
        planned = self._plan.job(state.number)
        trials = self.trials(state.number) if state.status.active or state.status.ended else []
        completed = sum(trial.status in _SUCCESSFUL and trial.usable for trial in trials)
        failed = len(trials) - completed
        if state.status.ended:
            self._ended[state.number] = list(trials)
            return replace(state, completed=completed, running=0, failed=planned.trials - completed)
        left = planned.trials - completed - failed
        running = min(planned.parallel, left) if state.running else 0
        return replace(state, completed=completed, running=running, failed=failed)

    def _as_ray(self, number: int, message: Message) -> Message:
        plan = self._plan
        assert plan is not None  # noqa: S101  messages are made from the plan
        whole = self._in_api_form(message)
        job = plan.job(number)
        before = [
            trial
            for each in plan.jobs
            if job.repeats and each.wave < job.wave
            for trial in self.trials(each.number)
        ]
        try:
            api_request = as_ray_request(
                whole["api_request"],
                plan,
                job,
                training_source=self._training_source(),
                settings=settings_of(plan, job, before),
            )
        except InvalidRequest as error:
            where = f"{message['request_id']}: {error.field}"
            raise InvalidRequest(where, error.problem, error.fix) from None
        return {**whole, "api_request": api_request}
