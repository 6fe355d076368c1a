"""The plan of a campaign: which tuning jobs run its trials. Saved, checked and resumed."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StrictStr, ValidationError, model_validator

from hpo_dispatcher.contract.request import MAX_PARENTS
from hpoq.campaign.errors import InvalidPlan, OtherCampaign
from hpoq.campaign.grid import checksum, point_count
from hpoq.campaign.model import Campaign, CampaignModel, first_problem

NUMBER_DIGITS = 5
_LATER_FIELDS = ("point", "repeats")


class PlannedJob(CampaignModel):
    """One tuning job of a plan."""

    number: Annotated[int, Field(ge=1)]
    wave: Annotated[int, Field(ge=1)] = 1
    trials: Annotated[int, Field(ge=1)]
    parallel: Annotated[int, Field(ge=1)]
    explores: bool = True  # False: searches the narrowed ranges
    parents: Annotated[int, Field(ge=0, le=MAX_PARENTS)] = 0  # best jobs of the wave before
    values: dict[StrictStr, tuple[Any, ...]] | None = None  # its part of the grid
    # Instances of the one training job in which Ray runs all trials; 0: a training job per trial.
    instances: Annotated[int, Field(ge=0)] = 0
    # Number of the campaign's point that it trains, from 1; 0: it searches.
    point: Annotated[int, Field(ge=0)] = 0
    # Ranks of the settings that it trains with each seed; 1 is the best of all waves before.
    repeats: tuple[Annotated[int, Field(ge=1)], ...] = ()

    @property
    def searches(self) -> bool:
        """Whether it chooses its settings itself."""
        return not self.point and not self.repeats


class CampaignPlan(CampaignModel):
    """A list of tuning jobs whose trials add up to exactly those of the campaign."""

    version: Literal[1] = 1
    campaign: Campaign
    strategy: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]  # name in the registry
    jobs: Annotated[tuple[PlannedJob, ...], Field(min_length=1)]
    generations: tuple[int, ...]  # number of jobs after planning, and after each extension

    @model_validator(mode="after")
    def _check_consistency(self) -> CampaignPlan:
        problem = _problem_with(self)
        if problem:
            raise ValueError(problem)
        return self

    @property
    def slots(self) -> int:
        """The number of trials that may run at once."""
        if self.jobs[0].instances:  # Ray's jobs of a wave run side by side
            return max(sum(job.parallel for job in wave) for wave in self._by_wave.values())
        return self.campaign.slots

    @property
    def instances_per_trial(self) -> float:
        """The instances that a trial uses; Ray's trials share them."""
        if self.jobs[0].instances:
            return 1 / self.campaign.trials_per_instance
        return self.campaign.instances_per_trial

    @property
    def waves(self) -> int:
        """The number of waves."""
        return self.jobs[-1].wave

    def job(self, number: int) -> PlannedJob:
        """Return the job of a number, counted from 1."""
        return self.jobs[number - 1]

    def wave(self, number: int) -> list[PlannedJob]:
        """Return the jobs of one wave."""
        return self._by_wave.get(number, [])

    @cached_property
    def _by_wave(self) -> dict[int, list[PlannedJob]]:
        found: dict[int, list[PlannedJob]] = {}
        for job in self.jobs:
            found.setdefault(job.wave, []).append(job)
        return found

    def request_id(self, job: PlannedJob) -> str:
        """Return the request id of a job.

        It follows from the plan alone, so that sending a job twice starts it once.
        """
        return f"{self.campaign.name}-{job.number:0{NUMBER_DIGITS}}"

    def digest(self, job: PlannedJob) -> str:
        """Return the digest of the plan that a job belongs to.

        Extending a plan leaves the digests of its earlier jobs unchanged.
        """
        until = next(count for count in self.generations if job.number <= count)
        return self._digest_of(until)

    def check_digest(self, number: int, digest: str | None) -> None:
        """Check that a job that exists in the account belongs to this plan.

        Raises:
            OtherCampaign: the job was made from another plan.
        """
        if digest != self.digest(self.job(number)):
            raise OtherCampaign(
                f"campaign {self.campaign.name!r} already exists and was made from another plan. "
                "Run its own plan file, or give this campaign another name"
            )

    def _digest_of(self, jobs: int) -> str:
        if jobs not in self._digests:
            fields = self.model_dump(mode="json", include={"strategy": True, "jobs": True})
            fields["jobs"] = [_as_digested(job) for job in fields["jobs"][:jobs]]
            asked = self.campaign.model_dump(mode="json", include={"name", "request", "seed"})
            given = {"points", "repeats"}
            asked |= self.campaign.model_dump(mode="json", include=given, exclude_defaults=True)
            text = json.dumps(fields | asked, sort_keys=True)
            self._digests[jobs] = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self._digests[jobs]

    @cached_property
    def _digests(self) -> dict[int, str]:
        return {}

    def save(self, path: Path) -> None:
        """Write the plan as JSON, replacing the file in one step."""
        fields = self.model_dump(mode="json", exclude_defaults=True)
        fields["jobs"] = [job.model_dump(mode="json", exclude_defaults=True) for job in self.jobs]
        written = path.with_name(path.name + ".new")
        written.write_text(_as_json({"version": self.version, **fields}))
        written.replace(path)

    @classmethod
    def load(cls, path: Path) -> CampaignPlan:
        """Read and check a plan file.

        Raises:
            InvalidPlan: the file cannot be read, or its numbers do not add up.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InvalidPlan(
                f"{path}: {error.strerror}. Create a plan with `hpoq campaign plan`"
            ) from None
        except ValidationError as error:
            raise InvalidPlan(f"{path}: {first_problem(error)}. Fix it, or plan again") from None


def _as_digested(job: dict[str, Any]) -> dict[str, Any]:
    """Return a job's fields; those that earlier versions did not have, only if they are set."""
    return {name: value for name, value in job.items() if value or name not in _LATER_FIELDS}


def _problem_with(plan: CampaignPlan) -> str:
    """Return what is wrong with a plan; empty if nothing is."""
    campaign, jobs = plan.campaign, plan.jobs
    total = sum(job.trials for job in jobs)
    generations = list(plan.generations)
    checks = [
        (total != campaign.trials, f"the jobs hold {total} trials, not {campaign.trials}"),
        (
            [job.number for job in jobs] != list(range(1, len(jobs) + 1)),
            "the jobs are not numbered from 1",
        ),
        (
            generations[-1:] != [len(jobs)] or generations != sorted(set(generations)),
            "generations do not grow to the number of jobs",
        ),
        (
            jobs[0].wave != 1
            or any(after.wave - before.wave not in (0, 1) for before, after in pairwise(jobs)),
            "the waves are not numbered in order from 1",
        ),
    ]
    problems = [problem for wrong, problem in checks if wrong]
    problems += filter(None, (_problem_with_job(job, campaign) for job in jobs))
    return problems[0] if problems else _problem_with_parents(plan) or _problem_with_grid(plan)


def _problem_with_job(job: PlannedJob, campaign: Campaign) -> str:
    max_trials = campaign.max_trials_per_job
    if problem := _problem_with_given_settings(job, campaign):
        return f"job {job.number}: {problem}"
    if job.instances > campaign.slots:
        return f"job {job.number}: {job.instances} instances, but at most {campaign.slots} are free"
    if job.trials > max_trials and not job.instances:
        return f"job {job.number}: {job.trials} trials, but at most {max_trials} are allowed"
    parallel = min(campaign.limits.parallel_training_jobs, campaign.slots, job.trials)
    if job.instances:
        parallel = job.instances * campaign.trials_per_instance
    if job.parallel > parallel:
        return f"job {job.number}: {job.parallel} in parallel, but at most {parallel} are allowed"
    return ""


def _problem_with_given_settings(job: PlannedJob, campaign: Campaign) -> str:
    if job.point > len(campaign.points):
        return f"point {job.point}, but the campaign has {len(campaign.points)}"
    if job.point and job.trials != 1:
        return f"{job.trials} trials of one point"
    if not job.repeats:
        return ""
    seeds = len(campaign.repeats.seeds) if campaign.repeats else 0
    if job.trials != len(job.repeats) * seeds:
        return f"{job.trials} trials of {len(job.repeats)} settings with {seeds} seeds"
    return ""


def _problem_with_parents(plan: CampaignPlan) -> str:
    """Check that parents' trials, which count toward the child's limit, fit whichever are best."""
    max_trials = plan.campaign.max_trials_per_job
    for number in range(1, plan.waves + 1):
        before = sorted(job.trials for job in plan.wave(number - 1))
        for job in plan.wave(number):
            if job.instances:
                continue
            inherited = sum(before[-job.parents :]) if job.parents else 0
            if job.parents > len(before):
                return (
                    f"job {job.number}: {job.parents} parents, but the wave before has "
                    f"{len(before)} jobs"
                )
            if job.trials + inherited > max_trials:
                return (
                    f"job {job.number}: {job.trials} trials plus {inherited} of its parents, but "
                    f"at most {max_trials} are allowed"
                )
    return ""


def _problem_with_grid(plan: CampaignPlan) -> str:
    """Check that each point of a grid is tried exactly once."""
    campaign, grid = plan.campaign, plan.campaign.grid
    if campaign.search != "Grid":
        parts = [job.number for job in plan.jobs if job.values is not None]
        return f"job {parts[0]}: values, but the search is {campaign.search}" if parts else ""
    if grid is None:
        return "Grid needs categorical ranges only"
    for job in plan.jobs:
        values = grid if job.values is None else job.values
        inside = values.keys() == grid.keys() and all(set(values[n]) <= set(grid[n]) for n in grid)
        if not inside:
            return f"job {job.number}: values outside the grid"
        points = point_count(values)
        if points != job.trials:
            return f"job {job.number}: {job.trials} trials for {points} points of the grid"
    covered = sum(checksum(grid if job.values is None else job.values) for job in plan.jobs)
    return "" if covered == checksum(grid) else "the jobs miss or repeat points of the grid"


def _as_json(fields: dict[str, Any]) -> str:
    """Format a plan as JSON with one job per line."""
    jobs = fields.pop("jobs")
    head = json.dumps(fields, indent=1)[:-2]
    lines = ",\n  ".join(json.dumps(job) for job in jobs)
    return f'{head},\n "jobs": [\n  {lines}\n ]\n}}\n'
