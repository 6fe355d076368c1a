"""The display of progress, the same on a terminal and in a notebook."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpoq.presentation import dollars

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import RenderableType

    from hpoq.campaign.running.progress import CampaignProgress


def hours_left(progress: CampaignProgress, began: datetime | None) -> float | None:
    """Return the hours left at the pace so far; None before the first trial has ended."""
    finished = progress.done + progress.failed
    if not finished or began is None:
        return None
    elapsed = (progress.at - began).total_seconds() / 3600
    return elapsed / finished * (progress.plan.campaign.trials - finished)


def cost_so_far(progress: CampaignProgress) -> float | None:
    """Return the cost in USD by the planned minutes per trial; the results have exact figures."""
    price = progress.plan.campaign.price_per_hour
    if price is None:
        return None
    campaign = progress.plan.campaign
    hours = (progress.done + progress.failed) * campaign.minutes_per_trial / 60
    return hours * progress.plan.instances_per_trial * price


def line(progress: CampaignProgress, began: datetime | None = None) -> str:
    """Return the progress as one line, for logs and pipes."""
    total = progress.plan.campaign.trials
    parts = [f"{progress.done:,}/{total:,} trials", f"{progress.running} running"]
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if progress.plan.waves > 1:
        parts.append(f"wave {progress.wave}/{progress.plan.waves}")
    if progress.best is not None:
        parts.append(f"best {progress.best:.5g}")
    left = hours_left(progress, began)
    if left is not None and not progress.ended:
        parts.append(f"{left:.1f} h left" if left >= 1 else f"{math.ceil(left * 60)} min left")
    cost = cost_so_far(progress)
    if cost is not None:
        parts.append(f"about {dollars(cost)}")
    if progress.paused:
        parts.append("paused")
    if progress.refusal:
        parts.append("starts nothing more")
    return " · ".join(parts)


def panel(progress: CampaignProgress, began: datetime | None = None) -> RenderableType:
    """Return a progress bar over all trials, the line, and a table of active tuning jobs."""
    total = progress.plan.campaign.trials
    bar = ProgressBar(total=total, completed=progress.done + progress.failed, width=60)
    active = [state for state in progress.states.values() if not state.status.ended]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("tuning job", "wave", "status", "done", "running", "failed"):
        table.add_column(column, justify="left" if column in ("tuning job", "status") else "right")
    for state in sorted(active, key=lambda each: each.number)[:20]:
        job = progress.plan.job(state.number)
        table.add_row(
            progress.plan.request_id(job),
            str(job.wave),
            str(state.status),
            f"{state.completed}/{job.trials}",
            str(state.running),
            str(state.failed) if state.failed else "",
        )
    heading = Text(progress.plan.campaign.name, style="bold")
    return Group(heading, bar, line(progress, began), table)
