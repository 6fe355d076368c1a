"""Which tuning jobs use capacity on several targets, and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import RunningEntry, Status
from hpo_dispatcher.cycle.observe import observe
from hpo_dispatcher.cycle.outcome import Observation
from hpo_dispatcher.ports import TuningJob, TuningJobDetail, Unavailable
from tests.support.scheduling_scene import NOON, ago

HOME, EU, US = "home", "eu", "us"


@dataclass
class Answers:
    """SageMaker of a target, with the tuning jobs that it lists and describes."""

    listed: Sequence[str] = ()
    ended: Sequence[str] = ()
    trained_at: Mapping[str, datetime] = field(default_factory=dict)
    new: Mapping[str, Status] = field(default_factory=dict)  # described and not listed yet
    down: bool = False

    def in_progress(self) -> list[TuningJob]:
        if self.down:
            raise Unavailable("no route to host")
        return [TuningJob(name=each, status=Status.IN_PROGRESS) for each in self.listed]

    def describe(self, name: str) -> TuningJobDetail | None:
        if name in self.new:
            return _described(name, self.new[name])
        return self.search_ended([name]).get(name)

    def search_ended(self, names: Sequence[str]) -> dict[str, TuningJobDetail]:
        return {each: _described(each, Status.COMPLETED) for each in names if each in self.ended}

    def trained(self, _: Sequence[str]) -> Mapping[str, datetime]:
        return self.trained_at


def _described(name: str, status: Status) -> TuningJobDetail:
    return TuningJobDetail(
        name=name, status=status, counters={}, best=None, failure_reason="",
        ended_at=NOON if status.ended else None,
    )  # fmt: skip


def job(name: str, target: str = HOME, minutes: float = 30) -> RunningEntry:
    return RunningEntry(
        tuning_job_name=name, team="fraud", request_id=f"of-{name}", status=Status.IN_PROGRESS,
        instances={}, started_at=ago(minutes), target=target,
    )  # fmt: skip


class Ledger:
    """A ledger with these running requests."""

    def __init__(self, *jobs: RunningEntry) -> None:
        self.jobs = jobs

    def running(self) -> Sequence[RunningEntry]:
        return self.jobs


def observed(*jobs: RunningEntry, created: Sequence[str] = (), **services: Answers) -> Observation:
    ledger: Any = Ledger(*jobs)
    targets: Any = {HOME: Answers(), EU: Answers(), US: Answers(), **services}
    return observe(ledger, targets, created, NOON)


def test_tuning_jobs_of_others_are_named_with_their_target_and_ours_as_in_the_ledger() -> None:
    """Another user's tuning job on us has the name of ours on eu."""
    found = observed(
        job("ours", EU), home=Answers(["other"]), eu=Answers(["ours", "other"]),
        us=Answers(["ours", "other"]),
    )  # fmt: skip
    assert sorted(found.listed) == ["eu/other", "other", "ours", "us/other", "us/ours"]


def test_what_has_ended_or_was_not_created_yet_is_known_of_all_targets() -> None:
    found = observed(
        job("at-home"), job("ended", EU), job("missing", US),
        home=Answers(["at-home"]), eu=Answers(ended=["ended"]),
    )  # fmt: skip
    assert [each.tuning_job_name for each in found.active] == ["at-home", "ended", "missing"]
    assert [each.tuning_job_name for each, _ in found.ended] == ["ended"]
    assert [each.tuning_job_name for each in found.missing] == ["missing"]
    assert (found.unsure, found.unobserved, found.down) == (frozenset(), frozenset(), {})


def test_nothing_is_known_about_the_jobs_of_a_target_that_does_not_answer() -> None:
    found = observed(
        job("h"), job("e", EU), job("gone", "removed"), home=Answers(["h"]), eu=Answers(down=True)
    )
    assert found.unobserved == {("fraud", "of-e"), ("fraud", "of-gone")}
    assert found.down == {
        EU: "no answer from target eu: no route to host",
        "removed": "no answer from target removed: the settings have no target 'removed'",
    }
    assert [*found.listed] == ["h"]
    assert (found.ended, found.missing) == ([], [])


def test_without_any_answer_nothing_is_observed() -> None:
    with pytest.raises(Unavailable):
        observed(home=Answers(down=True), eu=Answers(down=True), us=Answers(down=True))


@pytest.mark.parametrize("status", [Status.IN_PROGRESS, Status.STOPPING])
def test_a_job_that_the_list_lacks_uses_capacity_as_describe_says(status: Status) -> None:
    found = observed(job("new", EU), job("other", EU), eu=Answers(["other"], new={"new": status}))
    assert found.listed == {
        "new": TuningJob(name="new", status=status),
        "other": TuningJob(name="other", status=Status.IN_PROGRESS),
    }
    assert (found.ended, found.missing) == ([], [])


@pytest.mark.parametrize(
    ("minutes", "in_use"), [(4.9, True), (5, False)], ids=["too new to be visible", "older"]
)
def test_a_job_that_existed_and_is_not_found_is_deleted_once_it_must_be_visible(
    minutes: float, in_use: bool
) -> None:
    found = observed(job("j", EU, minutes), created=["j"])
    assert found.listed == ({"j": TuningJob(name="j", status=Status.IN_PROGRESS)} if in_use else {})
    assert [(detail.status, detail.deleted) for _, detail in found.ended] == (
        [] if in_use else [(Status.STOPPED, True)]
    )
    assert found.missing == []


@dataclass
class WithoutSearch(Answers):
    """SageMaker whose Search does not answer."""

    def search_ended(self, names: Sequence[str]) -> dict[str, TuningJobDetail]:
        if len(names) > 1:
            raise Unavailable("sagemaker:Search: throttled")
        return super().search_ended(names)

    def trained(self, _: Sequence[str]) -> Mapping[str, datetime]:
        raise Unavailable("sagemaker:Search: throttled")


def test_without_search_a_recent_start_is_uncertain_on_each_target() -> None:
    eu, us = WithoutSearch(ended=["ended", "too"]), WithoutSearch()
    jobs = [job("ended", EU), job("too", EU), job("new", US), job("old", US, 60), job("e", EU, 59)]
    found = observed(*jobs, eu=eu, us=us)
    assert {each.tuning_job_name for each, _ in found.ended} == {"ended", "too"}
    assert {each.tuning_job_name for each in found.missing} == {"new", "old", "e"}
    assert found.unsure == {("fraud", "of-new"), ("fraud", "of-e")}


@pytest.mark.parametrize(("seconds", "existed"), [(60, True), (61, False)])
def test_a_training_job_may_be_older_than_its_entry_by_the_difference_of_two_clocks(
    seconds: int, existed: bool
) -> None:
    eu = Answers(trained_at={"j": ago(30) - timedelta(seconds=seconds)})
    found = observed(job("j", EU, 30), eu=eu)
    assert bool(found.ended) is existed
    assert bool(found.missing) is not existed
