"""Notes on the reasons of waits, and the reasons of requests that may run on several targets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hpo_dispatcher.contract.documents.capacity import WaitKind, WaitReason
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.scheduling.plan import plan
from hpo_dispatcher.scheduling.reasons import with_notes
from hpo_dispatcher.scheduling.snapshot import Capacity, RunningJob, Snapshot, Wait
from tests.support.scheduling_scene import M5, NOON, decide, queued, running

EU = "eu"


@pytest.mark.parametrize("kind", WaitKind)
def test_notes_follow_the_text_of_a_reason_and_leave_its_kind(kind: WaitKind) -> None:
    noted, other, plain = (
        Wait(queued("a", name), WaitReason(kind=kind, text=f"why {name}"))
        for name in ("noted", "other", "plain")
    )
    notes = {noted.head.key: ("first", "second"), other.head.key: ()}
    assert with_notes([noted, other, plain], notes) == (
        Wait(noted.head, WaitReason(kind=kind, text="why noted; first; second")), other, plain,
    )  # fmt: skip
    assert with_notes([noted, plain], {}) == (noted, plain)


def used(m5: int, target: str) -> RunningJob:
    return RunningJob(tuning_job_name=target, team="b", instances={M5: m5}, target=target)


@pytest.mark.parametrize(
    ("needed", "kind", "text"),
    [
        # Only home has so many: what never fits on eu does not matter.
        (4, WaitKind.INSTANCES, "ml.m5.xlarge 4/4 in use, 4 needed; used by: b 4"),
        (5, WaitKind.NEVER_FITS,
         "needs 5 ml.m5.xlarge, the limit is 4: never fits; "
         "needs 5 eu/ml.m5.xlarge, the limit is 3: never fits"),
    ],
)  # fmt: skip
def test_a_request_waits_for_the_targets_on_which_it_may_ever_start(
    needed: int, kind: WaitKind, text: str
) -> None:
    head = replace(queued("a", "r", 0, {M5: needed}), targets=(HOME, EU))
    eu = Capacity(tuning_jobs=9, instances={M5: 3})
    capacity = Capacity(tuning_jobs=9, instances={M5: 4}, targets={EU: eu})
    snapshot = Snapshot(
        now=NOON, running_jobs=[used(4, HOME), used(3, EU)], queues={"a": [head]}
    )  # fmt: skip
    (wait,) = plan(snapshot, capacity, {}).waits
    assert wait.reason == WaitReason(kind=kind, text=text)


def test_equal_requests_of_one_team_share_a_reason_and_those_of_another_have_their_own() -> None:
    heads = [queued("a", "a1", 9), queued("a", "a2", 8), queued("b", "b1", 7)]
    decided = decide(*heads, running=running("a", 5), slots=5, a={"ceiling": 0.4})
    first, second, other = (wait.reason for wait in decided.waits)
    assert first is second
    assert first.text == other.text == "tuning jobs 5/5 in use, 1 needed; used by: a 5"
    at_ceiling = decide(*heads, running=running("a", 2), slots=5, a={"ceiling": 0.4})
    assert [wait.head.request_id for wait in at_ceiling.waits] == ["a1", "a2"]
    assert {wait.reason.kind for wait in at_ceiling.waits} == {WaitKind.TEAM_CEILING}
