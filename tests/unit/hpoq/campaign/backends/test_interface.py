from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.settings import parse_deployment
from hpoq.campaign.backends.direct import DirectBackend
from hpoq.campaign.backends.target import own_target
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.errors import InvalidPlan, OtherCampaign
from hpoq.campaign.planning.account_limits import limits_of
from hpoq.campaign.planning.compare import campaign_of, planned
from hpoq.campaign.running.messages import message
from tests.support.campaign_engine import TEMPLATE
from tests.support.tuning_requests import ENVIRONMENT

REQUEST: dict[str, Any] = {
    "template": "credit-default-cpu",
    "strategy": "Bayesian",
    "objective": {"metric": "auc", "type": "Maximize"},
    "hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0.01, "max": 1.0}},
    "tags": {"project": "credit"},
}
OWN = {
    "role_arn": "arn:aws:iam::123456789012:role/training",
    "bucket": "bucket",
    "source": "s3://bucket/source.tar.gz",
    "region": "eu-central-1",
}


def plan(name: str = "mine", **request: Any) -> CampaignPlan:
    campaign = campaign_of(
        name=name, trials=24, minutes_per_trial=1, request=REQUEST | request,
        limits={"instances": 4, "parallel_training_jobs": 2},
    )  # fmt: skip
    return planned(campaign, "independent")


class Quotas:
    """A session whose Service Quotas answers with these, or not at all."""

    def __init__(self, *quotas: tuple[str, float], reachable: bool = True) -> None:
        self.quotas, self.reachable = quotas, reachable

    def client(self, *_: Any, **__: Any) -> Quotas:
        return self

    def get_paginator(self, _: str) -> Quotas:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        if not self.reachable:
            raise EndpointConnectionError(endpoint_url="https://servicequotas")
        return [{"Quotas": [{"QuotaName": name, "Value": value}]} for name, value in self.quotas]


def test_the_instance_quota_is_read_by_name_over_all_pages() -> None:
    session: Any = Quotas(
        ("ml.m5.large for endpoint usage", 7.0),
        ("ml.m5.large for spot training job usage", 9.0),
        ("ml.m5.large for training job usage", 40.0),
    )
    assert limits_of(session, "ml.m5.large") == {"instances": 40}
    assert limits_of(session, "ml.g5.xlarge") == {}


def test_a_campaign_in_a_new_account_is_planned_within_the_total_of_instances() -> None:
    session: Any = Quotas(
        ("Number of instances across all training jobs", 4.0),
        ("ml.m5.large for training job usage", 15.0),
    )
    assert limits_of(session, "ml.m5.large") == {"instances": 4}


class Deployed:
    """A client of a deployment with these limits."""

    def __init__(self, **limits: int) -> None:
        fields = {"teams": {"fraud": {}}, "limits": limits}
        self.settings = SettingsDocument.of(ENVIRONMENT, parse_deployment(fields), {})


@pytest.mark.parametrize(
    ("deployed", "parallel", "random"),
    [
        (Deployed(), 10, 750),
        (Deployed(parallel_training_jobs=20, random_training_jobs=2000), 20, 2000),
    ],
)
def test_the_limits_of_a_tuning_job_are_those_of_the_deployment(
    deployed: Any, parallel: int, random: int
) -> None:
    session: Any = Quotas(reachable=False)
    limits = limits_of(session, "ml.m5.large", deployed)
    campaign = campaign_of(
        name="wide", trials=2000, minutes_per_trial=1, limits=limits,
        request=REQUEST | {"strategy": "Random"},
    )  # fmt: skip
    made = planned(campaign, "independent")
    assert max(job.parallel for job in made.jobs) == parallel
    assert campaign.max_trials_per_job == random


def test_an_unreachable_account_leaves_the_documented_limits() -> None:
    session: Any = Quotas(reachable=False)
    assert limits_of(session, "ml.m5.large") == {}


def test_each_message_has_its_own_seed_tags_and_limits() -> None:
    made = plan()
    messages = [message(made, job) for job in made.jobs]
    seeds = {m["overrides"]["HyperParameterTuningJobConfig"]["RandomSeed"] for m in messages}
    assert len(seeds) == len(messages)
    assert messages[0]["tags"]["project"] == "credit"
    assert messages[0]["resource_limits"]["max_training_jobs"] == made.jobs[0].trials
    assert [message(made, job) for job in made.jobs] == messages  # reproducible


def test_overrides_of_the_request_are_kept_with_the_seed() -> None:
    early = {"HyperParameterTuningJobConfig": {"TrainingJobEarlyStoppingType": "Auto"}}
    made = plan(overrides=early)
    config = message(made, made.jobs[0])["overrides"]["HyperParameterTuningJobConfig"]
    assert config["TrainingJobEarlyStoppingType"] == "Auto"
    assert "RandomSeed" in config


def test_a_direct_campaign_needs_no_deployment(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(__import__("yaml").safe_dump(TEMPLATE))
    target = own_target(plan(), **OWN, template=file)
    assert target.image == TEMPLATE["image"]
    bundled = own_target(plan(), **OWN, image="mine:1")
    assert bundled.template.entry_point == "train_cpu.py"
    with pytest.raises(InvalidPlan, match=r"credit-default-cpu"):
        own_target(plan(template="unknown"), **OWN)


def test_a_name_taken_by_another_owner_is_reported(sagemaker: Any, target: Any) -> None:
    made = plan("taken")
    backend = DirectBackend(sagemaker, target)
    backend.follow(made)
    mine = message(made, made.jobs[0])
    backend.send({1: mine})
    answer = sagemaker.describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=backend.jobs.name(1)
    )
    arn = answer["HyperParameterTuningJobArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "hpoq:team", "Value": "others"}])
    with pytest.raises(OtherCampaign, match="another name"):
        backend.send({1: mine})


def test_an_invalid_request_is_rejected_with_its_cause(sagemaker: Any, target: Any) -> None:
    made = plan("wrong", objective={"metric": "unheard-of", "type": "Maximize"})
    backend = DirectBackend(sagemaker, target)
    backend.follow(made)
    with pytest.raises(InvalidRequest, match="unheard-of"):
        backend.send({1: message(made, made.jobs[0])})


def test_a_client_from_a_session_adapts_to_the_api_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    from hpoq.campaign.running_campaign import sagemaker_client

    made = sagemaker_client(boto3.Session("a", "b", region_name="eu-central-1"))
    assert made.meta.config.retries["mode"] == "adaptive"
