"""When a request may start that waits for others, and when it never can."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import BlockedEntry, Entry, Status
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.scheduling.dependencies import (
    Hopeless,
    Ready,
    Verdict,
    Waiting,
    cyclic,
    graph_of,
    judge,
    may_change,
    parents_outside,
    targets_of_warm_start,
    warm_start_problem,
)
from tests.support.scheduling_scene import NOON

FORTNIGHT = timedelta(days=14)  # a message stays so long in its queue: SetQueueAttributes
NEVER_CAME = Hopeless("dependency p did not arrive within 14 days")


def child(*parents: str) -> BlockedEntry:
    return BlockedEntry(team="fraud", request_id="child", after=parents, warm_start_from=())


def parent(status: Status, request_id: str = "p") -> Entry:
    return Entry(team="fraud", request_id=request_id, status=status, accepted_at=NOON)


# For every state of a parent: a parent without a result ends its child, a stopped one has results.
VERDICTS: dict[Status, Verdict] = {
    Status.QUEUED: Waiting("waits for p (Queued)"),
    Status.IN_PROGRESS: Waiting("waits for p (InProgress)"),
    Status.STOPPING: Waiting("waits for p (Stopping)"),
    Status.STOPPED: Ready(),
    Status.COMPLETED: Ready(),
    Status.FAILED: Hopeless("dependency p is Failed"),
    Status.CANCELLED: Hopeless("dependency p is Cancelled"),
    Status.REJECTED: Hopeless("dependency p is Rejected"),
}


@pytest.mark.parametrize("status", Status)
def test_the_state_of_its_parent_decides_about_a_request(status: Status) -> None:
    verdict = judge(child("p"), {"p": parent(status)}, {}, waited=timedelta(days=99))
    assert verdict == VERDICTS[status]


@pytest.mark.parametrize("status", Status)
def test_a_request_is_judged_again_unless_its_parent_has_still_to_end(status: Status) -> None:
    blocked = child("p")
    graph = graph_of([blocked])
    outside = {("fraud", "p"): parent(status)}
    again = may_change(blocked, graph, outside, cyclic(graph))
    assert again is not isinstance(VERDICTS[status], Waiting)


def test_a_parent_that_is_not_in_the_ledger_is_waited_for_a_fortnight_and_no_longer() -> None:
    blocked = child("p")
    graph = graph_of([blocked])
    assert may_change(blocked, graph, {}, cyclic(graph)), "it may have waited long enough"
    assert judge(blocked, {}, {}, FORTNIGHT) == Waiting("waits for p (not in the ledger yet)")
    assert judge(blocked, {}, {}, FORTNIGHT + timedelta(seconds=1)) == NEVER_CAME


def test_one_parent_of_several_decides_only_if_it_has_no_result() -> None:
    blocked = child("done", "p")
    graph = graph_of([blocked])
    done = parent(Status.COMPLETED, "done")
    for status, verdict in VERDICTS.items():
        parents = {"done": done, "p": parent(status)}
        outside = {("fraud", name): each for name, each in parents.items()}
        assert judge(blocked, parents, {}) == verdict
        again = may_change(blocked, graph, outside, cyclic(graph))
        assert again is not isinstance(verdict, Waiting)


def test_a_request_behind_one_that_waits_itself_is_not_judged_again() -> None:
    first, second = child("p"), BlockedEntry(
        team="fraud", request_id="second", after=("child",), warm_start_from=()
    )  # fmt: skip
    graph = graph_of([first, second])
    outside = {("fraud", "p"): parent(Status.COMPLETED)}
    assert may_change(first, graph, outside, cyclic(graph))
    assert not may_change(second, graph, outside, cyclic(graph))


def test_a_parent_of_another_team_is_not_the_parent() -> None:
    blocked = child("p")
    graph = graph_of([blocked])
    outside = {("vision", "p"): parent(Status.IN_PROGRESS)}
    assert may_change(blocked, graph, outside, cyclic(graph))


def warm(*parents: str, after: tuple[str, ...] = ()) -> BlockedEntry:
    return BlockedEntry(team="fraud", request_id="child", after=after, warm_start_from=parents)


@pytest.mark.parametrize(
    ("blocked", "outside", "again"),
    [
        (child("p", "q"), [parent(Status.IN_PROGRESS)], True),  # q may never arrive
        (child("p", "q"), [parent(Status.COMPLETED), parent(Status.IN_PROGRESS, "q")], False),
        (child("p", "q"), [parent(Status.COMPLETED), parent(Status.STOPPED, "q")], True),
        (child("p", "q"), [parent(Status.IN_PROGRESS), parent(Status.FAILED, "q")], True),
        (warm("p"), [parent(Status.IN_PROGRESS)], True),  # the searches may not match
        (warm("p", after=("q",)), [parent(Status.QUEUED), parent(Status.QUEUED, "q")], True),
    ],
)
def test_a_request_is_judged_again_if_any_of_its_parents_may_decide(
    blocked: BlockedEntry, outside: list[Entry], again: bool
) -> None:
    graph = graph_of([blocked])
    found = may_change(blocked, graph, {each.key: each for each in outside}, cyclic(graph))
    assert found is again


def search(**fields: Any) -> TuningRequest:
    """Return a request; names stand for the hyperparameters that it searches or sets."""
    ranges = {
        name: {"type": "continuous", "min": 0, "max": 1} for name in fields.pop("searched", "a")
    }
    static = dict.fromkeys(fields.pop("static", ""), 1)
    return TuningRequest.model_validate(
        {
            "request_id": "r", "hyperparameter_ranges": ranges, "hyperparameters": static,
            **fields,
        }
    )  # fmt: skip


AUC, LOSS = {"metric": "auc", "type": "Maximize"}, {"metric": "loss", "type": "Minimize"}


@pytest.mark.parametrize(
    ("now", "before", "problem"),
    [
        (search(), search(), ""),
        (search(objective=AUC), search(objective=AUC), ""),
        (search(objective=AUC), search(objective=LOSS), "it has another objective"),
        (search(objective=AUC), search(objective=AUC | {"type": "Minimize"}),
         "it has another objective"),
        # Of one template, only one of them can differ from it.
        (search(objective=AUC), search(), "it has another objective"),
        # The objectives of other templates are not known here.
        (search(objective=AUC, template="x"), search(template="y"), ""),
        (search(objective=AUC, template="x"), search(objective=LOSS, template="y"),
         "it has another objective"),
        (search(searched="a"), search(searched="ab"), "it searched b, which this request lacks"),
        (search(searched="a", static="b"), search(searched="ab"), ""),
        (search(searched="ab"), search(searched="a"), "it lacks b"),
        (search(searched="ab"), search(searched="a", static="b"), ""),
        (search(searched="bc"), search(searched="bca"), "it searched a, which this request lacks"),
        (search(searched="cba"), search(searched="c"), "it lacks a"),
    ],
)  # fmt: skip
def test_searches_match_in_their_objective_and_their_hyperparameters(
    now: TuningRequest, before: TuningRequest, problem: str
) -> None:
    """Developer guide, "Run a Warm Start Hyperparameter Tuning Job", restrictions."""
    assert warm_start_problem(now, before) == problem


def test_a_search_in_api_form_is_left_to_sagemaker() -> None:
    api = TuningRequest.model_validate({"request_id": "r", "api_request": {"x": 1}})
    assert warm_start_problem(api, search(searched="b")) == ""
    assert warm_start_problem(search(), api) == ""


def with_request(request: TuningRequest | None, status: Status = Status.COMPLETED) -> Entry:
    text = request.to_json() if request else ""
    return replace(parent(status), request_json=text)


@pytest.mark.parametrize(
    ("now", "before", "verdict"),
    [
        (search(), None, Waiting("waits for p (not in the ledger yet)")),
        (search(), with_request(search()), Ready()),
        (search(), with_request(search(searched="b")),
         Hopeless("warm start from p: it searched b, which this request lacks")),
        (search(), with_request(None), Ready()),  # a rebuilt entry: SageMaker decides
        (None, with_request(search(searched="b")), Ready()),
        (search(), with_request(search(searched="b"), Status.IN_PROGRESS),
         Hopeless("warm start from p: it searched b, which this request lacks")),
    ],
)  # fmt: skip
def test_a_warm_start_is_judged_by_the_searches_as_far_as_they_are_known(
    now: TuningRequest | None, before: Entry | None, verdict: Verdict
) -> None:
    blocked = replace(warm("p"), request=now)
    assert judge(blocked, {"p": before} if before else {}, {}) == verdict


EITHER = ("home", "eu")


@pytest.mark.parametrize(
    ("parents", "targets"),
    [
        ({}, EITHER),  # without parents it may run on each of its targets
        ({"p": "home"}, ("home",)),
        ({"p": "eu"}, ("eu",)),
        ({"p": "eu", "q": "eu", "s": "eu"}, ("eu",)),
        ({"p": "us"}, Hopeless("warm start from p: it ran on us, where this one may not")),
        ({"p": "home", "q": "eu"}, Hopeless(
            "a warm start needs parents on one target: p ran on home, q ran on eu")),
        ({"p": "home", "q": "home", "s": "eu", "t": "us"}, Hopeless(
            "a warm start needs parents on one target: q ran on home, s ran on eu, t ran on us")),
    ],
)  # fmt: skip
def test_a_warm_start_runs_where_all_of_its_parents_ran(
    parents: dict[str, str], targets: tuple[str, ...] | Hopeless
) -> None:
    """The API names parents without an account or a Region: ParentHyperParameterTuningJob."""
    entry = replace(parent(Status.QUEUED, "child"), targets=EITHER)
    ran = [
        replace(parent(Status.COMPLETED, name), target=target) for name, target in parents.items()
    ]
    assert targets_of_warm_start(entry, ran) == targets


def test_a_request_waits_for_each_parent_that_has_not_ended() -> None:
    blocked = BlockedEntry(
        team="fraud", request_id="child", after=("done", "runs"), warm_start_from=("gone",)
    )
    parents = {
        "done": parent(Status.COMPLETED, "done"), "runs": parent(Status.IN_PROGRESS, "runs"),
    }  # fmt: skip
    assert judge(blocked, parents, {}) == Waiting(
        "waits for runs (InProgress), gone (not in the ledger yet)"
    )


def test_only_parents_that_are_not_blocked_themselves_are_looked_up_and_each_of_them_once() -> None:
    graph = graph_of(
        [
            child("p", "q"),
            BlockedEntry(team="fraud", request_id="next", after=("child", "q"), warm_start_from=()),
            BlockedEntry(team="vision", request_id="v", after=("child", "q"), warm_start_from=()),
        ]
    )
    assert parents_outside(graph) == [
        ("fraud", "p"), ("fraud", "q"), ("vision", "child"), ("vision", "q"),
    ]  # fmt: skip
