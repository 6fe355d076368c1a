"""Why heads wait: the kind of each wait, which code compares, with its text from ``wording``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from hpo_dispatcher.contract.documents.capacity import WaitKind, WaitReason
from hpo_dispatcher.contract.entry import Key
from hpo_dispatcher.contract.targets.resources import without_target
from hpo_dispatcher.scheduling import wording
from hpo_dispatcher.scheduling.allocation import Allocation
from hpo_dispatcher.scheduling.snapshot import SLOTS, Head, Shape, Wait
from hpo_dispatcher.scheduling.wording import InUse


def next_in_queue() -> WaitReason:
    """Return the reason of a head that fits."""
    return WaitReason(kind=WaitKind.NEXT_IN_QUEUE, text=wording.next_in_queue())


class Reasons:
    """The reasons of waiting heads; equal requests of one team share one reason.

    Args:
        allocation: as admission has left it.
        in_order: returns the placements of a head on targets, the best first.
    """

    def __init__(self, allocation: Allocation, in_order: Callable[[Head], Sequence[Head]]) -> None:
        self._allocation = allocation
        self._in_order = in_order
        self._in_use: dict[str, InUse] = {}  # by resource

    def waits(self, queues: Mapping[str, Sequence[Head]], started: Collection[Key]) -> list[Wait]:
        """Return the heads that do not start, in queue order, with their reasons."""
        waits: list[Wait] = []
        reservations = self._allocation.reservations
        for queue in queues.values():
            known: dict[Shape, WaitReason] = {}
            for head in queue:
                if head.key in started:
                    continue
                if reservations and head in reservations:  # its rank among them is its own
                    reason = self._reason(head)
                else:
                    reason = known.get(head.shape) or self._remembered(head, known)
                waits.append(Wait(head, reason))
        return waits

    def _remembered(self, head: Head, known: dict[Shape, WaitReason]) -> WaitReason:
        reason = known[head.shape] = self._reason(head)
        return reason

    def _reason(self, head: Head) -> WaitReason:
        """Return why a head waits: on the best of its targets, and on the others."""
        if len(head.targets) == 1:
            return self._reason_on_target(head)
        reasons = [self._reason_on_target(each) for each in self._in_order(head)]
        may_start = [each for each in reasons if each.kind is not WaitKind.NEVER_FITS]
        texts = dict.fromkeys(each.text for each in may_start or reasons)
        return WaitReason(kind=(may_start or reasons)[0].kind, text=wording.together([*texts]))

    def _reason_on_target(self, head: Head) -> WaitReason:
        allocation = self._allocation
        impossible = allocation.impossible(head)
        if impossible:
            return _never_fits(head, impossible[0], allocation)
        lacking = allocation.lacking(head)
        if lacking:
            slots = without_target(lacking[0]) == SLOTS
            kind = WaitKind.TUNING_JOBS if slots else WaitKind.INSTANCES
            texts = [self._text(head, resource) for resource in lacking]
            return WaitReason(kind=kind, text=wording.together(texts))
        if not allocation.within_ceiling(head):
            return _at_ceiling(head.team, allocation)
        return next_in_queue()

    def _text(self, head: Head, resource: str) -> str:
        allocation = self._allocation
        if resource not in self._in_use:
            by_team = {t: n for t, used in allocation.by_team.items() if (n := used[resource])}
            self._in_use[resource] = InUse.of(
                resource, allocation.in_use[resource], allocation.limits[resource], by_team
            )
        return wording.resource_in_use(
            self._in_use[resource],
            amount=head.needs[resource],
            reserved_for=allocation.reservations.of_resource(resource, head),
            unlent_by=allocation.unlent_by_others(head, resource),
        )


def with_notes(waits: Sequence[Wait], notes: Mapping[Key, Sequence[str]]) -> tuple[Wait, ...]:
    """Return the waits with notes appended to the texts of their reasons."""
    if not notes:
        return tuple(waits)
    return tuple(
        wait._replace(reason=_noted(wait.reason, notes[wait.head.key]))
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
