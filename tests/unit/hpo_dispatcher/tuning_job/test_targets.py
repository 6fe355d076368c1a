"""Which targets a request may run on, and what it uses there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Entry
from hpo_dispatcher.contract.environment import Environment
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.contract.settings import parse_deployment
from hpo_dispatcher.contract.targets.sites import TargetSite
from hpo_dispatcher.contract.templates import read_templates
from hpo_dispatcher.tuning_job.builder import JobBuilder

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOME_BUCKET = "hpoq-artifacts-abc"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10-cpu-py313"
HOME = Environment(
    deployment="hpoq",
    ledger_table="hpoq-ledger",
    artifact_bucket=HOME_BUCKET,
    training_role_arn="arn:aws:iam::111111111111:role/hpoq-{team}-training",
    training_source="s3://cdk-hnb659fds-assets-111111111111-us-east-1/hpoq/0123abcd.zip",
    region="us-east-1",
)
PLACES = {
    "home": {"account": "111111111111", "region": "us-east-1"},
    "research": {"account": "222222222222", "region": "eu-central-1"},
}


class Images:
    def uri(self, *_: object) -> str:
        return IMAGE


def builder(research: dict[str, Any] | None = None, **teams: dict[str, Any]) -> JobBuilder:
    targets = {**PLACES, "research": {**PLACES["research"], **(research or {})}}
    teams = teams or {"fraud": {}, "vision": {}}
    deployment = parse_deployment({"teams": teams, "targets": targets})
    home = JobBuilder(
        deployment=deployment, environment=HOME, templates=read_templates(), images=Images()
    )
    site = TargetSite(
        deployment="hpoq", target="research", account="222222222222", region="eu-central-1",
        home_account="111111111111", home_region="us-east-1",
    )  # fmt: skip
    there = replace(home, target="research", environment=site.environment(HOME))
    return replace(home, others={"research": there})


def entry(of: JobBuilder, team: str = "fraud", **fields: Any) -> Entry:
    ranges = {"learning-rate": {"type": "continuous", "min": 0.01, "max": 0.1}}
    message = {"request_id": "r", "template": "smoke", "hyperparameter_ranges": ranges, **fields}
    return of.entry(team, TuningRequest.model_validate(message), NOON)


def channel(uri: str) -> dict[str, Any]:
    data = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}
    channels = [{"ChannelName": "training", "DataSource": data}]
    return {"TrainingJobDefinition": {"InputDataConfig": channels}}


def test_a_request_runs_at_home_unless_it_or_its_team_says_otherwise() -> None:
    assert entry(builder()).targets == ("home",)
    of_team = builder(fraud={"targets": ["research", "home"]})
    assert entry(of_team).targets == ("research", "home")
    assert entry(of_team, targets=["home"]).targets == ("home",)


def test_the_request_on_a_target_uses_what_is_there() -> None:
    of = builder()
    accepted = entry(of, targets=["research"])
    assert accepted.request
    there = of.on("research").api_request("fraud", accepted.request)
    at_home = of.api_request("fraud", accepted.request)
    definition = there["TrainingJobDefinition"]
    assert definition["RoleArn"] == "arn:aws:iam::222222222222:role/hpoq-research-fraud-training"
    bucket = "s3://hpoq-research-222222222222-eu-central-1/"
    assert definition["OutputDataConfig"]["S3OutputPath"].startswith(f"{bucket}teams/fraud/")
    assert "111111111111" not in str(there)
    assert HOME_BUCKET not in str(there)
    assert there["HyperParameterTuningJobName"] == at_home["HyperParameterTuningJobName"]
    assert there["Tags"] == at_home["Tags"]


def test_data_of_another_target_is_refused_in_one_line() -> None:
    """A training job reads an S3 bucket of its own Region (CreateTrainingJob in the API)."""
    uri = f"s3://{HOME_BUCKET}/teams/fraud/data/"
    with pytest.raises(InvalidRequest) as error:
        entry(builder(), targets=["research"], overrides=channel(uri))
    line = str(error.value)
    assert "\n" not in line
    assert line.startswith("targets: research cannot run it: ")
    assert f"{uri} is not a location that the team's training jobs may read" in line
    assert "Leave out research, or: " in line


def test_targets_of_the_team_are_those_where_the_data_is() -> None:
    of = builder(fraud={"targets": ["research", "home"]})
    at_home = channel(f"s3://{HOME_BUCKET}/teams/fraud/data/")
    assert entry(of, overrides=at_home).targets == ("home",)
    there = channel("s3://hpoq-research-222222222222-eu-central-1/teams/fraud/data/")
    assert entry(of, overrides=there).targets == ("research",)


def test_a_request_that_runs_on_none_of_its_teams_targets_gets_the_problem_with_the_first() -> None:
    of = builder(fraud={"targets": ["research", "home"]})
    with pytest.raises(InvalidRequest) as caught:
        entry(of, overrides=channel("s3://elsewhere/data/"))
    assert caught.value.field == "targets"
    assert caught.value.problem.startswith("research cannot run it: ")


@pytest.mark.parametrize(
    ("research", "fields", "line"),
    [
        (
            {}, {"targets": ["reserch"]},
            "targets: team fraud may not use a target 'reserch'. Use home or research",
        ),
        (
            {"teams": ["vision"]}, {"targets": ["research"]},
            "targets: team fraud may not use a target 'research'. Use home",
        ),
    ],
)  # fmt: skip
def test_a_wrong_target_gets_one_line(
    research: dict[str, Any], fields: dict[str, Any], line: str
) -> None:
    with pytest.raises(InvalidRequest) as error:
        entry(builder(research), **fields)
    assert str(error.value) == line


def test_guardrails_of_a_target_hold_there_only() -> None:
    of = builder({"guardrails": {"instance_types": ["ml.g5.*"]}})
    assert entry(of).targets == ("home",)
    with pytest.raises(InvalidRequest, match="research cannot run it"):
        entry(of, targets=["research"])
    resources = {"TrainingJobDefinition": {"ResourceConfig": {"InstanceType": "ml.g5.xlarge"}}}
    assert entry(of, targets=["home", "research"], overrides=resources).targets == (
        "home", "research",
    )  # fmt: skip


def test_what_the_guardrails_of_a_target_open_is_open_there_only() -> None:
    of = builder({"guardrails": {"input_prefixes": ["s3://lake-of-research/"]}})
    there = channel("s3://lake-of-research/credit/")
    assert entry(of, targets=["research"], overrides=there).targets == ("research",)
    with pytest.raises(InvalidRequest, match="is not a location that the team's training jobs"):
        entry(of, targets=["home"], overrides=there)


def test_a_tuning_job_on_a_target_is_in_the_network_of_the_target() -> None:
    vpc = {"subnets": ["subnet-2"], "security_group_ids": ["sg-2"]}
    of = builder({"guardrails": {"vpc": vpc}})
    request = entry(of, targets=["home", "research"]).request
    assert request is not None
    there = of.on("research").api_request("fraud", request)["TrainingJobDefinition"]
    assert there["VpcConfig"] == {"Subnets": ["subnet-2"], "SecurityGroupIds": ["sg-2"]}
    assert "VpcConfig" not in of.api_request("fraud", request)["TrainingJobDefinition"]


def test_a_team_that_may_not_use_a_target_is_told_which_it_may_use() -> None:
    of = builder({"teams": ["vision"]})
    assert entry(of, "vision", targets=["research"]).targets == ("research",)
    with pytest.raises(InvalidRequest) as caught:
        entry(of, "fraud", targets=["research"])
    assert caught.value.problem == "team fraud may not use a target 'research'"
    assert caught.value.fix == "Use home"
