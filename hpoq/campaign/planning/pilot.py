"""A pilot: a few trials that measure how long one takes."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import NAME_MAX_LENGTH
from hpoq.campaign.planning.compare import campaign_of, planned

if TYPE_CHECKING:
    import pandas as pd

_SUFFIX = "-pilot"


def pilot_of(wanted: Mapping[str, Any], trials: int, guess: float) -> CampaignPlan:
    """Return the plan of one tuning job of a few trials, named after the campaign.

    It searches at random, so that it measures the time over the whole ranges.
    """
    request = {**wanted["request"], "strategy": "Random"}
    name = wanted["name"][: NAME_MAX_LENGTH - len(_SUFFIX)].rstrip("-") + _SUFFIX
    fields = {**wanted, "request": request, "name": name}
    return planned(campaign_of(**fields, trials=trials, minutes_per_trial=guess), "single")


def measured(
    wanted: Mapping[str, Any],
    trials: int,
    run: Callable[[Path], pd.DataFrame],
    *,
    guess: float = 1.0,
) -> dict[str, float]:
    """Run a few trials now, to plan with the time they take.

    Args:
        wanted: fields of the campaign: name, request, and whatever decides where a trial runs.
        trials: how many to run.
        run: runs the campaign of a plan file to its end and returns its results.
        guess: expected minutes per trial.

    Returns:
        Fields of the campaign: ``minutes_per_trial``, ``spread`` and, if SageMaker told when its
        training jobs were created and started, ``startup_minutes``. If more trials ran than at
        once, ``reused_startup_minutes``, too.

    Raises:
        InvalidPlan: no trial completed.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pilot.json"
        plan = pilot_of(wanted, trials, guess)
        plan.save(file)
        table = run(file)
    minutes, spread = measure(table)
    found = {"minutes_per_trial": minutes, "spread": spread}
    startup, reused = measure_startups(table, plan.jobs[0].parallel)
    measurements = {"startup_minutes": startup, "reused_startup_minutes": reused}
    return found | {name: value for name, value in measurements.items() if value is not None}


def measure(table: pd.DataFrame) -> tuple[float, float]:
    """Return the mean minutes and the standard deviation of their logarithm.

    Raises:
        InvalidPlan: no trial completed.
    """
    minutes = [m for m in table.loc[table["status"] == "Completed", "minutes"] if m > 0]
    if not minutes:
        reasons = ", ".join(sorted(set(table["reason"]) - {""})) or "no reason given"
        raise InvalidPlan(f"no trial of the pilot completed: {reasons}")
    logarithms = [math.log(m) for m in minutes]
    middle = sum(logarithms) / len(logarithms)
    variance = sum((each - middle) ** 2 for each in logarithms) / max(1, len(logarithms) - 1)
    return sum(minutes) / len(minutes), math.sqrt(variance)


def measure_startups(table: pd.DataFrame, slots: int) -> tuple[float | None, float | None]:
    """Return the median minutes from creation to start, of the first training jobs and of others.

    The first training job of a slot starts an instance. The ones after it may reuse one.

    Args:
        table: the results of the pilot.
        slots: training jobs that ran at once.
    """
    known = table.dropna(subset=["created_at", "started_at"]).sort_values("created_at")
    return _median_startup(known.head(slots)), _median_startup(known.iloc[slots:])


def _median_startup(jobs: pd.DataFrame) -> float | None:
    if jobs.empty:
        return None
    seconds = (jobs["started_at"] - jobs["created_at"]).dt.total_seconds().median()
    return max(0.0, float(seconds) / 60)
