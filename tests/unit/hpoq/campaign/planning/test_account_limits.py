"""The limits of a campaign over several targets."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.settings import parse_deployment
from hpo_dispatcher.contract.templates import read_templates
from hpoq.botocore_config import QUICK
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import AccountLimits
from hpoq.campaign.planning.account_limits import (
    TargetLimits,
    instance_quota,
    limits_of,
    over_targets,
    targets_of_campaign,
)
from hpoq.campaign.planning.compare import campaign_of, compare
from hpoq.campaign.planning.shapes import lanes
from hpoq.errors import NotDeployed, NotReachable
from tests.support.tuning_requests import ENVIRONMENT, RANGES, api_request

REQUEST: dict[str, Any] = {"hyperparameter_ranges": RANGES}
TEMPLATES = read_templates()

TARGETS: dict[str, dict[str, Any]] = {
    "home": {"account": ENVIRONMENT.account, "region": ENVIRONMENT.region},
    "research": {"account": "222222222222", "region": "us-east-1", "tuning_jobs": 60,
                 "instances": {"ml.m5.large": 40}, "headroom": {"ml.m5.large": 10}},
    "spare": {"account": "333333333333", "region": "us-east-1"},
}  # fmt: skip


def limits(tuning_jobs: int, instances: int | None) -> TargetLimits:
    return TargetLimits(tuning_jobs=tuning_jobs, instances=instances)


@pytest.mark.parametrize(
    ("found", "per_trial", "expected"),
    [
        # Three equal targets run three times as much.
        ([limits(100, 500)] * 3, 1, (150, 10, 1500)),
        # 25 instances of each: two tuning jobs of ten leave five idle on each, five of five none.
        ([limits(100, 25)] * 3, 1, (15, 5, 75)),
        # The narrowest fit.
        ([limits(100, 1)], 1, (1, 1, 1)),
        ([limits(100, 3), limits(100, 1)], 2, (1, 1, 2)),
        # A tuning job of ten fits on neither.
        ([limits(100, 4), limits(100, 4)], 1, (2, 4, 8)),
        # Too few slots for the instances.
        ([limits(2, 500), limits(3, 500)], 1, (5, 10, 50)),
        # Training jobs of two instances each.
        ([limits(100, 40), limits(100, 20)], 2, (3, 10, 60)),
        # One target too small for any trial.
        ([limits(100, 40), limits(100, 1)], 2, (2, 10, 40)),
        # What is unknown is bounded by the tuning jobs, as it is without targets.
        ([limits(100, 20), limits(5, None)], 1, (7, 10, 70)),
        ([limits(100, None), limits(50, None)], 1, (150, 10, None)),
    ],
)
def test_every_tuning_job_fits_on_a_target_and_the_trials_at_once_are_the_most(
    found: list[TargetLimits], per_trial: int, expected: tuple[int, int, int | None]
) -> None:
    made = over_targets(found, 10, per_trial)
    assert (
        made["tuning_jobs"], made["parallel_training_jobs"], made.get("instances")
    ) == expected  # fmt: skip
    checked = AccountLimits(**made)
    assert checked.targets == len(found)
    if checked.instances:
        slots = checked.instances // per_trial
        widths = lanes(slots, checked.parallel_training_jobs)
        assert set(widths) == {checked.parallel_training_jobs}
        assert len(widths) == checked.tuning_jobs


def test_a_plan_without_targets_says_nothing_of_them_and_has_100_tuning_jobs_at_most() -> None:
    assert "targets" not in json.loads(AccountLimits().model_dump_json())
    assert AccountLimits(tuning_jobs=300, targets=3).tuning_jobs == 300
    with pytest.raises(ValidationError, match="tuning_jobs: 101 is more than 100"):
        AccountLimits(tuning_jobs=101)


class Quotas:
    """A session whose Service Quotas has one quota; None: it has none."""

    def __init__(self, value: float | None) -> None:
        self.value = value

    def client(self, *_: Any, **__: Any) -> Quotas:
        return self

    def get_paginator(self, _: str) -> Quotas:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        name = "ml.m5.large for training job usage"
        return [{"Quotas": [{"QuotaName": name, "Value": self.value}] if self.value else []}]


def deployed(
    team_targets: tuple[str, ...] = (),
    targets: dict[str, dict[str, Any]] = TARGETS,
    **sessions: Quotas,
) -> Any:
    """Return a client of a deployment with targets, to some of which the user has access."""
    team = {"targets": list(team_targets)} if team_targets else {}
    deployment = parse_deployment({"teams": {"fraud": team}, "targets": targets})

    def session_on(target: str) -> Quotas:
        if target not in sessions:
            raise NotReachable("no profile")
        return sessions[target]

    settings = SettingsDocument.of(ENVIRONMENT, deployment, TEMPLATES)
    return SimpleNamespace(settings=settings, session_on=session_on)


def test_limits_are_those_of_all_targets_where_the_campaign_may_run() -> None:
    client, home = deployed(spare=Quotas(20)), Quotas(50)
    everywhere: Any = ("home", "research", "spare")
    found = limits_of(home, "ml.m5.large", client, everywhere)  # type: ignore[arg-type]
    # 50 at home, 40 less 10 for others, and 20
    assert (found["targets"], found["tuning_jobs"], found["instances"]) == (3, 10, 100)
    found = limits_of(home, "ml.m5.large", client, ("home",))  # type: ignore[arg-type]
    assert (found.get("targets"), found["tuning_jobs"], found["instances"]) == (None, 100, 50)
    unread = limits_of(home, "ml.m5.large", deployed(), ("home", "spare"))  # type: ignore[arg-type]
    assert (unread["tuning_jobs"], unread["instances"]) == (105, 1050)


def test_the_settings_of_a_target_go_before_its_quota_and_spare_what_others_use() -> None:
    settings = TARGETS["research"] | {"headroom": {"ml.m5.large": 50, "ml.c5.large": 5}}
    client, home = (
        deployed(research=Quotas(30), targets={**TARGETS, "research": settings}),
        Quotas(7),
    )
    both: Any = ("home", "research")
    found = limits_of(home, "ml.m5.large", client, both)  # type: ignore[arg-type]
    assert (found["tuning_jobs"], found["instances"]) == (1, 7), "others use all of research"
    settings = TARGETS["research"] | {"instances": {}}
    client = deployed(research=Quotas(30), targets={**TARGETS, "research": settings})
    found = limits_of(home, "ml.m5.large", client, ("research",))  # type: ignore[arg-type]
    assert found["instances"] == 20


def test_without_a_deployment_or_a_quota_the_limits_are_what_can_be_read() -> None:
    home: Any = Quotas(50)
    assert limits_of(home, "ml.m5.large") == {"instances": 50}
    unread: Any = Quotas(None)
    assert limits_of(unread, "ml.m5.large") == {}
    client: Any = NotThere()
    assert limits_of(home, "ml.m5.large", client, ("home", "spare")) == {"instances": 50}
    of_deployment = limits_of(unread, "ml.m5.large", deployed())
    assert of_deployment == {
        "tuning_jobs": 100, "parallel_training_jobs": 10, "training_jobs_random": 750
    }  # fmt: skip


class NotThere:
    """A client without a deployment."""

    @property
    def settings(self) -> SettingsDocument:
        raise NotDeployed("hpoq")


def test_the_limits_of_targets_are_at_least_one_tuning_job_of_one_trial() -> None:
    nothing = [limits(0, 0), limits(9, 0)]
    assert over_targets(nothing, 10, 1) == {
        "targets": 2, "tuning_jobs": 1, "parallel_training_jobs": 10, "instances": 1
    }  # fmt: skip


def test_a_campaign_runs_where_its_data_is() -> None:
    client = deployed(("home", "research"))
    assert targets_of_campaign(client, "fraud", [REQUEST]) == ("home", "research")
    named = {**REQUEST, "targets": ["research"]}
    assert targets_of_campaign(client, "fraud", [REQUEST, named]) == ("research",)
    uri = f"s3://{ENVIRONMENT.artifact_bucket}/teams/fraud/data/"
    source = {"S3DataType": "S3Prefix", "S3Uri": uri}
    train = {"ChannelName": "train", "DataSource": {"S3DataSource": source}}
    at_home = {**REQUEST, "overrides": {"TrainingJobDefinition": {"InputDataConfig": [train]}}}
    assert targets_of_campaign(client, "fraud", [at_home]) == ("home",)
    other = {**REQUEST, "targets": ["spare"]}
    with pytest.raises(InvalidPlan, match="the models have none in common"):
        targets_of_campaign(client, "fraud", [named, other])


def test_a_campaign_in_api_form_runs_where_its_data_is_though_the_plan_sets_its_limits() -> None:
    asked = api_request()
    del asked["HyperParameterTuningJobConfig"]["ResourceLimits"]
    asked["TrainingJobDefinition"]["RoleArn"] = ENVIRONMENT.training_role("fraud")
    bucket = f"s3://{ENVIRONMENT.artifact_bucket}/teams/fraud"
    asked["TrainingJobDefinition"]["OutputDataConfig"] = {"S3OutputPath": f"{bucket}/output"}
    source = {"S3DataType": "S3Prefix", "S3Uri": f"{bucket}/data/"}
    for channel in asked["TrainingJobDefinition"]["InputDataConfig"]:
        channel["DataSource"] = {"S3DataSource": source}
    client = deployed(("home", "research"))
    request = {"api_request": asked}
    assert targets_of_campaign(client, "fraud", [request]) == ("home",)
    assert "ResourceLimits" not in asked["HyperParameterTuningJobConfig"]
    with pytest.raises(InvalidRequest, match="Strategy"):
        wrong = {**asked["HyperParameterTuningJobConfig"], "Strategy": "Bayes"}
        request = {"api_request": {**asked, "HyperParameterTuningJobConfig": wrong}}
        targets_of_campaign(client, "fraud", [request])


def test_three_targets_are_planned_to_need_a_third_of_the_time_and_ray_runs_at_home() -> None:
    def hours(**found: int) -> float:
        campaign = campaign_of(
            name="c", trials=100_000, minutes_per_trial=30, spread=0.1, limits=found,
            request={**REQUEST, "objective": {"metric": "auc", "type": "Maximize"}},
        )  # fmt: skip
        option = compare(campaign).option("independent")
        assert option.estimate is not None
        return option.estimate.hours

    one = hours(**over_targets([limits(100, None)], 10, 1))
    three = hours(**over_targets([limits(100, None)] * 3, 10, 1))
    assert three / one <= 0.36
    ray = {"targets": 3, "tuning_jobs": 300}
    campaign = campaign_of(
        name="c", trials=100, minutes_per_trial=1, limits=ray,
        request={**REQUEST, "objective": {"metric": "auc", "type": "Maximize"}},
    )  # fmt: skip
    assert "name places at home" in compare(campaign).option("ray").why_not


class ServiceQuotas:
    """A session that answers ListServiceQuotas in pages and notes what it was asked."""

    def __init__(self, *pages: dict[str, float]) -> None:
        self.pages = pages
        self.asked: list[Any] = []

    def client(self, *of: Any, **settings: Any) -> ServiceQuotas:
        self.asked.append((of, settings))
        return self

    def get_paginator(self, operation: str) -> ServiceQuotas:
        self.asked.append(operation)
        return self

    def paginate(self, **fields: Any) -> list[dict[str, Any]]:
        self.asked.append(fields)
        return [
            {"Quotas": [{"QuotaName": name, "Value": value} for name, value in page.items()]}
            for page in self.pages
        ]


OF_TYPE, OF_ALL = "ml.m5.large for training job usage", aws_limits.ALL_INSTANCES_QUOTA


@pytest.mark.parametrize(
    ("pages", "instances"),
    [
        ([{OF_TYPE: 30.0}], 30),
        ([{OF_TYPE: 30.0, OF_ALL: 20.0}], 20),
        ([{OF_ALL: 40.0}, {OF_TYPE: 30.0}], 30),  # on another page
        ([{"ml.m5.large for spot training job usage": 5.0}], None),
        ([], None),
    ],
)
def test_the_quota_of_the_type_and_that_of_all_types_bind(
    pages: list[dict[str, float]], instances: int | None
) -> None:
    session: Any = ServiceQuotas(*pages)
    assert instance_quota(session, "ml.m5.large") == instances
    assert session.asked == [
        (("service-quotas",), {"config": QUICK}), "list_service_quotas",
        {"ServiceCode": "sagemaker"},
    ]  # fmt: skip
