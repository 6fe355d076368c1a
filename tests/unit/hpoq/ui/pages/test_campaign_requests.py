"""Campaigns among the requests of the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hpo_dispatcher.contract.entry import EarlierJob, Status
from hpoq.ui.pages.campaign_requests import campaign_of, campaigns_in
from tests.support.page_scene import NOW, campaign_entries, entries, entry, request_json


def test_requests_with_the_tags_of_a_campaign_are_one_campaign() -> None:
    (found,) = campaigns_in([*entries(), *reversed(campaign_entries())])
    assert (found.team, found.name) == ("fraud", "credit")
    assert [each.request_id for each in found.entries] == [f"credit-{n:05}" for n in range(1, 6)]
    assert found.counts == {Status.COMPLETED: 3, Status.FAILED: 1, Status.IN_PROGRESS: 1}
    assert (found.completed, found.failed, found.planned) == (3 * 38, 3 * 2 + 40, 5 * 40)
    assert found.best is not None
    assert found.best.objective == 0.9301
    assert found.began == NOW - timedelta(minutes=129)
    assert found.running
    assert found.ended is None


def test_a_request_that_is_only_named_alike_belongs_to_no_campaign() -> None:
    assert campaign_of(entry("credit-00001")) == ""
    tagged = request_json("nightly", tags={"campaign-plan": "x"})
    assert campaign_of(entry("nightly", request_json=tagged)) == ""


def test_a_campaign_has_ended_when_all_its_requests_have() -> None:
    made = [each for each in campaign_entries() if each.status.ended]
    (found,) = campaigns_in(made)
    assert not found.running
    assert found.ended == max(each.ended_at for each in made if each.ended_at)


def test_lower_is_better_where_the_request_says_so() -> None:
    objective = {"metric": "loss", "type": "Minimize"}
    tags = {"campaign-plan": "x"}

    def sent(each: Any) -> Any:
        text = request_json(each.request_id, tags=tags, objective=objective)
        return replace(each, request_json=text)

    (found,) = campaigns_in(map(sent, campaign_entries()))
    assert found.best is not None
    assert found.best.objective == 0.9127


def test_training_jobs_of_preempted_tuning_jobs_count() -> None:
    first = campaign_entries()[0]
    earlier = EarlierJob(
        tuning_job_name="x", counters={"Completed": 5}, interrupted=1, seconds=9,
        instance_seconds=9, found=True,
    )  # fmt: skip
    (found,) = campaigns_in([replace(first, earlier=(earlier,))])
    assert found.completed == 43


def test_the_newest_campaign_comes_first_and_teams_stay_apart() -> None:
    old = campaign_entries()
    new = [
        replace(each, team="vision", accepted_at=each.accepted_at + timedelta(hours=1))
        for each in old
    ]
    assert [each.team for each in campaigns_in([*old, *new])] == ["vision", "fraud"]
