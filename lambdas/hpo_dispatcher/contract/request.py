"""The messages that a team may send, and the error for each message that cannot be read.

The published JSON Schema comes from the same models (``json_schema``), so a client in any language
can validate a message before sending it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NoReturn

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.names import OWN_TAG_PREFIX, OWN_TAGS
from hpo_dispatcher.contract.validation import first_problem, wrong

VERSION = 1  # of a message; the Literal of every model
# A ledger item holds at most 400 KB, and the request is only one of its attributes.
MAX_BODY_BYTES = 256 * 1024
MAX_TAGS = aws_limits.TAGS - len(OWN_TAGS)
MAX_PARENTS = aws_limits.WARM_START_PARENTS
MAX_DEPENDENCIES = 100

REQUEST_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

RequestId = Annotated[str, Field(pattern=REQUEST_ID_PATTERN)]
Scalar = StrictBool | StrictInt | StrictFloat | StrictStr
Scaling = Literal["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"]
Strategy = Literal["Bayesian", "Random", "Hyperband", "Grid"]


class _Model(BaseModel):
    """A model that rejects unknown fields, because a typo must not silently change a search."""

    # Pydantic's own messages must not quote values, which may be secret (redaction.py).
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class ContinuousRange(_Model):
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


class IntegerRange(_Model):
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


class CategoricalRange(_Model):
    """A hyperparameter that takes one of the listed values."""

    type: Literal["categorical"]
    values: Annotated[
        tuple[Scalar, ...], Field(min_length=1, max_length=aws_limits.CATEGORICAL_VALUES)
    ]

    @model_validator(mode="after")
    def _distinct(self) -> CategoricalRange:
        written = [wire_value(value) for value in self.values]
        twice = sorted({value for value in written if written.count(value) > 1})
        if twice:
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


class Objective(_Model):
    """The metric that a tuning job optimizes, by its name in the metric definitions."""

    metric: Annotated[str, Field(min_length=1, max_length=255)]
    type: Literal["Maximize", "Minimize"]


class ResourceLimits(_Model):
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


class TuningRequest(_Model):
    """A request for a tuning job. Only ``hyperparameter_ranges`` is required."""

    version: Literal[1] = 1
    request_id: RequestId
    template: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    hyperparameters: Annotated[
        dict[str, Scalar], Field(max_length=aws_limits.STATIC_HYPERPARAMETERS)
    ] = {}
    hyperparameter_ranges: Annotated[
        dict[str, Range], Field(min_length=1, max_length=aws_limits.SEARCHED_HYPERPARAMETERS)
    ]
    objective: Objective | None = None
    strategy: Strategy | None = None
    resource_limits: ResourceLimits = ResourceLimits()
    priority: Annotated[StrictInt, Field(ge=-1000, le=1000)] = 0
    after: Annotated[tuple[RequestId, ...], Field(max_length=MAX_DEPENDENCIES)] = ()
    warm_start_from: Annotated[tuple[RequestId, ...], Field(max_length=MAX_PARENTS)] = ()
    tags: Annotated[dict[str, str], Field(max_length=MAX_TAGS)] = {}
    overrides: dict[str, Any] = {}

    @model_validator(mode="after")
    def _consistent(self) -> TuningRequest:
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

    def to_json(self) -> str:
        """Return canonical JSON: sorted keys, no defaults; equal requests give equal text."""
        value = self.model_dump(mode="json", exclude_defaults=True)
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON, which distinguishes requests of one id."""
        return digest(self.to_json())


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


class Cancel(_Model):
    """An action that cancels a queued request or stops a running one; may precede its request."""

    version: Literal[1] = 1
    action: Literal["cancel"]
    request_id: RequestId


class SetPriority(_Model):
    """An action that moves a queued request within its team's queue."""

    version: Literal[1] = 1
    action: Literal["priority"]
    request_id: RequestId
    priority: Annotated[StrictInt, Field(ge=-1000, le=1000)]


class Hold(_Model):
    """An action that puts a request on hold, or its whole team if no request id is given."""

    version: Literal[1] = 1
    action: Literal["hold"]
    request_id: RequestId | None = None


class Release(_Model):
    """An action that releases a request, or its whole team, from a hold."""

    version: Literal[1] = 1
    action: Literal["release"]
    request_id: RequestId | None = None


Action = Cancel | SetPriority | Hold | Release
Message = TuningRequest | Action

_FIELDS = frozenset(
    field
    for model in (TuningRequest, ResourceLimits, Objective, IntegerRange, CategoricalRange)
    for field in model.model_fields
)
_ACTIONS: dict[str, type[Action]] = {
    "cancel": Cancel,
    "priority": SetPriority,
    "hold": Hold,
    "release": Release,
}


def parse_message(body: str, message_id: str) -> Message:
    """Parse the body of an SQS message.

    Args:
        body: the message as sent, JSON of at most 256 KB.
        message_id: the SQS message id, used as request id if the message has none.

    Raises:
        InvalidRequest: naming the first wrong field, the problem and the fix.
    """
    return parse_fields(parse_body(body), message_id)


def parse_body(body: str) -> dict[str, Any]:
    """Parse the body of an SQS message as a JSON object; raise ``InvalidRequest`` if it is not."""
    size = len(body.encode(errors="surrogatepass"))
    if size > MAX_BODY_BYTES:
        raise InvalidRequest(
            "body",
            f"{size // 1024} KB exceeds the limit of {MAX_BODY_BYTES // 1024} KB",
            "Store large content in S3 and reference it",
        )
    return _read_json(body)


def parse_fields(fields: Mapping[str, Any], message_id: str) -> Message:
    """Parse a message that is already a mapping; see ``parse_message``."""
    _check_version(fields.get("version"))
    if "action" in fields:
        return _parse_action(fields)
    try:
        return TuningRequest.model_validate({"request_id": message_id, **fields})
    except ValidationError as error:
        raise first_problem(error, fields, known_fields=_FIELDS) from None


def _check_version(version: object) -> None:
    """Reject a later version before its fields, which may differ, are checked."""
    if isinstance(version, int) and version > VERSION:
        problem = f"{version} is not supported by this deployment, which supports {VERSION}"
        raise InvalidRequest("version", problem, "Upgrade hpoq, then redrive the message")


def request_id_of(fields: Mapping[str, Any], message_id: str) -> str:
    """Return the request id of a message, or its message id if it has no valid request id."""
    try:
        return TypeAdapter(RequestId).validate_python(fields.get("request_id"))
    except ValidationError:
        return message_id


def request_id_in(body: str, message_id: str) -> str:
    """Return the request id of a message body, or its message id if it cannot be parsed."""
    try:
        return request_id_of(parse_body(body), message_id)
    except InvalidRequest:
        return message_id


def wire_value(value: Scalar) -> str:
    """Return a hyperparameter as the string that the API expects; booleans as in JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of all messages that a request queue accepts."""
    schema = TypeAdapter(Message).json_schema()
    required = schema["$defs"]["TuningRequest"]["required"]
    required.remove("request_id")  # the SQS message id is used instead
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "hpoq message, version 1",
        **schema,
    }


def _read_json(body: str) -> dict[str, Any]:
    def refuse_constant(name: str) -> NoReturn:
        raise InvalidRequest("body", f"{name} is not valid JSON", "Use a finite number")

    def refuse_twice(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            twice = next(name for name, count in counts.items() if count > 1)
            raise InvalidRequest(twice, "the field appears twice", "Remove one of them")
        return fields

    try:
        value = json.loads(body, parse_constant=refuse_constant, object_pairs_hook=refuse_twice)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("body", f"not valid JSON ({error})", "Send one JSON object") from None
    _check_characters(value)
    if not isinstance(value, dict):
        raise InvalidRequest("body", "not a JSON object", 'Send {"hyperparameter_ranges": ...}')
    return value


def _check_characters(value: object) -> None:
    """Reject unpaired surrogates, which neither DynamoDB nor SageMaker can store."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        problem = f"{half} is an unpaired surrogate"
        raise InvalidRequest(
            "body", problem, "Send both surrogates of the pair, or UTF-8"
        ) from None


def _parse_action(fields: Mapping[str, Any]) -> Action:
    action = fields["action"]
    model = _ACTIONS.get(action) if isinstance(action, str) else None
    if model is None:
        known = ", ".join(_ACTIONS)
        raise InvalidRequest("action", f"unknown action {action!r}", f"Use one of {known}")
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise first_problem(error, fields, known_fields=_FIELDS) from None
