"""The choice among the targets on which a request may run. Pure.

A target on which the request fits now comes before one on which it does not; then the one with the
higher preference, then the one with the lower load, then the one that the request names first. So
Kueue tries the flavors of a resource in order, and takes the first one in which a workload fits
(assignFlavors in pkg/scheduler/flavorassigner); preference and load are hpoq's order of flavors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.scheduling.allocation import Allocation
from hpo_dispatcher.scheduling.snapshot import Capacity, Head, ReservationTimer


@dataclass(frozen=True, kw_only=True)
class TargetChoice:
    """The choice of targets while a plan is made.

    Args:
        allocation: as it is at each call.
        preferences: of the targets.
    """

    allocation: Allocation
    preferences: Mapping[str, float]

    @classmethod
    def of(cls, allocation: Allocation, capacity: Capacity) -> TargetChoice:
        """Return the choice among the targets of a capacity."""
        preferences = {name: each.preference for name, each in capacity.targets.items()}
        return cls(
            allocation=allocation, preferences={HOME: capacity.preference, **preferences}
        )  # fmt: skip

    def in_order(self, head: Head) -> Sequence[Head]:
        """Return the placements of a head on its targets, the best first."""
        if len(head.targets) == 1:
            return head.placements
        return sorted(head.placements, key=self._rank)

    def _rank(self, placed: Head) -> tuple[bool, float, float]:
        fits = self.allocation.fits(placed)
        return not fits, -self.preferences.get(placed.target, 0.0), self.allocation.load(placed)

    def of_reservation(self, head: Head, timer: ReservationTimer) -> Head:
        """Return the placement of a head for which capacity is reserved.

        A reservation stays on its target while it can be met there: capacity that has become free
        for it must not be given up for another target.
        """
        if len(head.targets) == 1:
            return head
        possible = [each for each in self.in_order(head) if self.allocation.can_be_met(each)]
        same = [each for each in possible if timer.reserved_at and each.target == timer.target]
        return next(iter([*same, *possible]), head)
