"""The pages of requests, tuning jobs and training jobs that are on another target than home."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hpo_dispatcher.contract.documents.capacity import ResourceUse, TargetUse
from hpo_dispatcher.contract.entry import BestTrainingJob, Status
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpo_dispatcher.contract.targets.resources import quotas_document
from tests.support.dispatcher_account import (
    FAR_FUTURE,
    QUOTAS,
    REGION,
    Account,
    account,
    session,
    write_quotas,
)
from tests.support.page_scene import FAILED, NOW, RUNNING, SceneSession, capacity, entry, put, scene
from tests.support.page_visitor import visit

__all__ = ["account", "session"]

TARGETS = {
    "home": {"account": "123456789012", "region": REGION},
    "west": {"account": "123456789012", "region": "us-west-2"},
    "research": {"account": "222222222222", "region": "us-east-1"},
}
DENIED = "no answer from target research: sts:AssumeRole: AccessDenied"
BEST = BestTrainingJob(name="there-003", objective=0.9, metric="auc", hyperparameters={})


class RegionalSession(SceneSession):
    """A session that records in which Regions its services were asked."""

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.regions: set[tuple[str, str]] = set()

    def client(self, service: str, **options: Any) -> Any:
        self.regions.add((service, options.pop("region_name", REGION)))
        return super().client(service, **options)

    def get_credentials(self) -> None:
        return None


@pytest.fixture
def pages(account: Account, monkeypatch: pytest.MonkeyPatch) -> RegionalSession:
    """A deployment with targets: one in another Region, one in an account without a profile."""
    monkeypatch.setenv("AWS_CONFIG_FILE", "/none")
    account.configure(targets=TARGETS)
    for target in ("west", "research"):
        write_quotas(account, QUOTAS, FAR_FUTURE, quotas_document(target))
    scene(account)
    started = {"started_at": NOW, "counters": {"Completed": 1, "NonRetryableError": 1}}
    put(account, [
        entry("there", Status.IN_PROGRESS, tuning_job_name=RUNNING, targets=("west",),
              target="west", best=BEST, **started),
        entry("closed", Status.IN_PROGRESS, tuning_job_name=FAILED, targets=("research",),
              target="research", **started),
    ])  # fmt: skip
    use = ResourceUse(limit=100, in_use=7)
    targets = {
        "west": TargetUse(tuning_jobs=use),
        "research": TargetUse(tuning_jobs=use, problem=DENIED),
    }
    document = capacity([]).model_copy(update={"targets": targets, "at": datetime.now(UTC)})
    account.dispatcher().documents.put(CAPACITY_DOCUMENT, document.to_json())
    return RegionalSession(account)


def test_the_overview_shows_targets_their_use_and_which_did_not_answer(
    pages: RegionalSession,
) -> None:
    text = visit(pages)
    assert "<th>target</th>" in text
    assert '<td data-label="target">west</td>' in text
    assert "<td>west/tuning jobs</td>" in text
    assert DENIED in text
    assert f'href="/tuning-jobs/{RUNNING}?target=west"' in text


def test_a_request_leads_to_its_jobs_on_its_target(pages: RegionalSession) -> None:
    text = visit(pages, "/requests/fraud/there")
    assert "<dt>target</dt><dd>west</dd>" in text
    assert 'href="/training-jobs/tuned-012?target=west"' in text  # the best so far
    assert "progress is not shown" not in text
    assert ("sagemaker", "us-west-2") in pages.regions


def test_a_request_on_a_target_without_access_says_so(pages: RegionalSession) -> None:
    text = visit(pages, "/requests/fraud/closed")
    assert "Its progress is not shown: target research is in account 222222222222" in text
    assert "has no profile hpoq-research" in visit(pages, f"/tuning-jobs/{FAILED}?target=research")


@pytest.mark.parametrize(
    ("path", "service"),
    [
        (f"/tuning-jobs/{RUNNING}?target=west", "sagemaker"),
        (f"/tuning-jobs/{RUNNING}/figures.json?target=west", "sagemaker"),
        ("/training-jobs/there-003?target=west", "sagemaker"),
        ("/training-jobs/there-003/log.json?target=west&first=0", "logs"),
    ],
)
def test_a_page_of_a_job_asks_its_target(pages: RegionalSession, path: str, service: str) -> None:
    text = visit(pages, path)
    assert (service, "us-west-2") in pages.regions
    if ".json" in path:
        assert (service, REGION) not in pages.regions
    else:  # which names the Region of home at its top
        assert 'json?target=west"' in text


def test_a_deployment_without_targets_shows_nothing_of_them(account: Account) -> None:
    text = visit(scene(account)) + visit(SceneSession(account), "/requests/fraud/nightly-auc")
    assert "target" not in text
