"""The settings of targets: what they accept, and one line for what they do not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.settings import Deployment, parse_deployment

HOME = {"account": "111111111111", "region": "us-east-1"}
RESEARCH = {"account": "222222222222", "region": "us-east-1"}
BOTH = {"home": HOME, "research": RESEARCH}


def settings(**fields: Any) -> Deployment:
    return parse_deployment({"teams": {"fraud": {}, "vision": {}}, **fields})


def test_without_the_setting_home_is_the_only_target() -> None:
    deployment = settings()
    assert list(deployment.targets) == ["home"]
    assert deployment.targets_for("fraud") == ("home",)


def test_home_alone_needs_no_account() -> None:
    assert settings(targets={"home": {}}) == settings()


def test_a_team_may_use_the_targets_that_admit_it() -> None:
    targets = {"home": HOME, "research": {**RESEARCH, "teams": ["vision"]}}
    deployment = settings(targets=targets)
    assert deployment.targets_for("vision") == ("home", "research")
    assert deployment.targets_for("fraud") == ("home",)


def test_the_settings_document_of_a_deployment_without_targets_is_as_before() -> None:
    """Earlier clients reject settings that they do not know."""
    written = json.loads(settings().model_dump_json())
    assert "targets" not in written
    assert "targets" not in written["teams"]["fraud"]


def test_targets_are_written_and_read() -> None:
    deployment = settings(targets=BOTH)
    assert parse_deployment(json.loads(deployment.model_dump_json())) == deployment


def replicating(*folders: str, **research: Any) -> dict[str, Any]:
    there = {**RESEARCH, **research, "replicate": list(folders)}
    return {"targets": {"home": HOME, "research": there}}


def test_folders_that_requests_on_the_target_read_are_replicated() -> None:
    folders = ("shared/", "data/credit-default/", "teams/fraud/", "teams/vision/data/")
    deployment = settings(**replicating(*folders))
    assert deployment.targets["research"].replicate == folders
    assert parse_deployment(json.loads(deployment.model_dump_json())) == deployment


def test_a_target_without_replication_is_written_as_before() -> None:
    """Earlier clients reject settings that they do not know."""
    assert "replicate" not in settings(targets=BOTH).model_dump_json()


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            replicating("output/"),
            "settings: targets.research.replicate: no request there reads 'output/'. Use shared/ "
            "or data/ or teams/fraud/ or teams/vision/ or a folder in one of them",
        ),
        (
            replicating("teams/fraud/data/", teams=["vision"]),
            "settings: targets.research.replicate: no request there reads 'teams/fraud/data/'. Use "
            "shared/ or data/ or teams/vision/ or a folder in one of them",
        ),
        (
            replicating("shared/*"),
            "settings: targets.research.replicate.0: 'shared/*' is not a folder of the artifact "
            "bucket. Use one like shared/ or teams/fraud/data/",
        ),
        (
            replicating("shared/churn/", "shared/"),
            "settings: targets.research.replicate: 'shared/churn/' is in 'shared/'. Remove one of "
            "them",
        ),
        (
            replicating("shared/", "shared/"),
            "settings: targets.research.replicate: a folder is named twice. Name each once",
        ),
        (
            replicating(*(f"shared/{number}/" for number in range(1001))),
            "settings: targets: more folders than S3 takes rules. Name at most 1000 in all, such "
            "as a folder that has others in it",
        ),
        (
            {"targets": {"home": {**HOME, "replicate": ["shared/"]}, "research": RESEARCH}},
            "settings: targets.home.replicate: it is home's bucket that is replicated. Remove it",
        ),
        (
            {"targets": {"research": RESEARCH}},
            'settings: targets: home is missing. Add "home" with the account and the Region of the '
            "deployment",
        ),
        (
            {"targets": {"home": {}, "research": RESEARCH}},
            "settings: targets.home.account: missing. With several targets, each needs its account "
            "and its Region",
        ),
        (
            {"targets": {"home": HOME, "research": {"account": "222222222222"}}},
            "settings: targets.research.region: missing. With several targets, each needs its "
            "account and its Region",
        ),
        (
            {"targets": {"home": HOME, "research": HOME}},
            "settings: targets.research: has the account and the Region of home, and so the same "
            "quotas. Remove one of them",
        ),
        (
            {"targets": {"home": {"tuning_jobs": 50}}},
            "settings: targets.home.tuning_jobs: not a setting of home. Set limits.tuning_jobs",
        ),
        (
            {"targets": {"home": HOME, "research": {**RESEARCH, "teams": ["speech"]}}},
            "settings: targets.research.teams: there is no team 'speech'. Use fraud, vision",
        ),
        (
            {"targets": {"home": HOME, "Research": RESEARCH}},
            "settings: targets.Research: 'Research' is not the name of a target. Use at most 20 "
            "lower-case letters, digits and hyphens, a letter first",
        ),
        (
            {"targets": {"home": HOME, "research": {**RESEARCH, "account": "2222"}}},
            "settings: targets.research.account: '2222' is not the id of an AWS account. Use its "
            "12 digits, in quotes",
        ),
        (
            {"targets": {"home": HOME, "research": {**RESEARCH, "region": "Frankfurt"}}},
            "settings: targets.research.region: 'Frankfurt' is not the name of a Region. Use one "
            "like eu-central-1",
        ),
        (
            {"targets": {"home": HOME, "research": {**RESEARCH, "instances": {"m5.large": 2}}}},
            "settings: targets.research.instances: m5.large is not an instance type of SageMaker. "
            "Did you mean ml.m5.large?",
        ),
        (
            {"targets": BOTH, "guardrails": {"volume_kms_key": "alias/hpoq"}},
            "settings: targets.research.guardrails.volume_kms_key: missing. Set "
            "guardrails.volume_kms_key of the target: home's is in another place",
        ),
        (
            {"targets": BOTH, "teams": {"fraud": {"targets": ["reserch"]}}},
            "settings: teams.fraud.targets: team fraud may not use a target 'reserch'. Use home or "
            "research",
        ),
    ],
)
def test_a_wrong_setting_gets_one_line(fields: dict[str, Any], line: str) -> None:
    with pytest.raises(InvalidSettings) as error:
        settings(**fields)
    assert str(error.value) == line
