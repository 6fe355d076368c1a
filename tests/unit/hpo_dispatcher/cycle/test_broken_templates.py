"""A broken template stops only its own requests, until a deployment brings the fixed one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.templates import TEMPLATES_DIRECTORY, read_templates
from tests.support.dispatcher_account import Account

UNKNOWN_FIELD = "description: x\nimage: y\nimgae: z\n"
REFUSED = "description: x\nimage: y\ntuning_job: {TrainingJobDefinition: {ResourceConfg: {}}}\n"


@pytest.fixture
def template(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file of a template `mine`, valid as deployed first."""
    folder = tmp_path / "templates"
    shutil.copytree(TEMPLATES_DIRECTORY, folder)
    shutil.copy(folder / "smoke.yaml", folder / "mine.yaml")
    monkeypatch.setattr("hpo_dispatcher.wiring.read_templates", lambda: read_templates(folder))
    return folder / "mine.yaml"


def entry(account: Account, request_id: str) -> Entry:
    found = account.dispatcher().requests.get("fraud", request_id)
    assert found is not None
    return found


@pytest.mark.parametrize("text", [UNKNOWN_FIELD, REFUSED], ids=["unknown field", "refused"])
def test_only_requests_for_the_broken_template_wait_and_say_why(
    account: Account, template: Path, text: str
) -> None:
    fixed = template.read_text()
    template.write_text(text)
    account.request("fraud", "waits", template="mine")
    account.request("vision", "starts", template="smoke")
    summary = account.cycle()
    assert len(account.tuning_jobs()) == 1
    assert entry(account, "waits").status is Status.QUEUED
    assert entry(account, "waits").reason.startswith("the template mine is broken (")
    assert summary.problems == ()
    assert account.cycle().account_faults == 1, "the alarm account-fault counts it"
    assert account.dead_letters("fraud") == []

    template.write_text(fixed)
    account.cycle()
    assert entry(account, "waits").status is Status.IN_PROGRESS
    assert entry(account, "waits").instances == {"ml.m5.large": 2}


def test_a_queued_request_waits_if_its_template_breaks(account: Account, template: Path) -> None:
    account.configure(limits={"tuning_jobs": 1})
    account.request("fraud", "first", template="smoke", priority=1)
    account.request("fraud", "second", template="mine")
    account.cycle()
    template.write_text(UNKNOWN_FIELD)
    account.configure(limits={"tuning_jobs": 2})
    account.cycle()
    assert entry(account, "second").status is Status.QUEUED
    assert "imgae" in entry(account, "second").reason
    assert account.dead_letters("fraud") == []


def test_a_fixed_template_under_which_the_request_is_invalid_rejects_it(
    account: Account, template: Path
) -> None:
    fixed = template.read_text()
    template.write_text(UNKNOWN_FIELD)
    metric = {"metric": "validation:nothing", "type": "Maximize"}
    account.request("fraud", "invalid", template="mine", objective=metric)
    account.cycle()
    assert entry(account, "invalid").status is Status.QUEUED
    template.write_text(fixed)
    account.cycle()
    assert entry(account, "invalid").status is Status.REJECTED
    (letter,) = account.dead_letters("fraud")
    assert letter["hpoq-field"] == "objective.metric"
