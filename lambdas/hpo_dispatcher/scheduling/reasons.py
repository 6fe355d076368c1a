"""Why heads wait: the kind of each wait, which code compares, with its text from ``wording``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hpo_dispatcher.contract.documents.capacity import WaitKind, WaitReason
from hpo_dispatcher.contract.entry import Key
from hpo_dispatcher.scheduling import wording
from hpo_dispatcher.scheduling.allocation import Allocation
from hpo_dispatcher.scheduling.snapshot import SLOTS, Head, Shape, Wait


def next_in_queue() -> WaitReason:
    """Return the reason of a head that fits."""
    return WaitReason(kind=WaitKind.NEXT_IN_QUEUE, text=wording.next_in_queue())


class Reasons:
    """The reasons of waiting heads; equal requests of one team share one reason.

    Args:
        allocation: as admission has left it.
    """

    def __init__(self, allocation: Allocation) -> None:
        self._allocation = allocation
        self._known: dict[tuple[str, Shape], WaitReason] = {}

    def of(self, head: Head) -> WaitReason:
        """Return why a head waits."""
        if self._allocation.has_reservation(head):  # its rank among reservations is its own
            return self._reason(head)
        key = head.team, head.shape
        if key not in self._known:
            self._known[key] = self._reason(head)
        return self._known[key]

    def _reason(self, head: Head) -> WaitReason:
        allocation = self._allocation
        impossible = allocation.impossible(head)
        if impossible:
            return _never_fits(head, impossible[0], allocation)
        lacking = allocation.lacking(head)
        if lacking:
            kind = WaitKind.TUNING_JOBS if lacking[0] == SLOTS else WaitKind.INSTANCES
            texts = [_in_use(head, resource, allocation) for resource in lacking]
            return WaitReason(kind=kind, text=wording.together(texts))
        if not allocation.within_ceiling(head):
            return _at_ceiling(head.team, allocation)
        return next_in_queue()


def with_notes(waits: Sequence[Wait], notes: Mapping[Key, Sequence[str]]) -> tuple[Wait, ...]:
    """Return the waits with notes appended to the texts of their reasons."""
    if not notes:
        return tuple(waits)
    return tuple(
        replace(wait, reason=_noted(wait.reason, notes[wait.head.key]))
        if notes.get(wait.head.key)
        else wait
        for wait in waits
    )


def _noted(reason: WaitReason, notes: Sequence[str]) -> WaitReason:
    return WaitReason(kind=reason.kind, text=wording.together([reason.text, *notes]))


def _never_fits(head: Head, resource: str, allocation: Allocation) -> WaitReason:
    text = wording.never_fits(
        resource,
        amount=head.needs[resource],
        limit=allocation.limits[resource],
        team=head.team,
        most=allocation.at_most(head.team, resource),
    )
    return WaitReason(kind=WaitKind.NEVER_FITS, text=text)


def _at_ceiling(team: str, allocation: Allocation) -> WaitReason:
    settings = allocation.settings(team)
    if settings.most < settings.ceiling and settings.borrow is not None:
        text = wording.at_borrowing_limit(
            team, settings.most, settings.guaranteed_share, settings.borrow
        )
    else:
        text = wording.at_ceiling(team, settings.ceiling)
    return WaitReason(kind=WaitKind.TEAM_CEILING, text=text)


def _in_use(head: Head, resource: str, allocation: Allocation) -> str:
    by_team = {team: used[resource] for team, used in allocation.by_team.items() if used[resource]}
    return wording.resource_in_use(
        resource,
        in_use=allocation.in_use[resource],
        limit=allocation.limits[resource],
        amount=head.needs[resource],
        by_team=by_team,
        reserved_for=allocation.reserved_for(head, resource),
        unlent_by=allocation.unlent_by_others(head, resource),
    )
