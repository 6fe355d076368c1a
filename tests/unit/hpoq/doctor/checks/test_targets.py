from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from hpo_dispatcher.contract.documents.capacity import CapacityDocument, ResourceUse, TargetUse
from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.settings import parse_deployment
from hpoq.doctor.checks import targets
from hpoq.doctor.examined import Examined
from hpoq.errors import NotReachable
from tests.support.tuning_requests import ENVIRONMENT

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TARGETS = {
    "home": {"account": "111111111111", "region": "us-east-1"},
    "research": {"account": "222222222222", "region": "us-east-1"},
}
NEVER = datetime(2000, 1, 1, tzinfo=UTC)
DENIED = "no answer from target research: sts:AssumeRole: AccessDenied"


def found(
    examined: Examined,
    settings: dict[str, Any],
    read_at: datetime | None = None,
    on: Callable[[str], Any] = str,
    **problems: str,
) -> list[str]:
    """Return what the check finds after a cycle with these problems."""
    deployment = parse_deployment({"teams": {"fraud": {}}, **settings})
    use = ResourceUse(limit=100)
    there = TargetUse(tuning_jobs=use, problem=problems.get("research", ""))
    document = CapacityDocument(
        at=NOON, tuning_jobs=use, targets={"research": there}, problem=problems.get("home", "")
    )
    content = json.dumps({"at": (read_at or datetime.now(UTC)).isoformat()})
    documents = {} if read_at is NEVER else {"quotas-research": content}
    vars(examined)["settings"] = SettingsDocument.of(ENVIRONMENT, deployment, {})
    vars(examined)["reader"] = SimpleNamespace(
        capacity=lambda: document, document=documents.get, on=on
    )
    return [str(each) for each in targets.answer(examined)]


def test_a_deployment_without_targets_is_not_asked_about_them(examined: Examined) -> None:
    assert found(examined, {}) == []


def test_every_target_that_answered_is_named(examined: Examined) -> None:
    home, research = found(examined, {"targets": TARGETS})
    assert "home answered the last cycle" in home
    assert "research answered the last cycle" in research


def test_a_target_that_did_not_answer_is_a_fault_with_its_fix(examined: Examined) -> None:
    home, research = found(examined, {"targets": TARGETS}, research=DENIED)
    assert "home answered the last cycle" in home
    assert DENIED in research
    assert "npx cdk deploy hpoq-research" in research


@pytest.mark.parametrize(
    ("read_at", "said"),
    [
        (NEVER, "the quotas of research have never been read. Requests"),
        (NOON, "the quotas of research were last read at 2026-11-23 12:00:00 UTC. Requests"),
    ],
)
def test_quotas_that_are_not_read_are_a_warning_with_the_permission(
    examined: Examined, read_at: datetime, said: str
) -> None:
    *_, warned = found(examined, {"targets": TARGETS}, read_at)
    assert warned.startswith(said)
    assert warned.endswith("may call servicequotas:ListServiceQuotas")


def test_who_cannot_read_a_target_is_told(examined: Examined) -> None:
    def no_profile(target: str) -> None:
        raise NotReachable(f"target {target} is in account 222222222222. Add the profile")

    home, research, warned = found(examined, {"targets": TARGETS}, on=no_profile)
    assert "answered the last cycle" in home + research
    assert warned == (
        "you cannot read results there: target research is in account 222222222222. Add the profile"
    )
