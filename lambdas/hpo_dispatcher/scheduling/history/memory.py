"""What the scheduler remembers for itself from one cycle to the next: a private document.

Clients must not read it; what they need is in the capacity document.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from hpo_dispatcher.contract.aws_limits import QuotaExceeded
from hpo_dispatcher.contract.documents.capacity import WaitKind
from hpo_dispatcher.contract.entry import Key, Moment
from hpo_dispatcher.contract.errors import UnreadableDocument
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.scheduling.backoff import Backoff, Delay, ReachedLimit
from hpo_dispatcher.scheduling.forecast.calibration import OUTSIDE
from hpo_dispatcher.scheduling.forecast.predictions import Prediction, Predictions
from hpo_dispatcher.scheduling.snapshot import ReservationTimer

MEMORY = "scheduler-memory"  # the name of the document


class _Timer(BaseModel):
    model_config = ConfigDict(extra="ignore")

    team: str
    request_id: str
    since: Moment
    passed_at: Moment | None = None
    reserved_at: Moment | None = None
    promised_at: Moment | None = None
    target: str | None = None  # None: home


class _StoredRefusals(BaseModel):
    model_config = ConfigDict(extra="ignore")

    kind: WaitKind
    since: Moment
    tries: int
    retry_at: Moment
    waited_seconds: float | None = None  # None in documents of the version before
    targets: tuple[str, ...] | None = None  # None: home

    @classmethod
    def of(cls, delay: Delay) -> Self:
        """Return what is stored of a delay, without its others."""
        return cls(
            kind=delay.kind,
            since=delay.since,
            tries=delay.tries,
            retry_at=delay.retry_at,
            waited_seconds=delay.waited.total_seconds(),
            targets=None if delay.targets == (HOME,) else delay.targets,
        )

    def delay(self, others: tuple[Delay, ...] = ()) -> Delay:
        """Return the delay."""
        seconds = self.waited_seconds
        return Delay(
            kind=self.kind,
            since=self.since,
            tries=self.tries,
            retry_at=self.retry_at,
            waited=self.retry_at - self.since if seconds is None else timedelta(seconds=seconds),
            others=others,
            targets=self.targets or (HOME,),
        )


class _StoredDelay(_StoredRefusals):
    team: str
    request_id: str
    others: list[_StoredRefusals] = []


class _StoredLimit(BaseModel):
    model_config = ConfigDict(extra="ignore")

    resource: str
    quota: str
    limit: int
    in_use: int
    requested: int
    tries: int
    retry_at: Moment
    users: list[str]
    counted: int


class _StoredPrediction(BaseModel):
    model_config = ConfigDict(extra="ignore")

    team: str
    request_id: str
    at: Moment
    draws: tuple[float, float, float]
    earliest: float
    latest: float

    @classmethod
    def of(cls, noted: Prediction) -> Self:
        """Return what is stored of a prediction, in whole seconds."""
        first, middle, last = map(round, noted.draws)
        return cls(
            team=noted.key[0],
            request_id=noted.key[1],
            at=noted.at,
            draws=(first, middle, last),
            earliest=round(noted.earliest),
            latest=round(noted.latest),
        )

    def prediction(self) -> Prediction:
        """Return the prediction."""
        return Prediction(
            key=(self.team, self.request_id),
            at=self.at,
            draws=self.draws,
            earliest=self.earliest,
            latest=self.latest,
        )


class _StoredPredictions(BaseModel):
    model_config = ConfigDict(extra="ignore")

    pending: list[_StoredPrediction] = []
    scores: list[float] = []
    days: dict[str, tuple[int, int]] = {}
    noted_at: Moment | None = None
    outside: float = OUTSIDE


class _Memory(BaseModel):
    model_config = ConfigDict(extra="ignore")

    reservation_timers: list[_Timer] = []
    delays: list[_StoredDelay] = []
    reached_limits: list[_StoredLimit] = []
    unannounced: list[Key] = []
    created: list[str] = []
    predictions: _StoredPredictions = _StoredPredictions()
    read_up_to: dict[str, str] = {}


class _CapacityOfVersionBefore(BaseModel):
    """The timers in a capacity document of the version before."""

    model_config = ConfigDict(extra="ignore")

    fronts: list[_Timer] = []


def memory_json(
    timers: Mapping[Key, ReservationTimer],
    backoff: Backoff | None = None,
    unannounced: Collection[Key] = (),
    created: Collection[str] = (),
    predictions: Predictions | None = None,
    *,
    read_up_to: Mapping[str, str] | None = None,
) -> str:
    """Return the document.

    Args:
        timers: the reservation timers.
        backoff: what is delayed.
        unannounced: requests whose tuning jobs may exist, without an event that says so.
        created: names of running tuning jobs that have existed.
        predictions: the expected starts that are compared with the real ones.
        read_up_to: the sort keys at which the next cycle reads on in long queues, by team.
    """
    backoff = backoff or Backoff()
    noted = predictions or Predictions()
    memory = _Memory(
        reservation_timers=[
            _Timer(
                team=team,
                request_id=request_id,
                since=timer.since,
                passed_at=timer.passed_at,
                reserved_at=timer.reserved_at,
                promised_at=timer.promised_at,
                target=None if timer.target == HOME else timer.target,
            )
            for (team, request_id), timer in timers.items()
        ],
        delays=[
            _StoredDelay(
                team=team,
                request_id=request_id,
                others=[_StoredRefusals.of(other) for other in delay.others],
                **_StoredRefusals.of(delay).model_dump(),
            )
            for (team, request_id), delay in sorted(backoff.requests.items())
        ],
        reached_limits=[
            _StoredLimit(
                resource=resource,
                quota=reached.quota.name,
                limit=reached.quota.limit,
                in_use=reached.quota.in_use,
                requested=reached.quota.requested,
                tries=reached.tries,
                retry_at=reached.retry_at,
                users=sorted(reached.users),
                counted=reached.counted,
            )
            for resource, reached in sorted(backoff.limits.items())
        ],
        unannounced=sorted(unannounced),
        created=sorted(created),
        predictions=_StoredPredictions(
            pending=[_StoredPrediction.of(each) for each in noted.pending],
            scores=noted.scores,
            days=noted.days,
            noted_at=noted.noted_at,
            outside=round(noted.outside, 5),
        ),
        read_up_to=dict(read_up_to or {}),
    )
    return memory.model_dump_json(exclude_none=True)


def check_memory(memory: str | None) -> None:
    """Check the document that only the dispatcher reads.

    Raises:
        UnreadableDocument: it is damaged, or another version of hpoq wrote it.
    """
    try:
        _Memory.model_validate_json(memory or "{}")
    except ValidationError as error:
        raise UnreadableDocument(MEMORY, error.errors()[0]["msg"]) from None


def timers_from(memory: str | None, capacity: str | None) -> dict[Key, ReservationTimer]:
    """Return the reservation timers.

    Args:
        memory: the document; None before the first cycle of this version.
        capacity: the capacity document; one written by the version before has the timers.
    """
    if memory is not None:
        stored = _Memory.model_validate_json(memory).reservation_timers
    else:
        stored = _CapacityOfVersionBefore.model_validate_json(capacity or "{}").fronts
    return {
        (each.team, each.request_id): ReservationTimer(
            since=each.since,
            passed_at=each.passed_at,
            reserved_at=each.reserved_at,
            promised_at=each.promised_at,
            target=each.target or HOME,
        )
        for each in stored
    }


def backoff_from(memory: str | None) -> Backoff:
    """Return what is delayed."""
    stored = _Memory.model_validate_json(memory or "{}")
    return Backoff(
        requests={
            (each.team, each.request_id): each.delay(tuple(other.delay() for other in each.others))
            for each in stored.delays
        },
        limits={
            each.resource: ReachedLimit(
                quota=QuotaExceeded(
                    name=each.quota,
                    limit=each.limit,
                    in_use=each.in_use,
                    requested=each.requested,
                ),
                tries=each.tries,
                retry_at=each.retry_at,
                users=frozenset(each.users),
                counted=each.counted,
            )
            for each in stored.reached_limits
        },
    )


def unannounced_from(memory: str | None) -> frozenset[Key]:
    """Return the requests whose tuning jobs may exist, without an event that says so."""
    return frozenset(_Memory.model_validate_json(memory or "{}").unannounced)


def created_from(memory: str | None) -> frozenset[str]:
    """Return the names of running tuning jobs that have existed."""
    return frozenset(_Memory.model_validate_json(memory or "{}").created)


def predictions_from(memory: str | None) -> Predictions:
    """Return the expected starts that are compared with the real ones."""
    stored = _Memory.model_validate_json(memory or "{}").predictions
    return Predictions(
        pending=[each.prediction() for each in stored.pending],
        scores=stored.scores,
        days=stored.days,
        noted_at=stored.noted_at,
        outside=stored.outside,
    )


def read_up_to_from(memory: str | None) -> Mapping[str, str]:
    """Return the sort keys at which a cycle reads on in long queues, by team."""
    return _Memory.model_validate_json(memory or "{}").read_up_to
