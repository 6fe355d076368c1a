"""Every sentence that explains why a request waits. For people: no code reads these texts.

docs/admission.md quotes them. ``reasons`` decides which kind of wait it is; code compares that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.entry import Key
from hpo_dispatcher.contract.targets.resources import without_target

NEXT_IN_QUEUE = "next in queue"
NAMED = 5  # users, reservations and teams in one text; the others are counted


def next_in_queue() -> str:
    """Return the text for a head that fits and starts as soon as the dispatcher can create it."""
    return NEXT_IN_QUEUE


def never_fits(resource: str, *, amount: int, limit: int, team: str, most: int) -> str:
    """Return the text for a request that needs more than its team may ever use."""
    is_total = aws_limits.is_total(without_target(resource))
    needed = f"{amount} of {resource}" if is_total else f"{amount} {resource}"
    if amount > limit:
        return f"needs {needed}, the limit is {limit}: never fits"
    return f"needs {needed}, team {team} may use {most} of {limit}: never fits"


def at_ceiling(team: str, ceiling: float) -> str:
    """Return the text for a team at its ceiling."""
    return f"team {team} is at its ceiling of {ceiling:.0%}"


def at_borrowing_limit(team: str, most: float, guaranteed: float, borrow: float) -> str:
    """Return the text for a team that has borrowed as much as it may."""
    return (
        f"team {team} is at its ceiling of {most:.0%}: "
        f"{guaranteed:.0%} guaranteed, {borrow:.0%} borrowed"
    )


@dataclass(frozen=True)
class InUse:
    """The part of a text that is the same for all requests that lack a resource."""

    text: str
    users: str

    @classmethod
    def of(cls, resource: str, in_use: int, limit: int, by_team: Mapping[str | None, int]) -> InUse:
        """Describe the use of a resource.

        Args:
            resource: its name.
            in_use: how much of it is in use.
            limit: how much of it there is.
            by_team: who uses it; None stands for jobs of others.
        """
        first = sorted(by_team.items(), key=_most_first)
        users = _first_of([f"{team or 'others'} {n}" for team, n in first], "teams")
        return cls(f"{resource} {in_use}/{limit} in use", f"used by: {users}" if users else "")


def resource_in_use(
    in_use: InUse, *, amount: int, reserved_for: Sequence[Key], unlent_by: Sequence[str]
) -> str:
    """Return the text for a resource of which too little is free.

    Args:
        in_use: its use.
        amount: how much the request needs.
        reserved_for: requests that have a reservation of it.
        unlent_by: teams that do not lend their idle part of it.
    """
    parts = [f"{in_use.text}, {amount} needed", in_use.users]
    parts += [f"reserved for {'/'.join(key)}" for key in reserved_for[:NAMED]]
    if len(reserved_for) > NAMED:
        parts.append(f"reserved for {len(reserved_for) - NAMED} more")
    parts += [f"team {team} does not lend its idle share" for team in unlent_by[:NAMED]]
    if len(unlent_by) > NAMED:
        parts.append(f"nor do {len(unlent_by) - NAMED} other teams")
    return together(parts)


def over_monthly_budget(team: str, wanted: str, allowed: str) -> str:
    """Return the text for a request that a whole month's budget does not cover; in hours."""
    return (
        f"needs up to {wanted} instance-hours, the budget of team {team} is {allowed} a month: "
        "never fits"
    )


def over_budget(
    team: str, *, allowed: str, spent: str, set_aside: str, before: str, wanted: str, renewed: str
) -> str:
    """Return the text for a request that the rest of this month's budget does not cover.

    Args:
        team: whose budget.
        allowed: instance-hours of a month.
        spent: instance-hours that ended jobs have used.
        set_aside: instance-hours that running jobs may use.
        before: instance-hours of the requests before this one; empty if none.
        wanted: instance-hours that the request may use.
        renewed: the day on which the next month's budget starts.
    """
    parts = [f"{spent} spent", f"{set_aside} set aside for running jobs"]
    parts += [f"{before} for requests before it"] * bool(before)
    parts += [f"up to {wanted} needed"]
    budget = f"the budget of team {team} is {allowed} instance-hours a month"
    return f"{budget}: {', '.join(parts)}; renewed on {renewed}"


def refused_by_aws(reason: str, retry_at: datetime) -> str:
    """Return the text for a request that SageMaker refused, for AWS's reason."""
    return f"{reason}; tried again at {retry_at:%H:%M} UTC"


def behind_refused(team: str) -> str:
    """Return the text for a request behind many that SageMaker refused."""
    return f"SageMaker refused many requests of team {team}; waits until one of them starts"


def at_account_quota(quota: str, in_use: int, limit: int, amount: int, retry_at: datetime) -> str:
    """Return the text for a request that needs more of a quota than SageMaker said is left."""
    return (
        f"AWS counts {in_use}/{limit} of '{quota}', {amount} needed; "
        f"tried again at {retry_at:%H:%M} UTC, or when a tuning job that uses it ends"
    )


def beyond_account_quota(quota: str, limit: int, amount: int) -> str:
    """Return the text for a request that needs more of a quota than SageMaker said it is."""
    return f"needs {amount} of '{quota}', AWS allows {limit}: never fits until AWS raises the quota"


def being_stopped(team: str | None, request_id: str) -> str:
    """Return the note for a head whose capacity a stopping job is about to free."""
    return f"{team}/{request_id} is being stopped for it"


def will_be_stopped(team: str | None, request_id: str) -> str:
    """Return the note for a head for which a running job is stopped in this cycle."""
    return f"stopping {team}/{request_id} for it"


def not_stopped(team: str | None, request_id: str, resume_blocker: str) -> str:
    """Return the note for a head for which a running job cannot be stopped."""
    return f"{team}/{request_id} is not stopped: {resume_blocker}"


def already_stopped(until: datetime) -> str:
    """Return why a job that was resumed is not stopped again yet."""
    return f"it was stopped before and runs until at least {until:%H:%M} UTC"


def together(texts: Sequence[str]) -> str:
    """Join several texts into one."""
    return "; ".join(text for text in texts if text)


def on_hold_by_request() -> str:
    """Return the text for a request that its team has put on hold."""
    return "on hold by its team; `hpoq release` lets it start"


def team_on_hold(team: str) -> str:
    """Return the text for a request whose whole team is on hold."""
    return f"team {team} is on hold; `hpoq release` lets its requests start"


def waits_for_requests(names: Iterable[str]) -> str:
    """Return the text for a request that waits for other requests to end."""
    return f"waits for {', '.join(dict.fromkeys(names)) or 'other requests'} to end"


def team_removed(team: str) -> str:
    """Return the text for a queued request whose team is no longer in the settings."""
    return (
        f"team {team} is not in the settings, so it does not start; "
        "docs/operations.md says how to move or end it"
    )


def not_examined() -> str:
    """Return the text for a queued request that no cycle has examined yet."""
    return "queued; the next dispatch cycle determines what it waits for"


def _most_first(item: tuple[str | None, int]) -> tuple[int, bool, str]:
    team, count = item
    return -count, team is None, team or ""


def _first_of(names: Sequence[str], what: str) -> str:
    more = len(names) - NAMED
    return ", ".join([*names[:NAMED], *([f"{more} more {what}"] if more > 0 else [])])


def metric_not_found() -> str:
    """Return why a completed tuning job has no best training job.

    Its training jobs have the ObjectiveStatus Failed (API reference,
    HyperParameterTrainingJobSummary).
    """
    return (
        "no training job reported the objective metric. Compare the regular expression of the "
        "metric with the lines of `hpoq logs`"
    )
