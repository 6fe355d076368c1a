"""A campaign as asked for, and its plan: what is saved, checked and resumed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError, model_validator

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.request import (
    MAX_PARENTS,
    CategoricalRange,
    TuningRequest,
    parse_fields,
)
from hpoq.campaign.errors import InvalidPlan

NAME_PATTERN = r"^[a-z][a-z0-9-]{0,19}$"
NUMBER_DIGITS = 5

StrategyName = Literal["single", "independent", "warm-waves", "narrowing", "hyperband"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Limits(_Model):
    """What may run at once, and how large one tuning job may be."""

    tuning_jobs: Annotated[int, Field(ge=1, le=aws_limits.TUNING_JOBS)] = aws_limits.TUNING_JOBS
    parallel_training_jobs: Annotated[int, Field(ge=1, le=aws_limits.PARALLEL_TRAINING_JOBS)] = (
        aws_limits.DEFAULT_PARALLEL_TRAINING_JOBS
    )
    training_jobs: Annotated[int, Field(ge=1, le=aws_limits.TRAINING_JOBS)] = (
        aws_limits.TRAINING_JOBS
    )
    training_jobs_random: Annotated[int, Field(ge=1, le=aws_limits.TRAINING_JOBS_RANDOM)] = (
        aws_limits.TRAINING_JOBS_RANDOM
    )
    instances: Annotated[int, Field(ge=1)] | None = None  # of the campaign's type; None: unknown

    def of_one_job(self, strategy: str) -> int:
        """Training jobs that one tuning job may hold."""
        return self.training_jobs_random if strategy == "Random" else self.training_jobs


class Campaign(_Model):
    """What a data scientist asks for."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    trials: Annotated[int, Field(ge=1, le=10_000_000)]
    minutes_per_trial: Annotated[float, Field(gt=0)]
    spread: Annotated[float, Field(ge=0, le=3)] = 0.5  # sigma of the log of a trial's minutes
    request: dict[str, Any]  # as in the published schema; request_id and limits are the plan's
    instance_type: str = "ml.m5.large"
    instances_per_trial: Annotated[int, Field(ge=1)] = 1
    price_per_hour: Annotated[float, Field(ge=0)] | None = None  # USD an instance; None: unknown
    limits: Limits = Limits()
    deadline_hours: Annotated[float, Field(gt=0)] | None = None
    budget: Annotated[float, Field(gt=0)] | None = None  # USD
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @model_validator(mode="after")
    def _request_is_right(self) -> Campaign:
        try:
            _ = self.template_request
        except InvalidRequest as error:
            raise ValueError(f"request.{error}") from None
        return self

    @cached_property
    def template_request(self) -> TuningRequest:
        """The request that every tuning job varies."""
        reserved = {"request_id", "resource_limits", "after", "warm_start_from"} & set(self.request)
        if reserved:
            field = sorted(reserved)[0]
            raise InvalidRequest(field, "is the plan's to decide", "Leave it out")
        parsed = parse_fields(self.request, "campaign")
        if not isinstance(parsed, TuningRequest):
            raise InvalidRequest("action", "a campaign needs a tuning request", "Leave it out")
        if parsed.objective is None:  # jobs are compared with each other, so it must be known here
            fix = 'Give {"metric": ..., "type": "Maximize" or "Minimize"}'
            raise InvalidRequest("objective", "missing", fix)
        return parsed

    @property
    def search(self) -> str:
        """SageMaker's strategy within a tuning job."""
        return self.template_request.strategy or "Bayesian"

    @property
    def maximize(self) -> bool:
        """Whether a greater objective is better."""
        objective = self.template_request.objective
        return objective is not None and objective.type == "Maximize"

    @property
    def slots(self) -> int:
        """Trials that may run at once."""
        limits = self.limits
        by_jobs = limits.tuning_jobs * limits.parallel_training_jobs
        if limits.instances is None:
            return by_jobs
        return min(by_jobs, limits.instances // self.instances_per_trial)

    @property
    def grid(self) -> dict[str, tuple[Any, ...]] | None:
        """Values by name where everything is categorical."""
        ranges = self.template_request.hyperparameter_ranges
        found = {n: r.values for n, r in ranges.items() if isinstance(r, CategoricalRange)}
        return found if len(found) == len(ranges) else None


class PlannedJob(_Model):
    """One tuning job of a plan."""

    number: Annotated[int, Field(ge=1)]
    wave: Annotated[int, Field(ge=1)] = 1
    trials: Annotated[int, Field(ge=1)]
    parallel: Annotated[int, Field(ge=1)]
    explores: bool = True  # False: searches the narrowed ranges
    parents: Annotated[int, Field(ge=0, le=MAX_PARENTS)] = 0  # best jobs of the wave before
    values: dict[StrictStr, tuple[Any, ...]] | None = None  # its part of the grid


class Plan(_Model):
    """Tuning jobs whose trials add up to exactly what was asked for."""

    version: Literal[1] = 1
    campaign: Campaign
    strategy: StrategyName
    jobs: Annotated[tuple[PlannedJob, ...], Field(min_length=1)]
    generations: tuple[int, ...]  # number of jobs after planning, and after each extension

    @model_validator(mode="after")
    def _adds_up(self) -> Plan:
        problem = problem_with(self)
        if problem:
            raise ValueError(problem)
        return self

    @property
    def slots(self) -> int:
        """Trials that may run at once."""
        return self.campaign.slots

    @property
    def waves(self) -> int:
        """How many there are."""
        return self.jobs[-1].wave

    def wave(self, number: int) -> list[PlannedJob]:
        """The jobs of one wave."""
        return self._by_wave.get(number, [])

    @cached_property
    def _by_wave(self) -> dict[int, list[PlannedJob]]:
        found: dict[int, list[PlannedJob]] = {}
        for job in self.jobs:
            found.setdefault(job.wave, []).append(job)
        return found

    def request_id(self, job: PlannedJob) -> str:
        """The same for the same job, whoever asks and whenever: what makes a repeat harmless."""
        return f"{self.campaign.name}-{job.number:0{NUMBER_DIGITS}}"

    def digest(self, job: PlannedJob) -> str:
        """Tells the plan that a job belongs to; an extension leaves it as it was."""
        until = next(count for count in self.generations if job.number <= count)
        return self._digest_of(until)

    def _digest_of(self, jobs: int) -> str:
        if jobs not in self._digests:
            fields = self.model_dump(mode="json", include={"strategy": True, "jobs": True})
            fields["jobs"] = fields["jobs"][:jobs]
            asked = self.campaign.model_dump(mode="json", include={"name", "request", "seed"})
            text = json.dumps(fields | asked, sort_keys=True)
            self._digests[jobs] = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self._digests[jobs]

    @cached_property
    def _digests(self) -> dict[int, str]:
        return {}

    def save(self, path: Path) -> None:
        """Write JSON; replaces the file in one step."""
        fields = self.model_dump(mode="json", exclude_defaults=True)
        fields["jobs"] = [job.model_dump(mode="json", exclude_defaults=True) for job in self.jobs]
        written = path.with_name(path.name + ".new")
        written.write_text(_readable({"version": self.version, **fields}))
        written.replace(path)

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read and check a plan file.

        Raises:
            InvalidPlan: it cannot be read, or was edited into something that does not add up.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InvalidPlan(f"{path}: {error.strerror}. `hpoq campaign plan` makes one") from None
        except ValidationError as error:
            raise InvalidPlan(f"{path}: {explained(error)}. Mend it, or plan again") from None


def explained(error: ValidationError) -> str:
    """The first problem, with the place where it stands."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    return f"{place}: {text}" if place else text


def problem_with(plan: Plan) -> str:
    """What is wrong with a plan; empty if nothing is."""
    campaign, jobs = plan.campaign, plan.jobs
    total = sum(job.trials for job in jobs)
    generations = list(plan.generations)
    found = [
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
            "the waves are not in order, from 1",
        ),
    ]
    problems = [problem for wrong, problem in found if wrong]
    problems += filter(None, (_problem_with_job(job, campaign) for job in jobs))
    return problems[0] if problems else _problem_with_parents(plan) or _problem_with_grid(plan)


def _problem_with_job(job: PlannedJob, campaign: Campaign) -> str:
    most = campaign.limits.of_one_job(campaign.search)
    if job.trials > most:
        return f"job {job.number}: {job.trials} trials, {most} at most"
    parallel = min(campaign.limits.parallel_training_jobs, campaign.slots, job.trials)
    if job.parallel > parallel:
        return f"job {job.number}: {job.parallel} in parallel, {parallel} at most"
    return ""


def _problem_with_parents(plan: Plan) -> str:
    """Parents' training jobs count towards the child's limit, whichever five are the best."""
    most = plan.campaign.limits.of_one_job(plan.campaign.search)
    for number in range(1, plan.waves + 1):
        before = sorted(job.trials for job in plan.wave(number - 1))
        for job in plan.wave(number):
            inherited = sum(before[-job.parents :]) if job.parents else 0
            if job.parents > len(before):
                return f"job {job.number}: {job.parents} parents, but {len(before)} jobs before it"
            if job.trials + inherited > most:
                return f"job {job.number}: {job.trials} trials and {inherited} of parents, {most}"
    return ""


def _problem_with_grid(plan: Plan) -> str:
    """A grid is tried once, point by point."""
    campaign, grid = plan.campaign, plan.campaign.grid
    if campaign.search != "Grid":
        parts = [job.number for job in plan.jobs if job.values is not None]
        return f"job {parts[0]}: values, but the search is {campaign.search}" if parts else ""
    if grid is None:
        return "Grid searches categorical ranges only"
    for job in plan.jobs:
        values = grid if job.values is None else job.values
        inside = values.keys() == grid.keys() and all(set(values[n]) <= set(grid[n]) for n in grid)
        if not inside:
            return f"job {job.number}: values outside the grid"
        points = math.prod(len(each) for each in values.values())
        if points != job.trials:
            return f"job {job.number}: {job.trials} trials for {points} points of the grid"
    parts_mark = sum(_mark(grid if job.values is None else job.values) for job in plan.jobs)
    return "" if parts_mark == _mark(grid) else "the jobs miss points of the grid or repeat some"


def _mark(values: Mapping[str, Sequence[Any]]) -> int:
    """A number that adds up over parts of a grid only if they cover it without overlap.

    Each point counts as the product of its values' hashes, so that the sum over all points,
    millions perhaps, is the product of a few sums.
    """
    return math.prod(
        sum(_hash(f"{name}={value!r}") for value in each) for name, each in values.items()
    )


@cache
def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def _readable(fields: dict[str, Any]) -> str:
    """JSON with one job a line."""
    jobs = fields.pop("jobs")
    head = json.dumps(fields, indent=1)[:-2]
    lines = ",\n  ".join(json.dumps(job) for job in jobs)
    return f'{head},\n "jobs": [\n  {lines}\n ]\n}}\n'
