"""The messages of a wave, which depend on the results of the waves before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hpoq.campaign.backends.interface import Backend, Message
from hpoq.campaign.campaign_plan import CampaignPlan, PlannedJob
from hpoq.campaign.given_settings import ranges_of, settings_of
from hpoq.campaign.results.trial import Trial
from hpoq.campaign.running.messages import is_grid_of_settings, message
from hpoq.campaign.running.narrowing import Ranges, narrowed


class WaveMessages:
    """The maker of messages, which reads the trials of each ended job once.

    Args:
        backend: where the campaign runs.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._trials: dict[int, Sequence[Trial]] = {}

    def of(
        self, plan: CampaignPlan, jobs: Sequence[PlannedJob], after: Mapping[int, Sequence[int]]
    ) -> dict[int, Message]:
        """Return the messages of jobs of one wave, by number.

        Args:
            plan: plan of the campaign.
            jobs: jobs of one wave; all waves before it have ended.
            after: for some of the jobs, numbers of the jobs that must end first.
        """
        parents = self._parents(plan, jobs[0])
        targets = self._targets(plan, jobs)
        narrow = any(not job.explores for job in jobs)
        ranges = self._narrowed_ranges(plan, jobs[0].wave) if narrow else None
        return {
            job.number: message(
                plan,
                job,
                ranges=self._given(plan, job) or (None if job.explores else ranges),
                parents=[each for each in parents if self._on(each, targets.get(job.number))][
                    : jobs[0].parents
                ],
                target=targets.get(job.number, ""),
                after=after.get(job.number, ()),
            )
            for job in jobs
        }

    def _parents(self, plan: CampaignPlan, job: PlannedJob) -> list[PlannedJob]:
        """Return the jobs of the wave before, best first; those without a result are left out."""
        if not job.parents:
            return []
        wave = [each for each in plan.wave(job.wave - 1) if each.searches]
        bests = [(self._backend.best(each.number), each) for each in wave]
        found = [(best, each) for best, each in bests if best is not None]
        found.sort(key=lambda pair: pair[0], reverse=plan.campaign.maximize)
        return [each for _, each in found]

    def _targets(self, plan: CampaignPlan, jobs: Sequence[PlannedJob]) -> dict[int, str]:
        """Return the targets of jobs that start warm, by number; none with one target only.

        A parent must be in the account and Region of its child. So a wave is spread over the
        targets as the wave before was, and each job learns from the best jobs of its target.
        """
        if plan.campaign.limits.targets == 1 or not jobs[0].parents:
            return {}
        before = [self._backend.target(job.number) for job in plan.wave(jobs[0].wave - 1)]
        first = plan.wave(jobs[0].wave)[0].number
        return {job.number: before[(job.number - first) % len(before)] for job in jobs}

    def _on(self, parent: PlannedJob, target: str | None) -> bool:
        return target is None or self._backend.target(parent.number) == target

    def _given(self, plan: CampaignPlan, job: PlannedJob) -> Ranges | None:
        """Return the ranges of a job whose settings are given; Ray's jobs get theirs otherwise."""
        if not is_grid_of_settings(job):
            return None
        (setting,) = settings_of(plan, job, self._before(plan, job.wave) if job.repeats else ())
        return ranges_of(plan, job, setting)

    def _before(self, plan: CampaignPlan, wave: int) -> list[Trial]:
        """Return the trials of all waves before."""
        return [
            trial for job in plan.jobs if job.wave < wave for trial in self.trials_of(job.number)
        ]

    def _narrowed_ranges(self, plan: CampaignPlan, wave: int) -> Ranges:
        """Return ranges narrowed by all trials of all waves before."""
        trials = self._before(plan, wave)
        full = plan.campaign.template_request.hyperparameter_ranges
        most = max(job.trials for job in plan.wave(wave) if not job.explores)
        return narrowed(full, trials, maximize=plan.campaign.maximize, points=most)

    def trials_of(self, number: int) -> Sequence[Trial]:
        """Return the trials of a job that has ended."""
        if number not in self._trials:
            self._trials[number] = self._backend.trials(number)
        return self._trials[number]
