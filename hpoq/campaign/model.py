"""A campaign as a data scientist asks for it."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.message import parse_fields
from hpo_dispatcher.contract.request import CategoricalRange, Range, Scalar, TuningRequest
from hpoq.campaign.api_form import runs_script, search_of
from hpoq.campaign.ranges import problem_with_setting

NAME_MAX_LENGTH = 20
NAME_PATTERN = rf"^[a-z][a-z0-9-]{{0,{NAME_MAX_LENGTH - 1}}}$"
# What every trial has without printing it: minutes of training, and USD.
MEASURED = ("minutes", "cost")
Direction = Literal["Maximize", "Minimize"]
MetricName = Annotated[str, Field(min_length=1, max_length=255)]


class CampaignModel(BaseModel):
    """The base of everything that a plan file holds: immutable, without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class AccountLimits(CampaignModel):
    """The limits on what runs at once and on the size of one tuning job."""

    tuning_jobs: Annotated[int, Field(ge=1)] = aws_limits.TUNING_JOBS  # of all targets
    # The accounts and Regions that run them. Each tuning job and its warm start are on one of them.
    targets: Annotated[int, Field(ge=1, exclude_if=lambda targets: targets == 1)] = 1
    parallel_training_jobs: Annotated[int, Field(ge=1, le=aws_limits.PARALLEL_TRAINING_JOBS)] = (
        aws_limits.DEFAULT_PARALLEL_TRAINING_JOBS
    )
    training_jobs: Annotated[int, Field(ge=1, le=aws_limits.TRAINING_JOBS)] = (
        aws_limits.TRAINING_JOBS
    )
    training_jobs_random: Annotated[int, Field(ge=1, le=aws_limits.TRAINING_JOBS_RANDOM)] = (
        aws_limits.DEFAULT_TRAINING_JOBS_RANDOM
    )
    instances: Annotated[int, Field(ge=1)] | None = None  # of the campaign's type; None: unknown

    @model_validator(mode="after")
    def _check_tuning_jobs(self) -> AccountLimits:
        most = aws_limits.TUNING_JOBS * self.targets
        if self.tuning_jobs > most:
            raise ValueError(f"tuning_jobs: {self.tuning_jobs} is more than {most}")
        return self

    def max_trials(self, search: str) -> int:
        """Return the number of training jobs that one tuning job may hold."""
        return self.training_jobs_random if search == "Random" else self.training_jobs


class Repeats(CampaignModel):
    """The seeds with which the best settings are trained again after the search."""

    hyperparameter: Annotated[str, Field(min_length=1)]
    seeds: Annotated[tuple[int, ...], Field(min_length=2, max_length=aws_limits.CATEGORICAL_VALUES)]
    settings: Annotated[int, Field(ge=1, le=1_000)] = 5  # how many of the best

    @model_validator(mode="after")
    def _check_seeds(self) -> Repeats:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed is listed twice. List each once")
        return self

    @property
    def trials(self) -> int:
        """The number of trials."""
        return self.settings * len(self.seeds)

    @property
    def as_range(self) -> CategoricalRange:
        """The seeds as a range."""
        return CategoricalRange(type="categorical", values=self.seeds)


class Campaign(CampaignModel):
    """One search over many tuning jobs, with its limits and goals."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    trials: Annotated[int, Field(ge=1, le=10_000_000)]  # points and repeats included
    minutes_per_trial: Annotated[float, Field(gt=0)]
    spread: Annotated[float, Field(ge=0, le=3)] = 0.5  # sigma of the log of a trial's minutes
    request: dict[str, Any]  # as in the published schema, without the fields that the plan sets
    points: tuple[dict[str, Scalar], ...] = ()  # settings to train first
    repeats: Repeats | None = None
    instance_type: str = "ml.m5.large"
    instances_per_trial: Annotated[int, Field(ge=1)] = 1
    trials_per_instance: Annotated[int, Field(ge=1)] = 1  # that Ray runs at once
    runs_script: bool = True  # as SageMaker's own algorithms do not
    # Of the script, which Ray calls for each trial in processes that keep imports and data; empty:
    # Ray starts the script for each trial.
    function: Annotated[str, Field(pattern=r"^([A-Za-z_]\w*)?$")] = ""
    # How often a script prints its objective; Ray stops poor trials between them.
    reports_per_trial: Annotated[int, Field(ge=1)] = 1
    startup_minutes: Annotated[float, Field(ge=0)] = 0.0  # of the first trial on an instance
    # Of the later ones; None: not measured, a twentieth, AWS's best case.
    reused_startup_minutes: Annotated[float, Field(ge=0)] | None = None
    price_per_hour: Annotated[float, Field(ge=0)] | None = None  # USD per instance; None: unknown
    limits: AccountLimits = AccountLimits()
    deadline_hours: Annotated[float, Field(gt=0)] | None = None
    budget: Annotated[float, Field(gt=0)] | None = None  # USD
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    # Besides the objective: names in the metric definitions, or of MEASURED.
    further_metrics: dict[MetricName, Direction] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_request(self) -> Campaign:
        try:
            _ = self.template_request
        except InvalidRequest as error:
            raise ValueError(f"request.{error}") from None
        if self.metric in self.further_metrics:
            raise ValueError(f"further_metrics: {self.metric} is the objective. Leave it out")
        if problem := self._problem_with_given_settings():
            raise ValueError(problem)
        return self

    def _problem_with_given_settings(self) -> str:
        """Return what is wrong with points and repeats; empty if nothing is."""
        if not self.points and self.repeats is None:
            return ""
        if self.search == "Grid":
            return "points and repeats: a Grid trains all its settings. List the seeds as a range"
        ranges = self.template_request.hyperparameter_ranges
        if self.repeats is not None and self.repeats.hyperparameter in ranges:
            name = self.repeats.hyperparameter
            return f"repeats: {name} is searched. Remove it from the ranges"
        given = len(self.points) + self.repeated
        if given >= self.trials:
            return f"trials: {self.trials}, but {given} are points and repeats. Ask for more"
        problems = (problem_with_setting(ranges, point) for point in self.points)
        found = [f"points: number {n}: {each}" for n, each in enumerate(problems, 1) if each]
        return found[0] if found else ""

    @property
    def repeated(self) -> int:
        """The number of trials that repeat the best settings."""
        return self.repeats.trials if self.repeats else 0

    @cached_property
    def ranges(self) -> dict[str, Range]:
        """What the results of a trial may name: the searched ranges and the seeds."""
        seeds = {self.repeats.hyperparameter: self.repeats.as_range} if self.repeats else {}
        return {**self.template_request.hyperparameter_ranges, **seeds}

    @property
    def logged_metrics(self) -> list[str]:
        """The further metrics that training jobs print."""
        return [name for name in self.further_metrics if name not in MEASURED]

    @cached_property
    def template_request(self) -> TuningRequest:
        """The parsed request that every tuning job varies; of the API form, only its search."""
        reserved = {"request_id", "resource_limits", "after", "warm_start_from"} & set(self.request)
        if reserved:
            field = sorted(reserved)[0]
            raise InvalidRequest(field, "set by the plan", "Remove it")
        parsed = parse_fields(self.request, "campaign")
        if not isinstance(parsed, TuningRequest):
            raise InvalidRequest("action", "a campaign needs a tuning request", "Remove it")
        if parsed.api_request is not None:
            parsed = search_of(parsed.api_request)
        if parsed.objective is None:  # trials are compared across jobs, so templates are too late
            fix = 'Give {"metric": ..., "type": "Maximize" or "Minimize"}'
            raise InvalidRequest("objective", "missing", fix)
        return parsed

    @property
    def suits_ray(self) -> bool:
        """Whether there is a script that Ray can start, as far as the request says."""
        api_request = self.request.get("api_request")
        return self.runs_script and (api_request is None or runs_script(api_request))

    @property
    def search(self) -> str:
        """SageMaker's strategy within a tuning job."""
        return self.template_request.strategy or "Bayesian"

    @property
    def max_trials_per_job(self) -> int:
        """The number of training jobs that one of its tuning jobs may hold."""
        return self.limits.max_trials(self.search)

    @property
    def metric(self) -> str:
        """The name of the objective metric."""
        objective = self.template_request.objective
        return objective.metric if objective else "objective"

    @property
    def maximize(self) -> bool:
        """Whether a greater objective is better."""
        objective = self.template_request.objective
        return objective is not None and objective.type == "Maximize"

    @property
    def slots(self) -> int:
        """The number of trials that may run at once."""
        limits = self.limits
        by_jobs = limits.tuning_jobs * limits.parallel_training_jobs
        if limits.instances is None:
            return by_jobs
        return min(by_jobs, limits.instances // self.instances_per_trial)

    @property
    def grid(self) -> dict[str, tuple[Any, ...]] | None:
        """The values by hyperparameter; None unless every range is categorical."""
        ranges = self.template_request.hyperparameter_ranges
        found = {n: r.values for n, r in ranges.items() if isinstance(r, CategoricalRange)}
        return found if len(found) == len(ranges) else None


def first_problem(error: ValidationError) -> str:
    """Return the first problem, with the name of its field."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    return f"{place}: {text}" if place else text
