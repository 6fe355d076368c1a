"""When requests that SageMaker refused are tried again. Pure; ``memory`` keeps it between cycles.

A quota that SageMaker names delays the requests that need more of it than is left. A fault of the
account, and a quota that is not known here, delay one request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.aws_limits import QuotaExceeded
from hpo_dispatcher.contract.documents.capacity import WaitKind, WaitReason
from hpo_dispatcher.contract.entry import Entry, Key
from hpo_dispatcher.contract.targets.resources import HOME, on_target, without_target
from hpo_dispatcher.scheduling import wording
from hpo_dispatcher.scheduling.snapshot import SLOTS, RunningJob, needs

# The first wait; each later one is twice as long, up to the most.
FIRST_WAIT = timedelta(minutes=10)
MOST_WAIT_FOR_QUOTA = timedelta(minutes=30)
MOST_WAIT = {
    WaitKind.ACCOUNT_FAULT: timedelta(hours=2),
    WaitKind.ACCOUNT_QUOTA: MOST_WAIT_FOR_QUOTA,
    WaitKind.TUNING_JOB_NAME: timedelta(minutes=30),
    WaitKind.DATA: FIRST_WAIT,  # S3 replicates most objects within minutes
}
# A request that is refused for the same kind of reason for so long ends, whatever other refusals
# came in between: after so much time in waits for faults of the account, or so long after the first
# refusal of a name. Requests that lack a quota wait for as long as it takes.
GIVE_UP_AFTER = {
    WaitKind.ACCOUNT_FAULT: timedelta(hours=24),
    WaitKind.TUNING_JOB_NAME: timedelta(hours=1),
}
# Returns why a target cannot be used; None if it can.
WhyClosed = Callable[[str], WaitReason | None]
# With so many delayed requests of a team, its others wait for one of them: the fault is likely
# theirs as well, and the document stays small.
DELAYED_AT_ONCE = 50


def _all_open(_: str) -> None:
    """Return that a target can be used."""


@dataclass(frozen=True, kw_only=True)
class Delay:
    """The delay of one request, by its latest refusal."""

    kind: WaitKind  # one of MOST_WAIT
    since: datetime  # the first refusal of this kind
    tries: int  # of this kind
    retry_at: datetime
    waited: timedelta = timedelta(0)  # the sum of the waits after refusals of this kind
    others: tuple[Delay, ...] = ()  # by the latest refusals of other kinds, without others
    targets: tuple[str, ...] = (HOME,)  # on which the request is not tried

    def of_kind(self, kind: WaitKind) -> Delay | None:
        """Return the delay by the latest refusal of a kind; None if there was none."""
        return next((each for each in (self, *self.others) if each.kind is kind), None)

    def without(self, kind: WaitKind) -> tuple[Delay, ...]:
        """Return the delays by the latest refusals of other kinds."""
        every = (replace(self, others=()), *self.others)
        return tuple(each for each in every if each.kind is not kind)


@dataclass(frozen=True, kw_only=True)
class ReachedLimit:
    """A quota as SageMaker has counted it, until something that uses it ends."""

    quota: QuotaExceeded
    tries: int
    retry_at: datetime
    users: frozenset[str] = frozenset()  # running jobs that used it, by tuning job name
    counted: int = 0  # what they used of it

    @property
    def free(self) -> int:
        """The amount that is left."""
        return max(0, self.quota.limit - self.quota.in_use)

    def with_more(self, amount: int) -> ReachedLimit:
        """Return the limit after something that fits has started."""
        quota = replace(self.quota, in_use=self.quota.in_use + amount)
        return replace(self, quota=quota, counted=self.counted + amount)


@dataclass(frozen=True, kw_only=True)
class Refusals:
    """What SageMaker has refused in one cycle."""

    requests: Mapping[Key, WaitKind] = field(default_factory=dict)  # each for itself
    quotas: Mapping[str, QuotaExceeded] = field(default_factory=dict)  # by resource
    targets: Mapping[Key, str] = field(default_factory=dict)  # of refused requests; absent: home


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """All that is delayed.

    The class is long because a request and a quota delay a request by the same rules on a target.
    """

    requests: Mapping[Key, Delay] = field(default_factory=dict)
    limits: Mapping[str, ReachedLimit] = field(default_factory=dict)  # by resource

    def of_team(self, team: str) -> int:
        """Return how many requests of a team are delayed."""
        return sum(key[0] == team for key in self.requests)

    def account_faults(self, now: datetime) -> int:
        """Return how many requests wait because of a fault of the account.

        A request that may be tried again, and was not, waits for something else.

        Args:
            now: the end of a cycle.
        """
        return sum(
            delay.kind is WaitKind.ACCOUNT_FAULT and delay.retry_at > now
            for delay in self.requests.values()
        )

    def gives_up(self, key: Key, kind: WaitKind, now: datetime) -> bool:
        """Return whether a request ends that is refused once more for this kind of reason."""
        latest, bound = self.requests.get(key), GIVE_UP_AFTER.get(kind)
        delay = latest.of_kind(kind) if latest else None
        if delay is None or bound is None:
            return False
        # A request may wait days for a quota between two faults, whereas tags are late only once.
        past = delay.waited if kind is WaitKind.ACCOUNT_FAULT else now - delay.since
        return past >= bound

    def without(self, keys: Iterable[Key]) -> Backoff:
        """Return the backoff without requests that have started or ended."""
        gone = set(keys)
        kept = {key: delay for key, delay in self.requests.items() if key not in gone}
        return replace(self, requests=kept)

    def seen_with(self, running_jobs: Sequence[RunningJob]) -> Backoff:
        """Return the backoff without limits of which something has become free."""
        names = {job.tuning_job_name for job in running_jobs}
        in_use = Counter[str]()
        for job in running_jobs:
            in_use.update(job.needs)
        kept = {
            resource: reached
            for resource, reached in self.limits.items()
            if reached.users <= names and in_use[resource] >= reached.counted
        }
        return replace(self, limits=kept)

    def after(
        self,
        refusals: Refusals,
        started: Sequence[Entry],
        running_jobs: Sequence[RunningJob],
        now: datetime,
    ) -> Backoff:
        """Return the backoff after a cycle.

        Args:
            refusals: of this cycle.
            started: requests whose tuning jobs were created in this cycle.
            running_jobs: as they were before this cycle's starts.
            now: the end of the cycle.
        """
        users = [(job.tuning_job_name, job.needs) for job in running_jobs]
        users += [(entry.job_name, needs(entry.instances, entry.target)) for entry in started]
        taken = Counter[str]()
        for entry in started:
            taken.update(needs(entry.instances, entry.target))
        limits = {
            resource: reached.with_more(taken[resource]) if taken[resource] else reached
            for resource, reached in self.limits.items()
            if not taken[resource] or now < reached.retry_at  # else the limit has been raised
        }
        for resource, quota in refusals.quotas.items():
            limits[resource] = self._reached(resource, quota, users, now)
        requests = dict(self.without(entry.key for entry in started).requests)
        for key, kind in refusals.requests.items():
            requests[key] = self._delay(key, kind, refusals.targets.get(key, HOME), now)
        return Backoff(requests=requests, limits=limits)

    def _reached(
        self,
        resource: str,
        quota: QuotaExceeded,
        users: Sequence[tuple[str, Mapping[str, int]]],
        now: datetime,
    ) -> ReachedLimit:
        before = self.limits.get(resource)
        tries = before.tries + 1 if before else 1
        return ReachedLimit(
            quota=quota,
            tries=tries,
            retry_at=now + _wait(tries, MOST_WAIT_FOR_QUOTA),
            users=frozenset(name for name, amounts in users if resource in amounts),
            counted=sum(amounts.get(resource, 0) for _, amounts in users),
        )

    def _delay(self, key: Key, kind: WaitKind, target: str, now: datetime) -> Delay:
        latest = self.requests.get(key)
        if latest and latest.retry_at > now and target not in latest.targets:
            return replace(latest, targets=(*latest.targets, target))  # tried on another target
        before = latest.of_kind(kind) if latest else None
        tries = before.tries + 1 if before else 1
        wait = _wait(tries, MOST_WAIT[kind])
        return Delay(
            kind=kind,
            since=before.since if before else now,
            tries=tries,
            retry_at=now + wait,
            waited=before.waited + wait if before else wait,
            others=latest.without(kind) if latest else (),
            targets=(target,),
        )

    def waits(
        self,
        queues: Mapping[str, Sequence[Entry]],
        now: datetime,
        closed: WhyClosed = _all_open,
    ) -> dict[Key, WaitReason]:
        """Return the requests that are not tried in this cycle, and why.

        Args:
            queues: the heads of each team's queue.
            now: of the cycle.
            closed: returns why a target cannot be used in this cycle; None if it can.
        """
        reasons: dict[Key, WaitReason] = {}
        for team, queue in queues.items():
            full = self.of_team(team) >= DELAYED_AT_ONCE
            for entry in queue:
                reason = self._of_targets(entry, now, closed)
                if reason is None and full and entry.key not in self.requests:
                    reason = WaitReason(
                        kind=WaitKind.ACCOUNT_FAULT, text=wording.behind_refused(team)
                    )
                if reason:
                    reasons[entry.key] = reason
        return reasons

    def open_targets(
        self, entry: Entry, now: datetime, closed: WhyClosed = _all_open
    ) -> tuple[str, ...]:
        """Return the targets on which a request may be tried; all of them if there is none."""
        allowed = entry.allowed_targets
        if len(allowed) == 1:
            return allowed
        open_ = tuple(each for each in allowed if not self._closed(entry, each, now, closed))
        return open_ or allowed

    def _of_targets(self, entry: Entry, now: datetime, closed: WhyClosed) -> WaitReason | None:
        """Return why a request is not tried on any of its targets; None if it is."""
        reasons: list[WaitReason] = []
        for target in entry.allowed_targets:
            reason = self._closed(entry, target, now, closed)
            if reason is None:
                return None
            reasons.append(reason)
        texts = dict.fromkeys(each.text for each in reasons)
        return WaitReason(kind=reasons[0].kind, text=wording.together([*texts]))

    def _closed(
        self, entry: Entry, target: str, now: datetime, closed: WhyClosed
    ) -> WaitReason | None:
        return (
            closed(target)
            or self._of_request(entry, target, now)
            or self._of_limits(entry, target, now)
        )

    def _of_request(self, entry: Entry, target: str, now: datetime) -> WaitReason | None:
        delay = self.requests.get(entry.key)
        if delay is None or delay.retry_at <= now or target not in delay.targets:
            return None
        return WaitReason(
            kind=delay.kind, text=wording.refused_by_aws(entry.reason, delay.retry_at)
        )

    def _of_limits(self, entry: Entry, target: str, now: datetime) -> WaitReason | None:
        for resource, amount in needs(entry.instances, target).items():
            reached = self.limits.get(resource)
            if reached and now < reached.retry_at and amount > reached.free:
                return _at_limit(resource, amount, reached)
        return None


def resource_of_quota(quota: QuotaExceeded | None, target: str = HOME) -> str | None:
    """Return the resource that a target's quota limits; None if it limits none that is planned."""
    if quota is None:
        return None
    is_slots = quota.name == aws_limits.TUNING_JOBS_QUOTA
    resource = SLOTS if is_slots else aws_limits.resource_of(quota.name)
    return resource and on_target(target, resource)


def lacks(entry: Entry, quotas: Mapping[str, QuotaExceeded]) -> bool:
    """Return whether a request needs more of a quota than SageMaker said is left."""
    wanted = needs(entry.instances, entry.target)
    return any(
        wanted.get(resource, 0) > max(0, quota.limit - quota.in_use)
        for resource, quota in quotas.items()
    )


def _wait(tries: int, most: timedelta) -> timedelta:
    doubled = min(tries - 1, 10)  # so that no number of tries overflows
    return min(FIRST_WAIT * (1 << doubled), most)


def _at_limit(resource: str, amount: int, reached: ReachedLimit) -> WaitReason:
    quota = reached.quota
    if amount > quota.limit:
        kind = WaitKind.NEVER_FITS
        text = wording.beyond_account_quota(quota.name, quota.limit, amount)
    else:
        slots = without_target(resource) == SLOTS
        kind = WaitKind.TUNING_JOBS if slots else WaitKind.INSTANCES
        text = wording.at_account_quota(
            quota.name, quota.in_use, quota.limit, amount, reached.retry_at
        )
    return WaitReason(kind=kind, text=text)
