"""How long requests of a simulated account waited."""

from __future__ import annotations

from hpoq.simulation.result import SimulationResult


def waited_job_ends(report: SimulationResult) -> int:
    """Return for how many job ends beyond its queue position a request of team b waited at most."""
    starts = sorted(at for at, team, _ in report.starts if team == "b")
    beyond = 0
    for place, start in enumerate(starts):
        arrived = 3600.0 + place
        ends = sum(arrived < end <= start - 1 for end in report.ends)
        beyond = max(beyond, ends - place - 1)
    return beyond
