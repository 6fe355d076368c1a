"""What teams get of a quota over a day when all of them always have work."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.history.usage import Used, updated
from hpo_dispatcher.scheduling.plan import plan
from hpo_dispatcher.scheduling.snapshot import Capacity, Head, RunningJob, Snapshot
from tests.support.scheduling_scene import NOON

P4 = "ml.p4d.24xlarge"
DAY = timedelta(hours=24)
WEIGHTS = {"a": 1.0, "b": 3.0, "c": 10.0}
QUOTAS = (1, 2, 4, 14, 40)


def farthest_from_ideal(quota: int) -> float:
    """Return the largest distance of a team's share from the one that its weight gives it."""
    shares, weights = delivered_shares(quota), sum(WEIGHTS.values())
    return max(abs(shares[team] - weight / weights) for team, weight in WEIGHTS.items())


def delivered_shares(quota: int) -> Mapping[str, float]:
    """Return each team's share of a day, in jobs of 20 to 40 minutes, after half a day to settle.

    Args:
        quota: instances, of which each job needs one.
    """
    draw = random.Random(quota)
    teams = {team: TeamSettings(weight=weight) for team, weight in WEIGHTS.items()}
    capacity = Capacity(tuning_jobs=100, instances={P4: quota})
    now, usage, number = NOON, dict[str, float](), 0
    running: list[tuple[RunningJob, timedelta]] = []
    delivered = Counter[str]()
    while now < NOON + 1.5 * DAY:
        free = quota - len(running)
        queues = {
            team: [
                Head(team=team, request_id=f"{number}-{n}", priority=0, accepted_at=NOON,
                     instances={P4: 1})
                for n in range(free)
            ]
            for team in WEIGHTS
        }  # fmt: skip
        number += 1
        snapshot = Snapshot(
            now=now, running_jobs=[job for job, _ in running], queues=queues, usage=usage
        )
        for head in plan(snapshot, capacity, teams).starts:
            job = RunningJob(
                tuning_job_name="/".join(head.key), team=head.team, instances=head.instances
            )
            running.append((job, now - NOON + timedelta(minutes=draw.uniform(20, 40))))
        end = NOON + min(end for _, end in running)
        seconds = (end - now).total_seconds()
        used = [Used(job.team or "", job.needs, seconds) for job, _ in running]
        usage = updated(usage, used, capacity.limits, end - now, DAY)
        if now >= NOON + 0.5 * DAY:
            for job, _ in running:
                delivered[job.team or ""] += round(seconds)
        now = end
        running = [(job, until) for job, until in running if NOON + until > now]
    return {team: delivered[team] / delivered.total() for team in WEIGHTS}
