"""Which locations at home mean their copies on a target, and which of them are compared."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hpo_dispatcher.contract.environment import Environment
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.contract.settings import parse_deployment
from hpo_dispatcher.contract.targets.sites import target_sites
from hpo_dispatcher.contract.templates import read_templates
from hpo_dispatcher.tuning_job.builder import JobBuilder
from hpo_dispatcher.tuning_job.targets.copies import Copies, prefixes_read, with_copies

COPIES = Copies(home="home", target="there", folders=("shared/", "teams/fraud/data/"))


@pytest.mark.parametrize(
    ("place", "copy"),
    [
        ("s3://home/shared/churn/", "s3://there/shared/churn/"),
        ("s3://home/shared/", "s3://there/shared/"),
        ("s3://home/teams/fraud/data/a.csv", "s3://there/teams/fraud/data/a.csv"),
        (
            "https://s3.eu-central-1.amazonaws.com/home/shared/churn/",
            "s3://there/shared/churn/",
        ),
    ],
)
def test_a_location_in_a_replicated_folder_of_home_means_the_targets_copy(
    place: str, copy: str
) -> None:
    assert COPIES.on_target(place) == copy


@pytest.mark.parametrize(
    "place",
    [
        "s3://home/teams/fraud/output/",  # not replicated
        "s3://home/teams/fraud/",  # only a part of it is
        "s3://home/shared",  # not the folder: it includes shared-by-others/
        "s3://home-2/shared/churn/",
        "s3://there/shared/churn/",
        "s3://open-data/shared/",
        "",
    ],
)
def test_no_other_location_is_changed(place: str) -> None:
    assert COPIES.on_target(place) == place


def request(*places: str, archive: str = "") -> dict[str, Any]:
    channels: list[dict[str, Any]] = [
        {"ChannelName": f"c{n}", "DataSource": {"S3DataSource": {"S3Uri": place}}}
        for n, place in enumerate(places)
    ]
    channels.append({"ChannelName": "f", "DataSource": {"FileSystemDataSource": {}}})
    definition: dict[str, Any] = {"InputDataConfig": channels}
    if archive:
        definition["StaticHyperParameters"] = {"sagemaker_submit_directory": archive, "a": "1"}
    return {"TrainingJobDefinition": definition}


def test_channels_and_code_are_read_from_the_copies() -> None:
    asked = request("s3://home/shared/a/", "s3://open/b/", archive="s3://home/shared/code.tar.gz")
    before = json.dumps(asked)
    changed = with_copies(asked, COPIES)
    assert changed == request(
        "s3://there/shared/a/", "s3://open/b/", archive="s3://there/shared/code.tar.gz"
    )
    assert json.dumps(asked) == before, "the request of the message stays as it is"


def test_encoded_code_stays_encoded() -> None:
    """Version 2 of the SageMaker SDK writes hyperparameters as JSON."""
    asked = request(archive='"s3://home/shared/code.tar.gz"')
    assert with_copies(asked, COPIES) == request(archive='"s3://there/shared/code.tar.gz"')


def test_what_a_request_reads_of_the_copies_is_compared_each_once() -> None:
    asked = request(
        "s3://there/shared/a/", "s3://there/shared/a/", "s3://there/teams/fraud/output/",
        "s3://home/shared/b/", archive="s3://there/shared/code.tar.gz",
    )  # fmt: skip
    assert prefixes_read(asked, COPIES) == ["shared/a/", "shared/code.tar.gz"]


HOME = Environment(
    deployment="hpoq",
    ledger_table="hpoq-ledger",
    artifact_bucket="home",
    training_role_arn="arn:aws:iam::111111111111:role/hpoq-{team}-training",
    training_source="s3://assets/hpoq/0123abcd.zip",
    region="us-east-1",
)
BUCKET = "hpoq-research-222222222222-eu-central-1"


class Images:
    def uri(self, *_: object) -> str:
        return "123456789012.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10-cpu-py313"


def builder(*folders: str) -> JobBuilder:
    targets = {
        "home": {"account": "111111111111", "region": "us-east-1"},
        "research": {
            "account": "222222222222", "region": "eu-central-1", "replicate": list(folders),
        },
    }  # fmt: skip
    deployment = parse_deployment({"teams": {"fraud": {}}, "targets": targets})
    home = JobBuilder(
        deployment=deployment, environment=HOME, templates=read_templates(), images=Images()
    )
    return home.with_sites(target_sites(HOME, deployment.targets), lambda _: Images())


def placed(of: JobBuilder, uri: str) -> tuple[tuple[str, ...], list[str]]:
    """Return the targets of a request for both, and where its channel is on each."""
    data = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}
    channels = [{"ChannelName": "training", "DataSource": data}]
    wanted = {
        "request_id": "r",
        "template": "smoke",
        "targets": ["home", "research"],
        "hyperparameter_ranges": {"learning-rate": {"type": "continuous", "min": 0.1, "max": 1}},
        "overrides": {"TrainingJobDefinition": {"InputDataConfig": channels}},
    }
    parsed = TuningRequest.model_validate(wanted)
    targets, _ = of.placed("fraud", parsed)
    found = [of.on(target).api_request("fraud", parsed) for target in targets]
    return targets, [
        each["TrainingJobDefinition"]["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
        for each in found
    ]


def test_a_request_that_names_data_at_home_runs_on_a_target_with_its_copy() -> None:
    targets, uris = placed(builder("shared/"), "s3://home/shared/churn/")
    assert targets == ("home", "research")
    assert uris == ["s3://home/shared/churn/", f"s3://{BUCKET}/shared/churn/"]


@pytest.mark.parametrize("folders", [(), ("teams/fraud/data/",)])
def test_without_a_copy_it_is_refused_there_as_before(folders: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest, match=r"research cannot run it: .* is not a location"):
        placed(builder(*folders), "s3://home/shared/churn/")


@pytest.mark.parametrize("archive", ["", "s3://there/shared/code.tar.gz"])
def test_a_training_job_may_read_no_channel(archive: str) -> None:
    asked = request(archive=archive)
    del asked["TrainingJobDefinition"]["InputDataConfig"]
    assert prefixes_read(asked, COPIES) == (["shared/code.tar.gz"] if archive else [])
    assert with_copies(asked, COPIES) == asked
