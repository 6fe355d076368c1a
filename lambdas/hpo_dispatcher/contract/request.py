"""The request for a tuning job, and the limits that it must keep on its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.names import OWN_TAG_PREFIX, OWN_TAGS
from hpo_dispatcher.contract.validation.problems import wrong
from hpo_dispatcher.contract.validation.values import TargetName

MAX_TAGS = aws_limits.TAGS - len(OWN_TAGS)
MAX_PARENTS = aws_limits.WARM_START_PARENTS
MAX_DEPENDENCIES = 100
MAX_TARGETS = 100
REQUEST_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

# The field of the API form with its name, which becomes the request id.
API_NAME = "HyperParameterTuningJobName"

RequestId = Annotated[str, Field(pattern=REQUEST_ID_PATTERN)]
Scalar = StrictBool | StrictInt | StrictFloat | StrictStr
Scaling = Literal["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"]
Strategy = Literal["Bayesian", "Random", "Hyperband", "Grid"]


class MessageModel(BaseModel):
    """A model that rejects unknown fields, because a typo must not silently change a search."""

    # Pydantic's own messages must not quote values, which may be secret (redaction.py).
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class ContinuousRange(MessageModel):
    """A real-valued hyperparameter that is searched between ``min`` and ``max``."""

    type: Literal["continuous"]
    min: StrictFloat | StrictInt
    max: StrictFloat | StrictInt
    scaling: Scaling = "Auto"

    @model_validator(mode="after")
    def _ordered(self) -> ContinuousRange:
        _check_bounds(self.min, self.max, self.scaling)
        if self.scaling == "ReverseLogarithmic" and (self.min < 0 or self.max >= 1):
            wrong(
                f"ReverseLogarithmic scaling from {self.min} to {self.max}",
                "It requires 0 <= min and max < 1; use Auto, Linear or Logarithmic",
            )
        return self


class IntegerRange(MessageModel):
    """An integer hyperparameter that is searched from ``min`` to ``max``, both included."""

    type: Literal["integer"]
    min: StrictInt
    max: StrictInt
    scaling: Scaling = "Auto"

    @model_validator(mode="after")
    def _ordered(self) -> IntegerRange:
        _check_bounds(self.min, self.max, self.scaling)
        if self.scaling == "ReverseLogarithmic":
            wrong(
                "ReverseLogarithmic scaling of an integer range",
                "SageMaker supports it for continuous ranges only; use Auto, Linear or Logarithmic",
            )
        return self


class CategoricalRange(MessageModel):
    """A hyperparameter that takes one of the listed values."""

    type: Literal["categorical"]
    values: Annotated[
        tuple[Scalar, ...], Field(min_length=1, max_length=aws_limits.CATEGORICAL_VALUES)
    ]

    @model_validator(mode="after")
    def _distinct(self) -> CategoricalRange:
        written = [wire_value(value) for value in self.values]
        if len(set(written)) < len(written):
            twice = sorted({value for value in written if written.count(value) > 1})
            wrong(f"{twice[0]!r} is listed twice", "List each value once")
        return self


def _check_bounds(low: float, high: float, scaling: Scaling) -> None:
    if low > high:
        wrong(f"min {low} is above max {high}", "Swap them")
    if low == high:
        wrong(f"min and max are both {low}", "Give a fixed value under hyperparameters instead")
    if scaling == "Logarithmic" and low <= 0:
        wrong(f"Logarithmic scaling from {low}", "It requires min above 0; use Auto or Linear")


Range = Annotated[ContinuousRange | IntegerRange | CategoricalRange, Field(discriminator="type")]


class Objective(MessageModel):
    """The metric that a tuning job optimizes, by its name in the metric definitions."""

    metric: Annotated[str, Field(min_length=1, max_length=255)]
    type: Literal["Maximize", "Minimize"]


class ResourceLimits(MessageModel):
    """The limits of one tuning job; SageMaker's ResourceLimits."""

    max_training_jobs: (
        Annotated[StrictInt, Field(ge=1, le=aws_limits.TRAINING_JOBS_RANDOM)] | None
    ) = None
    max_parallel_training_jobs: (
        Annotated[StrictInt, Field(ge=1, le=aws_limits.PARALLEL_TRAINING_JOBS)] | None
    ) = None
    max_runtime_in_seconds: (
        Annotated[
            StrictInt, Field(ge=aws_limits.MIN_RUNTIME_SECONDS, le=aws_limits.MAX_RUNTIME_SECONDS)
        ]
        | None
    ) = None


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class TuningRequest(MessageModel):
    """A request for a tuning job, in one of two forms.

    The short form requires ``hyperparameter_ranges`` and takes the rest from a template. The API
    form has ``api_request``, a CreateHyperParameterTuningJob request. Both have the fields for
    queueing: ``request_id``, ``priority``, ``after``, ``warm_start_from``, ``targets`` and
    ``tags``.
    """

    version: Literal[1] = 1
    request_id: RequestId
    template: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    hyperparameters: Annotated[
        dict[str, Scalar], Field(max_length=aws_limits.STATIC_HYPERPARAMETERS)
    ] = {}
    hyperparameter_ranges: Annotated[
        dict[str, Range], Field(min_length=1, max_length=aws_limits.SEARCHED_HYPERPARAMETERS)
    ] = {}
    objective: Objective | None = None
    strategy: Strategy | None = None
    resource_limits: ResourceLimits = ResourceLimits()
    priority: Annotated[StrictInt, Field(ge=-1000, le=1000)] = 0
    # How long the tuning job will probably run, so that it can use capacity reserved for others.
    expected_minutes: (
        Annotated[float, Field(gt=0, le=aws_limits.MAX_RUNTIME_SECONDS // 60)] | None
    ) = None
    after: Annotated[tuple[RequestId, ...], Field(max_length=MAX_DEPENDENCIES)] = ()
    warm_start_from: Annotated[tuple[RequestId, ...], Field(max_length=MAX_PARENTS)] = ()
    # The targets on which it may run. Not set: those of its team, by default home.
    targets: Annotated[tuple[TargetName, ...], Field(max_length=MAX_TARGETS)] = ()
    tags: Annotated[dict[str, str], Field(max_length=MAX_TAGS)] = {}
    overrides: dict[str, Any] = {}
    api_request: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> TuningRequest:
        self._check_form()
        _check_names(self.hyperparameters, self.hyperparameter_ranges)
        for field in ("after", "warm_start_from"):
            if self.request_id in getattr(self, field):
                wrong(
                    f"{field} names the request itself ({self.request_id})",
                    "Name other requests",
                    field=field,
                )
        ours = sorted(key for key in self.tags if key.startswith(OWN_TAG_PREFIX))
        if ours:
            wrong(
                f"tag {ours[0]!r} is reserved",
                "Tags that start with hpoq: are set by hpoq",
                field="tags",
            )
        return self

    def _check_form(self) -> None:
        if self.api_request is None:
            if not self.hyperparameter_ranges:
                wrong("missing", "Add it, or send an api_request", field="hyperparameter_ranges")
            return
        both = [name for name in SHORT_FORM if name in self.model_fields_set]
        if both:
            fix = "Remove it, and set the field of the API in api_request"
            wrong("cannot be combined with api_request", fix, field=both[0])

    @property
    def minimizes(self) -> bool:
        """Whether lower values of the objective are better, as far as the request itself says."""
        if self.api_request is None:
            return self.objective is not None and self.objective.type == "Minimize"
        config = self.api_request.get("HyperParameterTuningJobConfig", {})
        return bool(config.get("HyperParameterTuningJobObjective", {}).get("Type") == "Minimize")

    def to_json(self) -> str:
        """Return canonical JSON: sorted keys, no defaults; equal requests give equal text."""
        return _CANONICAL.encode(self.model_dump(mode="json", exclude_defaults=True))

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON, which distinguishes requests of one id."""
        return digest(self.to_json())


# The fields of the short form, for which the API form has fields of the API.
SHORT_FORM = (
    "template",
    "hyperparameters",
    "hyperparameter_ranges",
    "objective",
    "strategy",
    "resource_limits",
    "overrides",
)


def digest(canonical: str) -> str:
    """Return the digest of a request that is already canonical JSON."""
    return hashlib.sha256(canonical.encode()).hexdigest()


def _check_names(static: Mapping[str, object], ranges: Mapping[str, object]) -> None:
    for name in (*static, *ranges):
        if not 0 < len(name) <= aws_limits.HYPERPARAMETER_NAME_LENGTH:
            fix = f"Use 1 to {aws_limits.HYPERPARAMETER_NAME_LENGTH}"
            wrong(f"a hyperparameter name of {len(name)} characters", fix)
        if name.startswith("_"):
            wrong(f"{name!r} is reserved by SageMaker", "Use a name without a leading underscore")
    both = sorted(set(static) & set(ranges))
    if both:
        wrong(
            f"{both[0]!r} is both in hyperparameters and in hyperparameter_ranges",
            "Keep it in only one of them",
            field=f"hyperparameters.{both[0]}",
        )


def wire_value(value: Scalar) -> str:
    """Return a hyperparameter as the string that the API expects; booleans as in JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)
