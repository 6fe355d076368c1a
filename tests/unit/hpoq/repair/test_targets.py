"""Which targets are read, and which tuning job counts for a request that has one on two of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpo_dispatcher.contract.entry import Entry, Status
from hpoq.errors import NotPermitted, NotReachable
from hpoq.repair import targets
from hpoq.repair.decision import TaggedJob
from hpoq.repair.targets import chosen, read_targets

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def job(target: str, status: Status = Status.IN_PROGRESS, **fields: Any) -> TaggedJob:
    default: dict[str, Any] = {
        "name": "fraud-a-ab12cd34", "team": "fraud", "request_id": "a", "created_at": NOON,
        "ended_at": None, "failure_reason": "", "counters": {}, "best": None, "instances": {},
        "max_training_jobs": 1, "max_parallel": 1,
    }  # fmt: skip
    return TaggedJob(target=target, status=status, **(default | fields))


def entry(status: Status, target: str, name: str = "fraud-a-ab12cd34") -> Entry:
    return Entry(
        team="fraud", request_id="a", status=status, accepted_at=NOON,
        tuning_job_name=name, target=target, targets=("home", "west"),
    )  # fmt: skip


HOME, WEST = job("home"), job("west")


@pytest.mark.parametrize(("target", "expected"), [("home", HOME), ("west", WEST)])
def test_the_one_that_the_ledger_promised(target: str, expected: TaggedJob) -> None:
    assert chosen([HOME, WEST], entry(Status.IN_PROGRESS, target)) is expected


@pytest.mark.parametrize("was", [None, entry(Status.QUEUED, "home", "")])
def test_otherwise_one_that_runs_and_then_the_newest(was: Entry | None) -> None:
    ended = job("home", Status.COMPLETED, created_at=NOON + timedelta(hours=1))
    assert chosen([ended, WEST], was) is WEST
    later = job("home", created_at=NOON + timedelta(hours=1))
    assert chosen([later, WEST], was) is later


def test_none_for_a_request_that_ended_elsewhere() -> None:
    assert chosen([WEST], entry(Status.COMPLETED, "home")) is None
    assert chosen([HOME, WEST], entry(Status.COMPLETED, "home")) is HOME


class Deployment:
    """A client of a deployment with home and a target, some of whose places deny every call."""

    deployment = "hpoq"
    settings = SimpleNamespace(deployment=SimpleNamespace(targets=["home", "west"]))

    def __init__(self, *denied: str) -> None:
        self._denied = denied

    def on(self, target: str) -> Any:
        if target not in self.settings.deployment.targets:
            raise NotReachable(f"the settings of hpoq have no target {target!r}")
        return SimpleNamespace(service=lambda *_: target)

    def jobs(self, target: str, *_: object) -> dict[tuple[str, str], TaggedJob]:
        if target in self._denied:
            answer: Any = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
            raise ClientError(answer, "ListHyperParameterTuningJobs")
        return {("fraud", "a"): HOME if target == "home" else WEST}


def read(client: Any, monkeypatch: pytest.MonkeyPatch, *entries: Entry) -> targets.TargetJobs:
    monkeypatch.setattr(targets, "tagged_jobs", client.jobs)
    return read_targets(client, {each.key: each for each in entries})


def test_a_tuning_job_beside_the_one_that_counts_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(Deployment(), monkeypatch, entry(Status.IN_PROGRESS, "west"))
    assert found.jobs == {("fraud", "a"): WEST}
    assert (found.unread, found.further) == ({}, [HOME])


def test_a_target_whose_calls_are_denied_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(Deployment("west"), monkeypatch)
    assert found.jobs == {("fraud", "a"): HOME}
    assert list(found.unread) == ["west"]
    assert found.unread["west"].startswith("target west: your credentials do not allow List")


def test_home_must_be_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotPermitted, match="target home: your credentials do not allow"):
        read(Deployment("home"), monkeypatch)


@pytest.mark.parametrize(
    ("status", "unread"), [(Status.IN_PROGRESS, ["gone"]), (Status.COMPLETED, [])]
)
def test_a_target_that_only_the_ledger_names_is_not_read_if_a_request_may_run_there(
    status: Status, unread: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(read(Deployment(), monkeypatch, entry(status, "gone")).unread) == unread
