"""Why a request does not start on a target yet: its data."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hpo_dispatcher.cycle.targets.arrivals import DataArrivals
from hpo_dispatcher.ports import AccountFault, NotReplicated, Unavailable
from hpo_dispatcher.tuning_job.targets.copies import Copies

COPIES = Copies(home="home", target="there", folders=("shared/",))


class Compared:
    """``Replicas`` with given differences, which counts the comparisons."""

    def __init__(self, **differences: str) -> None:
        self.differences = differences
        self.compared: list[str] = []

    def difference(self, prefix: str) -> str | None:
        self.compared.append(prefix)
        if prefix == "shared/down/":
            raise Unavailable("s3:ListBucketVersions: throttled")
        return self.differences.get(prefix.split("/")[1])


def reads(*folders: str) -> dict[str, Any]:
    channels = [
        {"DataSource": {"S3DataSource": {"S3Uri": f"s3://there/shared/{each}/"}}}
        for each in folders
    ]
    return {"TrainingJobDefinition": {"InputDataConfig": channels}}


def builder(target: str = "research", copies: Copies | None = COPIES) -> Any:
    return SimpleNamespace(target=target, copies=copies)


def test_a_request_whose_data_has_arrived_starts() -> None:
    arrivals = DataArrivals({"research": Compared()})
    assert arrivals.problem(builder(), reads("churn", "images")) is None


def test_a_request_waits_for_the_first_object_that_has_not() -> None:
    arrivals = DataArrivals({"research": Compared(images="shared/images/7.png")})
    assert arrivals.problem(builder(), reads("churn", "images")) == NotReplicated(
        "waits for its data on research, which is not yet what it is at home: "
        "s3://home/shared/images/7.png differs or is missing there"
    )


def test_data_that_many_requests_read_is_compared_once_in_a_cycle() -> None:
    compared = Compared(images="shared/images/7.png")
    arrivals = DataArrivals({"research": compared})
    for _ in range(3):
        arrivals.problem(builder(), reads("churn"))
        arrivals.problem(builder(), reads("images"))
    assert compared.compared == ["shared/churn/", "shared/images/"]


def test_a_bucket_that_does_not_answer_is_a_fault_of_the_account() -> None:
    """The request has no tuning job, so it may wait as for any other fault."""
    problem = DataArrivals({"research": Compared()}).problem(builder(), reads("down"))
    assert problem == AccountFault(
        "its data on research was not compared: s3:ListBucketVersions: throttled"
    )


def test_nothing_is_compared_where_nothing_is_replicated() -> None:
    compared = Compared(churn="shared/churn/1.csv")
    arrivals = DataArrivals({"research": compared})
    assert arrivals.problem(builder("home", None), reads("churn")) is None
    assert arrivals.problem(builder("other"), reads("churn")) is None
    assert compared.compared == []
