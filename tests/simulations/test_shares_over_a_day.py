"""Shares over a day follow the weights on any quota."""

from __future__ import annotations

from collections import Counter

import pytest

from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload
from tests.support.delivered_shares import P4, QUOTAS, farthest_from_ideal


@pytest.mark.parametrize("quota", QUOTAS)
def test_shares_over_a_day_follow_the_weights_whatever_the_quota(quota: int) -> None:
    assert farthest_from_ideal(quota) <= 0.05


def test_the_dispatcher_remembers_what_teams_have_used() -> None:
    """On a quota of one, ten of eleven turns are those of the team of tenfold weight."""
    arrivals = [
        Arrival(at=0, team=team, request_id=f"{team}{n}", seconds=600, instance_type=P4)
        for team in "ab"
        for n in range(66)
    ]
    workload = Workload(
        name="one", arrivals=arrivals, teams={"a": {}, "b": {"weight": 10.0}}, instances={P4: 1}
    )
    result = Simulation(workload).run()
    first = Counter(team for _, team, _ in sorted(result.starts)[:66])
    assert first["b"] == pytest.approx(60, abs=2)
