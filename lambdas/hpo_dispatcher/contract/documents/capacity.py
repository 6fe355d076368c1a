"""The ``capacity`` document: the state of the account that every team may read.

The dispatcher writes it at the end of each cycle. Clients derive queue positions and start times
from it on request (``scheduling.forecast``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hpo_dispatcher.contract.entry import Key, Moment
from hpo_dispatcher.contract.errors import UnreadableDocument
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpo_dispatcher.contract.targets.resources import HOME, on_target

OTHERS = "(others)"  # the users of capacity that this deployment did not start


class WaitKind(StrEnum):
    """The kinds of reasons to wait; a metric counts each (docs/admission.md)."""

    NEXT_IN_QUEUE = "next in queue"
    TUNING_JOBS = "tuning jobs"  # no free slot
    INSTANCES = "instances"  # too few free instances
    TEAM_CEILING = "team ceiling"
    TEAM_BUDGET = "team budget"
    NEVER_FITS = "never fits"  # more than the team may ever use
    ACCOUNT_FAULT = "account fault"  # SageMaker refused it because of a role, a key or a bucket
    ACCOUNT_QUOTA = "account quota"  # SageMaker refused it for a quota that is not known here
    TUNING_JOB_NAME = "tuning job name"  # a tuning job without tags has the name
    DATA = "data"  # on its target, its data is not yet what it is at home
    TARGET = "target"  # no target on which it may run answers
    ON_HOLD = "on hold"
    OTHER_REQUESTS = "other requests"  # they have not ended
    UNKNOWN = "unknown"  # not examined yet, or examined by a version without kinds

    @property
    def starts_by_itself(self) -> bool:
        """Whether the end of running jobs is enough for the request to start."""
        return self not in (
            WaitKind.NEVER_FITS,
            WaitKind.TEAM_BUDGET,
            WaitKind.ACCOUNT_FAULT,
            WaitKind.ACCOUNT_QUOTA,
            WaitKind.DATA,
            WaitKind.TARGET,
        )


@dataclass(frozen=True, kw_only=True)
class WaitReason:
    """The reason why a request does not start yet."""

    kind: WaitKind  # compared by code, counted by metrics
    text: str  # shown to people


class _DocumentPart(BaseModel):
    """A part of the document; members that this version does not know are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ResourceUse(_DocumentPart):
    """The use of one resource."""

    limit: int | None  # None: no limit is known
    in_use: int = 0
    by_team: dict[str, int] = {}


def _unless(default: object) -> Any:
    """Return a field that the document leaves out if it is as without targets."""
    return Field(default=default, exclude_if=lambda value: value == default)


class TargetUse(_DocumentPart):
    """The use of a target besides home."""

    tuning_jobs: ResourceUse
    instances: dict[str, ResourceUse] = {}
    quotas: dict[str, int] = {}  # as for home, but only of what recent requests need
    preference: float = 1.0
    may_use: tuple[str, ...] = ()  # teams; empty: all
    problem: str = ""  # why nothing starts there

    @property
    def resources(self) -> dict[str, ResourceUse]:
        """The use of tuning-job slots and of each instance type, by name."""
        return {"tuning jobs": self.tuning_jobs, **self.instances}


class WaitingRequest(_DocumentPart):
    """A request near the head of its team's queue."""

    team: str
    request_id: str
    position: int  # in its team's queue, from 1
    reason: str  # for people
    reason_kind: WaitKind = WaitKind.UNKNOWN
    priority: int = 0
    accepted_at: Moment
    instances: dict[str, int] = {}
    template: str = ""
    rounds: int = 1
    first_since: Moment | None = None  # first in its queue since then
    passed_at: Moment | None = None  # when another request first started out of turn
    reserved_at: Moment | None = None  # since when it has had a reservation
    promised_at: Moment | None = None  # when its reservation was first expected to be met
    expected_seconds: float = 0  # of its whole run, as it says; 0: it does not say
    most_seconds: float = 0  # its maximum run time, which SageMaker enforces; 0: unknown
    targets: tuple[str, ...] = _unless((HOME,))  # on which it may run

    @property
    def key(self) -> Key:
        """Team and request id."""
        return self.team, self.request_id

    @property
    def wait_reason(self) -> WaitReason:
        """The reason with its kind."""
        return WaitReason(kind=self.reason_kind, text=self.reason)


class QueueLength(_DocumentPart):
    """The length of a team's queue, and how many requests are in which part of it."""

    queued: int = 0
    complete: bool = False  # False: there may be more requests than were ever counted
    marks: tuple[tuple[str, int], ...] = ()  # (sort key of the part's first request, count)


class RunningTuningJob(_DocumentPart):
    """A tuning job that uses capacity."""

    team: str | None  # None: not started by this deployment
    instances: dict[str, int] = {}
    started_at: Moment | None = None
    template: str = ""
    rounds: int = 1
    expected_seconds: float = 0  # of its whole run, as its request says; 0: it does not say
    most_seconds: float = 0  # its maximum run time, which SageMaker enforces; 0: unknown
    target: str = _unless(HOME)


class RecentArrival(_DocumentPart):
    """A request that has arrived lately."""

    team: str
    at: Moment
    instances: dict[str, int] = {}
    template: str = ""
    rounds: int = 1
    priority: int = 0
    expected_seconds: float = 0  # of its whole run, as it says; 0: it does not say
    most_seconds: float = 0  # its maximum run time, which SageMaker enforces; 0: unknown
    targets: tuple[str, ...] = _unless((HOME,))  # on which it may run


class MeasuredEstimates(_DocumentPart):
    """How well expected starts have held lately."""

    starts: int = 0  # of the last 14 days that an estimate was compared with
    within: int = 0  # those of them that were within the stated range
    # The distances from the median of the first tenth, the half and nine tenths of the starts,
    # relative to the spread of the estimate; None: too few were compared.
    scores: tuple[float, float, float] | None = None


class RunTimeSamples(_DocumentPart):
    """Recent run times of a team's tuning jobs of one template, the newest last."""

    team: str
    template: str
    seconds_per_round: tuple[float, ...]
    # The maximum run times of the same tuning jobs, in seconds per round; 0 or missing: unknown.
    most_per_round: tuple[int, ...] = ()
    of_stated: tuple[float, ...] = ()  # run times relative to those that requests stated


class BudgetUse(_DocumentPart):
    """A team's budget of one month, in instance-hours."""

    month: str  # 2026-01
    instance_hours: float
    spent: float
    set_aside: float

    @property
    def left(self) -> float:
        """The instance-hours that may still be set aside; negative if the budget was lowered."""
        return self.instance_hours - self.spent - self.set_aside


class CapacityDocument(_DocumentPart):
    """The capacity in use, the waiting requests with their reasons, and the queue lengths."""

    at: Moment  # the end of the cycle
    tuning_jobs: ResourceUse
    instances: dict[str, ResourceUse] = {}
    quotas: dict[str, int] = {}  # instance type and purchase option, or total -> limit
    waiting: tuple[WaitingRequest, ...] = ()
    queues: dict[str, QueueLength] = {}
    teams_on_hold: tuple[str, ...] = ()
    running: tuple[RunningTuningJob, ...] = ()
    run_times: tuple[RunTimeSamples, ...] = ()
    arrivals: tuple[RecentArrival, ...] = ()  # the newest, oldest first
    estimates: MeasuredEstimates | None = None  # None: no cycle has compared any
    budgets: dict[str, BudgetUse] = {}
    usage: dict[str, float] = {}  # by team, in hours of the whole account, with a half-life
    # The members above that name no target are about home.
    targets: dict[str, TargetUse] = _unless({})  # besides home
    preference: float = _unless(1.0)  # of home over other targets
    may_use: tuple[str, ...] = _unless(())  # teams that may use home; empty: all
    problem: str = _unless("")  # why nothing starts at home

    @model_validator(mode="before")
    @classmethod
    def _from_version_before(cls, fields: Any) -> Any:
        """Accept the member names of the version before."""
        renamed = {"lines": "queues", "held_teams": "teams_on_hold"}
        if not isinstance(fields, Mapping):
            return fields
        return {renamed.get(name, name): value for name, value in fields.items()}

    @property
    def resources(self) -> dict[str, ResourceUse]:
        """The use of tuning-job slots and of each instance type, by name with the target."""
        found = {"tuning jobs": self.tuning_jobs, **self.instances}
        for name, target in self.targets.items():
            found |= {on_target(name, each): use for each, use in target.resources.items()}
        return found

    @property
    def problems(self) -> dict[str, str]:
        """Why nothing starts on a target, by the targets on which that is so."""
        problems = {HOME: self.problem}
        problems |= {name: target.problem for name, target in self.targets.items()}
        return {name: problem for name, problem in problems.items() if problem}

    @classmethod
    def parse(cls, document: str | None) -> CapacityDocument | None:
        """Parse the document; None before the first cycle has written it.

        Raises:
            UnreadableDocument: it is damaged, or another version of hpoq wrote it.
        """
        try:
            return cls.model_validate_json(document) if document else None
        except ValidationError as error:
            raise UnreadableDocument(CAPACITY_DOCUMENT, error.errors()[0]["msg"]) from None

    def to_json(self) -> str:
        """Return the document as it is published."""
        return self.model_dump_json()
