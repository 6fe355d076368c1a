"""Waves of planned jobs: a wave starts once all jobs of the wave before have ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hpoq.campaign.campaign_plan import PlannedJob
from hpoq.campaign.model import Campaign
from hpoq.campaign.planning.shapes import Shape

# Each wave waits for its slowest trial. Fewer waves than this learn little.
WAVES = 4
# A wave with fewer rounds per lane than this mostly waits for its slowest trial.
MIN_ROUNDS_PER_WAVE = 3


def wave_count(campaign: Campaign) -> int:
    """Return the number of waves that is worth its waiting."""
    return min(WAVES, max(1, campaign.trials // (campaign.slots * MIN_ROUNDS_PER_WAVE)))


def next_wave(before: Sequence[PlannedJob], shapes: Iterable[Shape]) -> list[PlannedJob]:
    """Return planned jobs of the given shapes as the wave after the existing jobs."""
    number, wave = (before[-1].number, before[-1].wave) if before else (0, 0)
    return [
        PlannedJob(
            number=number + index, wave=wave + 1, trials=shape.trials, parallel=shape.parallel
        )
        for index, shape in enumerate(shapes, 1)
    ]
