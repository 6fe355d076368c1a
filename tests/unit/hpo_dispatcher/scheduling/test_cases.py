"""Each case of tests/fixtures/scheduling.yaml, with what it says is right.

The dispatcher once decided each of them wrongly.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from hpo_dispatcher.contract.documents.capacity import WaitKind, WaitReason
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.history.usage import Used, updated
from hpo_dispatcher.scheduling.plan import Plan, plan
from hpo_dispatcher.scheduling.snapshot import (
    Capacity,
    Head,
    ReservationTimer,
    RunningJob,
    Snapshot,
)
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload
from tests.support.dispatcher_account import ample_time
from tests.support.scheduling_scene import G5, M5, NOON, ago, queued

CASES: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[3] / "fixtures" / "scheduling.yaml").read_text()
)
P4 = "ml.p4d.24xlarge"
TYPES = {"g5": G5, "m5": M5, "p4": P4}
SLOTS = 100  # tuning jobs, unless a case says otherwise
MORE = "..."
SEVERAL = re.compile(
    r"(?:then )?(?P<count>\d+) requests of one (?P<of>\w+)(?: and priority (?P<priority>\d+))?"
)
HALF_LIFE, TURN = timedelta(hours=24), timedelta(minutes=30)


@dataclass(kw_only=True)
class Scene:
    """A case as a snapshot."""

    teams: dict[str, TeamSettings]
    capacity: Capacity
    running: list[RunningJob]
    queues: dict[str, list[Head]] = field(default_factory=dict)
    timers: dict[tuple[str, str], ReservationTimer] = field(default_factory=dict)

    @classmethod
    def of(cls, case: Mapping[str, Any]) -> Scene:
        """Read a case."""
        quotas = dict(case["quotas"])
        scene = cls(
            teams={team: TeamSettings(**fields) for team, fields in case["teams"].items()},
            capacity=Capacity(
                tuning_jobs=quotas.pop("tuning_jobs", SLOTS), instances=instances_of(quotas)
            ),
            running=[job for each in case.get("running", ()) for job in jobs(each)],
        )
        for team, queue in case["queue"].items():
            entries = [queue] if isinstance(queue, str) else queue
            scene.queues[team] = []
            for entry in entries:
                scene.add(team, entry)
        return scene

    def add(self, team: str, entry: Any) -> None:
        """Put a request, or several alike, at the end of a team's queue."""
        queue = self.queues[team]
        if entry == MORE:
            queue.extend(replace(queue[-1], request_id=f"{team}{n}") for n in range(2, 9))
        elif isinstance(entry, str):
            queue.extend(several(team, entry, len(queue)))
        else:
            head = queued(
                team, entry["id"], entry.get("minutes", 0), instances_of(entry),
                entry.get("priority", 0),
            )  # fmt: skip
            queue.append(head)
            if "first_since" in entry:
                self.timers[head.key] = ReservationTimer(
                    since=ago(entry["first_since"]), passed_at=ago(entry["passed_at"])
                )

    def planned(self, **usage: float) -> Plan:
        """Return the plan for the snapshot."""
        snapshot = Snapshot(
            now=NOON, running_jobs=self.running, queues=self.queues,
            reservation_timers=self.timers, usage=usage,
        )  # fmt: skip
        return plan(snapshot, self.capacity, self.teams)

    def starts(self) -> list[str]:
        """Return the ids of the requests that start, in their order."""
        return [head.request_id for head in self.planned().starts]

    def starts_by_team(self) -> Counter[str]:
        """Return how many requests of each team start."""
        return Counter(head.team for head in self.planned().starts)

    def reason(self, request_id: str) -> WaitReason:
        """Return why a request waits."""
        (found,) = [w.reason for w in self.planned().waits if w.head.request_id == request_id]
        return found


def jobs(fields: Mapping[str, Any]) -> Iterator[RunningJob]:
    """Yield a running job, or several that use only their slots."""
    team = None if fields["team"] == "none" else fields["team"]
    for number in range(fields.get("tuning_jobs", 1)):
        yield RunningJob(
            tuning_job_name=f"{team}-{number}", team=team, instances=instances_of(fields)
        )


def several(team: str, text: str, first: int) -> Iterator[Head]:
    """Yield the requests that a text names, such as ``60 requests of one slot``."""
    found = SEVERAL.fullmatch(text)
    assert found, text
    kind = found["of"]
    instances = {} if kind == "slot" else {TYPES[kind]: 1}
    for number in range(int(found["count"])):
        yield queued(team, f"{kind}-{first + number}", 0, instances, int(found["priority"] or 0))


def instances_of(fields: Mapping[str, Any]) -> dict[str, int]:
    """Return the instances by their whole types."""
    return {TYPES[name]: count for name, count in fields.items() if name in TYPES}


def shares_over_turns(scene: Scene, turns: int) -> Counter[str]:
    """Return how many of so many turns each team gets on a quota of one."""
    delivered, usage = Counter[str](), dict[str, float]()
    for _ in range(turns):
        (head,) = scene.planned(**usage).starts
        delivered[head.team] += 1
        used = [Used(head.team, head.needs, TURN.total_seconds())]
        usage = updated(usage, used, scene.capacity.limits, TURN, HALF_LIFE)
    return delivered


def a_full_type(scene: Scene) -> None:
    assert scene.starts() == ["c"]
    assert scene.reason("g").kind is WaitKind.INSTANCES
    assert scene.reason("g").text.startswith(f"{G5} 1/1 in use, 1 needed")


def a_lowered_limit(scene: Scene) -> None:
    assert scene.starts() == ["g"]


def only_b_starts(scene: Scene) -> None:
    assert scene.starts() == ["b"]


def ten_of_eleven(scene: Scene) -> None:
    delivered = shares_over_turns(scene, 440)
    assert delivered["b"] == pytest.approx(400, abs=4)


def the_one_behind_is_reserved_for(scene: Scene) -> None:
    assert scene.starts() == []
    assert scene.reason("s").text.endswith("reserved for a/big")
    assert scene.reason("never").kind is WaitKind.NEVER_FITS
    assert scene.planned().reservation_timers.keys() == {("a", "big"), ("b", "s")}


def half_of_each(scene: Scene) -> None:
    assert scene.starts_by_team() == {"a": 25, "b": 25}


def high_first(scene: Scene) -> None:
    assert scene.starts()[0] == "high"


def nothing_idles_for_a(scene: Scene) -> None:
    free = scene.capacity.tuning_jobs - len(scene.running)
    assert scene.starts_by_team() == {"b": free}


def all_shapes_in_the_first_cycle(scene: Scene) -> None:
    by_type = Counter(each for head in scene.planned().starts for each in head.instances)
    assert by_type == {G5: 4, M5: 20}
    assert by_type == types_in_the_first_cycle(scene)


def types_in_the_first_cycle(scene: Scene) -> Counter[str]:
    """Return the types of the instances that the dispatcher's first cycle uses."""
    arrivals = [
        Arrival(
            at=0, team=head.team, request_id=head.request_id, seconds=600,
            instance_type=next(iter(head.instances)),
        )
        for queue in scene.queues.values()
        for head in queue
    ]  # fmt: skip
    instances = dict(scene.capacity.instances)
    account = Simulation(
        Workload(name="case", arrivals=arrivals, teams={"a": {}}, instances=instances)
    )
    for arrival in arrivals:
        account.send(arrival)
    account.dispatcher.run(ample_time())
    started = [entry for entry in account.requests.entries.values() if entry.started_at]
    return Counter(each for entry in started for each in entry.instances)


RIGHT: dict[str, Callable[[Scene], None]] = {
    'c starts; g waits for g5 (never "at its ceiling")': a_full_type,
    "g starts": a_lowered_limit,
    "b starts, now or within a bound that the documentation states": only_b_starts,
    "b starts": only_b_starts,
    "over many turns b gets ten of eleven": ten_of_eleven,
    "big gets the reservation; never is parked with its reason and costs no budget": (
        the_one_behind_is_reserved_for
    ),
    "25 of each start": half_of_each,
    "high starts first": high_first,
    "100 of b start, or as many as leave a what its guarantee could use today (0)": (
        nothing_idles_for_a
    ),
    "4 of g5 and 20 of m5 start in the first cycle": all_shapes_in_the_first_cycle,
}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_what_the_case_says_is_right(case: dict[str, Any]) -> None:
    RIGHT[case["right"]](Scene.of(case))
