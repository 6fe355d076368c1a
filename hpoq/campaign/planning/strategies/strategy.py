"""The base of all strategies, and checks that several of them need."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from hpoq.campaign.campaign_plan import PlannedJob
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.grid import point_count
from hpoq.campaign.model import Campaign
from hpoq.campaign.planning.shapes import Shape
from hpoq.campaign.planning.waves import next_wave


class Strategy(ABC):
    """A way to split a campaign into tuning jobs."""

    name: ClassVar[str]  # as users write it and plan files store it
    learns: ClassVar[str]  # what its tuning jobs learn from each other, in a few words
    preference: ClassVar[int]  # of the strategies that meet the goals, the lowest is recommended
    advantage: ClassVar[str]  # why to choose it, as a clause
    starts_from_points: ClassVar[bool] = False  # its own searches train the campaign's points

    @abstractmethod
    def jobs(self, campaign: Campaign) -> list[PlannedJob]:
        """Return tuning jobs that together hold all trials of the campaign.

        Raises:
            InvalidPlan: the strategy cannot run this campaign.
        """

    @abstractmethod
    def more_jobs(
        self, campaign: Campaign, before: Sequence[PlannedJob], trials: int
    ) -> list[PlannedJob]:
        """Return tuning jobs that add trials after the existing jobs, as further waves.

        Raises:
            InvalidPlan: the strategy cannot add them.
        """

    def repeating_jobs(self, campaign: Campaign, before: Sequence[PlannedJob]) -> list[PlannedJob]:
        """Return tuning jobs that train the best settings with each seed, as a last wave."""
        wanted = campaign.repeats
        if wanted is None:
            return []
        seeds = len(wanted.seeds)
        width = min(campaign.limits.parallel_training_jobs, campaign.slots, seeds)
        shapes = [Shape(seeds, width)] * wanted.settings
        return [
            job.model_copy(update={"repeats": (rank,)})
            for rank, job in enumerate(next_wave(before, shapes), 1)
        ]


def require_bayesian(campaign: Campaign, feature: str) -> None:
    """Check that the search learns from earlier trials.

    Raises:
        InvalidPlan: the search does not learn.
    """
    if campaign.search != "Bayesian":
        raise InvalidPlan(
            f"{feature} needs a Bayesian search, but the request asks for {campaign.search}"
        )


def require_whole_grid(campaign: Campaign) -> None:
    """Check that a grid search tries every point of its grid.

    Raises:
        InvalidPlan: a range is not categorical, or the trials do not match the grid.
    """
    if campaign.search != "Grid":
        return
    grid = campaign.grid
    if grid is None:
        raise InvalidPlan("Grid needs categorical ranges only: list the values, or use Random")
    size = point_count(grid)
    if size != campaign.trials:
        raise InvalidPlan(f"the grid has {size} points and runs all of them. Ask for {size} trials")
