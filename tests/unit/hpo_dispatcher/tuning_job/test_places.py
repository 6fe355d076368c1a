"""The locations that the requests of a team may name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hpo_dispatcher.contract.errors import InvalidSettings, NotAllowed
from hpo_dispatcher.contract.settings import Guardrails, Limits, parse_deployment
from hpo_dispatcher.tuning_job.api.schema import SOURCE_ARCHIVE
from hpo_dispatcher.tuning_job.build import build
from hpo_dispatcher.tuning_job.places import Places
from tests.support.tuning_requests import (
    ENVIRONMENT,
    IMAGE,
    TEMPLATE,
    definition,
    job,
    request,
)

OPENED = Guardrails(input_prefixes=("s3://lake/credit/",), output_prefixes=("s3://models/fraud",))
PLACES = Places(
    team="fraud", bucket="artifacts", training_source="s3://assets/code.tar.gz", opened=OPENED
)
# Location, whether training jobs may read it, and whether they may write there.
LOCATIONS = [
    ("s3://artifacts/teams/fraud/", True, True),
    ("s3://artifacts/teams/fraud/a/b.csv", True, True),
    ("s3://artifacts/teams/fraud", False, True),  # a listing would include teams/fraud-eu/
    ("s3://artifacts/output/fraud/a/", True, True),
    ("s3://artifacts/checkpoints/fraud/a/", True, True),
    ("s3://artifacts/shared/a.csv", True, False),
    ("s3://artifacts/data/credit-default/train/", True, False),
    ("s3://artifacts/shared", False, False),
    ("s3://artifacts/teams/", False, False),
    ("s3://artifacts/teams/fraud-eu/", False, False),
    ("s3://artifacts/teams/vision/a.csv", False, False),
    ("s3://artifacts/output/vision/a/", False, False),
    ("s3://artifacts/output/fraud-eu/", False, False),
    ("s3://artifacts/checkpoints/fraud-eu/a", False, False),
    ("s3://artifacts/output/fraud", False, True),
    ("s3://artifacts/checkpoints/", False, False),
    ("s3://artifacts/elsewhere/", False, False),
    ("s3://artifacts/", False, False),
    ("s3://artifacts", False, False),
    ("s3://artifacts-2/teams/fraud/", False, False),
    ("s3://lake/credit/2026/", True, False),
    ("s3://lake/credit", True, False),
    ("s3://lake/credits/", False, False),
    ("s3://lake/", False, False),
    ("s3://models/fraud/a/", True, True),
    ("s3://models/fraud", True, True),
    ("s3://models/frauds/", False, False),
    ("https://artifacts.s3.amazonaws.com/teams/fraud/", True, True),
    ("https://s3-eu-central-1.amazonaws.com/artifacts/teams/fraud/a/", True, True),
    ("https://s3.eu-central-1.amazonaws.com/artifacts/teams/vision/", False, False),
    ("https://s3.amazonaws.com/artifacts", False, False),
    ("https://s3-eu-central-1.amazonaws.com/lake/credit/2026/", True, False),
    ("https://lake.s3.eu-central-1.amazonaws.com/credit/", True, False),
    ("https://lake.s3.eu-central-1.amazonaws.com/credits/", False, False),
    ("https://s3.amazonaws.com/artifacts/teams/fraud/?prefix=teams/vision/", False, False),
    ("https://artifacts.example.com/teams/fraud/", False, False),
    ("https://evil.example.com/s3.amazonaws.com/artifacts/teams/fraud/", False, False),
    # Bucket names have no capitals; object keys tell case apart: "Naming rules" and "Object keys"
    # in the S3 User Guide.
    ("s3://Artifacts/teams/fraud/", False, False),
    ("s3://artifacts/Teams/fraud/", False, False),
    ("s3://artifacts/teams/Fraud/", False, False),
    ("S3://artifacts/teams/fraud/", False, False),
    ("s3://LAKE/credit/", False, False),
    ("s3://artifacts.evil/teams/fraud/", False, False),
    ("s3://artifacts@evil/teams/fraud/", False, False),
    ("s3:///artifacts/teams/fraud/", False, False),
    (" s3://artifacts/teams/fraud/", False, False),
    ("s3://artifacts//teams/fraud/", False, False),
    # Access points: "Using access points with S3 operations" in the S3 User Guide.
    ("s3://arn:aws:s3:eu-central-1:123456789012:accesspoint/artifacts/teams/fraud/", False, False),
    ("s3://artifacts-0123456789abcdefghijklmnopqrstu-s3alias/teams/fraud/", False, False),
    ("arn:aws:s3:::artifacts/teams/fraud/", False, False),
]


@pytest.mark.parametrize(("place", "read", "write"), LOCATIONS)
def test_a_teams_training_jobs_use_its_own_places_shared_ones_and_opened_ones(
    place: str, read: bool, write: bool
) -> None:
    assert (PLACES.may_read(place), PLACES.may_write(place)) == (read, write)


@pytest.mark.parametrize("prefix", ["s3://artifacts/", "s3://artifacts/teams", "s3://artifacts"])
def test_settings_that_open_the_bucket_do_not_open_other_teams(prefix: str) -> None:
    opened = Guardrails(input_prefixes=(prefix,), output_prefixes=(prefix,))
    wide = Places(team="fraud", bucket="artifacts", training_source="s3://a/b", opened=opened)
    others = ("teams/vision/", "output/", "")
    for other in (*(f"s3://artifacts/{each}" for each in others), "s3://artifacts"):
        assert not wide.may_read(other)
        assert not wide.may_write(other)


@pytest.mark.parametrize(
    ("fields", "field", "place"),
    [
        (
            {
                "InputDataConfig": [
                    {
                        "ChannelName": "train",
                        "DataSource": {
                            "S3DataSource": {
                                "S3DataType": "S3Prefix",
                                "S3Uri": "s3://artifacts/teams/vision/",
                            }
                        },
                    }
                ]
            },
            "InputDataConfig.0.DataSource",
            "below s3://artifacts/teams/fraud/ or s3://artifacts/shared/,",
        ),
        (
            {"StaticHyperParameters": {"sagemaker_submit_directory": "s3://evil/code.tar.gz"}},
            "StaticHyperParameters.sagemaker_submit_directory",
            "below s3://artifacts/teams/fraud/ or s3://artifacts/shared/,",
        ),
        (
            {"OutputDataConfig": {"S3OutputPath": "s3://artifacts/teams/vision/"}},
            "OutputDataConfig.S3OutputPath",
            "below s3://artifacts/teams/fraud/,",
        ),
        (
            {"CheckpointConfig": {"S3Uri": "s3://artifacts/shared/checkpoints/"}},
            "CheckpointConfig.S3Uri",
            "below s3://artifacts/teams/fraud/,",
        ),
    ],
)
def test_a_request_that_names_another_place_is_rejected_with_the_places_to_use(
    fields: dict[str, object], field: str, place: str
) -> None:
    with pytest.raises(NotAllowed) as rejected:
        job(**definition(**fields))
    assert rejected.value.field == f"TrainingJobDefinition.{field}"
    assert place in str(rejected.value)


def test_every_channel_is_checked() -> None:
    own, other = ("s3://artifacts/teams/fraud/", "s3://artifacts/teams/vision/")
    channels = [
        {"ChannelName": name, "DataSource": {"S3DataSource": S3 | {"S3Uri": place}}}
        for name, place in (("train", own), ("validation", other))
    ]
    with pytest.raises(NotAllowed) as rejected:
        job(**definition(InputDataConfig=channels))
    assert rejected.value.field == "TrainingJobDefinition.InputDataConfig.1.DataSource"


def test_every_definition_is_checked() -> None:
    other = {"DefinitionName": "b", "OutputDataConfig": {"S3OutputPath": "s3://artifacts/teams/x/"}}
    definitions = [{"DefinitionName": "a"}, {"DefinitionName": "b"}]
    job(overrides={"TrainingJobDefinitions": definitions})
    with pytest.raises(NotAllowed, match="not a location to which the team's training jobs may"):
        job(overrides={"TrainingJobDefinitions": [definitions[0], other]})


@pytest.mark.parametrize("archive", ["/opt/ml/code.tar.gz", "/opt/ml/input/config/code.tar.gz"])
def test_code_comes_from_a_channel_or_from_a_place_of_the_team(archive: str) -> None:
    job(**definition(StaticHyperParameters={SOURCE_ARCHIVE: "/opt/ml/input/data/code/code.tar.gz"}))
    with pytest.raises(NotAllowed, match="not a location that the team's training jobs may read"):
        job(**definition(StaticHyperParameters={SOURCE_ARCHIVE: archive}))


S3 = {"S3DataType": "S3Prefix", "S3Uri": "s3://lake/credit/"}
FILES = {
    "FileSystemId": "fs-0123456789abcdef0", "FileSystemAccessMode": "ro",
    "FileSystemType": "EFS", "DirectoryPath": "/teams/vision",
}  # fmt: skip
HUB = "arn:aws:sagemaker:eu-central-1:aws:hub-content/SageMakerPublicHub/Model/m/1.0.0"
DATASET = "arn:aws:sagemaker:eu-central-1:123456789012:hub-content/of-vision/DataSet/d/1.0.0"


# A source that is not one location in S3 or one folder of a file system.
UNCHECKED: list[tuple[dict[str, Any], str]] = [
    (
        {"S3DataSource": S3, "FileSystemDataSource": FILES},
        "FileSystemDataSource and S3DataSource",
    ),
    ({"DatasetSource": {"DatasetArn": DATASET}}, "DatasetSource"),
    (
        {"S3DataSource": S3, "DatasetSource": {"DatasetArn": DATASET}},
        "DatasetSource and S3DataSource",
    ),
    (
        {"FileSystemDataSource": FILES, "DatasetSource": {"DatasetArn": DATASET}},
        "DatasetSource and FileSystemDataSource",
    ),
    ({}, "an empty source"),
]
OPEN_FILES = Guardrails(
    input_prefixes=("s3://lake/credit/",), input_file_systems=("fs-0123456789abcdef0",)
)


@pytest.mark.parametrize("rules", [Guardrails(), OPENED, OPEN_FILES], ids=["closed", "s3", "files"])
@pytest.mark.parametrize(("source", "named"), UNCHECKED)
def test_a_channel_has_one_source_that_the_places_know(
    source: dict[str, Any], named: str, rules: Guardrails
) -> None:
    channels = [{"ChannelName": "train", "DataSource": source}]
    with pytest.raises(NotAllowed) as rejected:
        job(rules, **definition(InputDataConfig=channels))
    assert rejected.value.field == "TrainingJobDefinition.InputDataConfig.0.DataSource"
    assert rejected.value.problem == f"{named} cannot be checked against the team's locations"
    assert rejected.value.fix == "Use S3DataSource or FileSystemDataSource, alone"


@pytest.mark.parametrize(
    "source",
    [
        S3 | {"S3DataType": "ManifestFile"},
        S3 | {"S3DataType": "AugmentedManifestFile"},
        S3 | {"S3DataType": "Converse"},
        S3 | {"HubAccessConfig": {"HubContentArn": HUB}},
    ],
    ids=json.dumps,
)
def test_settings_that_open_prefixes_allow_prefixes_only(source: dict[str, Any]) -> None:
    channels = [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}]
    with pytest.raises(NotAllowed, match="S3 prefixes only"):
        job(OPENED, **definition(InputDataConfig=channels))


@pytest.mark.parametrize("rules", [Guardrails(), OPENED], ids=["closed", "s3"])
def test_another_teams_data_is_not_read(rules: Guardrails) -> None:
    others = S3 | {"S3Uri": "s3://artifacts/teams/vision/"}
    channel = {"ChannelName": "train", "DataSource": {"S3DataSource": others}}
    with pytest.raises(NotAllowed) as rejected:
        job(rules, **definition(InputDataConfig=[channel]))
    assert rejected.value.field == "TrainingJobDefinition.InputDataConfig.0.DataSource"


def mounted(rules: Guardrails, **fields: str) -> None:
    """Build a job with a channel that names a folder of a file system."""
    channel = {"ChannelName": "train", "DataSource": {"FileSystemDataSource": FILES | fields}}
    job(rules, **definition(InputDataConfig=[channel]))


@pytest.mark.parametrize("rules", [Guardrails(), OPENED], ids=["closed", "s3"])
def test_a_file_system_that_no_setting_opens_is_rejected(rules: Guardrails) -> None:
    """Its files have no role: whoever reaches it in the network reads them."""
    with pytest.raises(NotAllowed) as rejected:
        mounted(rules)
    assert rejected.value.field == (
        "TrainingJobDefinition.InputDataConfig.0.DataSource.FileSystemDataSource"
    )
    assert rejected.value.problem == (
        "/teams/vision of fs-0123456789abcdef0 is not open to the team's channels (ro)"
    )
    assert rejected.value.fix == "Use S3, or ask your administrator to open it (guardrails)"


# The folder that the settings open, a folder that a request names, and whether it may.
FOLDERS = [
    ("", "/", True),
    ("", "/teams/vision", True),
    ("/", "/teams/vision", True),
    ("/teams/fraud", "/teams/fraud", True),
    ("/teams/fraud", "/teams/fraud/", True),
    ("/teams/fraud/", "/teams/fraud", True),
    ("/teams/fraud", "teams/fraud/a", True),
    ("/teams/fraud", "/teams/fraud-eu", False),
    ("/teams/fraud", "/teams/Fraud", False),
    ("/teams/fraud", "/teams", False),
    ("/teams/fraud", "/", False),
    ("/teams/fraud", "", False),
    ("/teams/fraud", "/teams/fraud/../vision", False),
    ("/teams/fraud", "/teams/fraud/..", False),
    ("/teams/fraud", "//teams/vision", False),
    ("/teams/fraud", "/teams/./fraud", False),
    ("/teams/fraud", "/teams/vision", False),
]


@pytest.mark.parametrize(("opened", "folder", "allowed"), FOLDERS)
def test_a_channel_names_folders_of_file_systems_that_the_settings_open(
    opened: str, folder: str, allowed: bool
) -> None:
    file_system = FILES["FileSystemId"]
    named = (f"{file_system}{opened}",)
    read, written = Guardrails(input_file_systems=named), Guardrails(output_file_systems=named)
    for rules, mode in ((read, "ro"), (written, "ro"), (written, "rw")):
        places = Places(team="fraud", bucket="b", training_source="s3://a/b", opened=rules)
        assert places.may_mount(file_system, folder, mode=mode) is allowed
        assert not places.may_mount(file_system[:-1], folder, mode=mode)
        assert not places.may_mount(f"{file_system}1", folder, mode=mode)


def test_an_input_file_system_is_not_written_to() -> None:
    mounted(OPEN_FILES)
    with pytest.raises(NotAllowed, match="is not open to the team's channels"):
        mounted(OPEN_FILES, FileSystemAccessMode="rw")
    mounted(
        Guardrails(output_file_systems=("fs-0123456789abcdef0/teams",)), FileSystemAccessMode="rw"
    )


def test_a_rejected_folder_of_a_file_system_comes_with_those_that_are_open() -> None:
    rules = Guardrails(input_file_systems=("fs-0123456789abcdef0/teams/fraud",))
    with pytest.raises(NotAllowed, match="Use a location below fs-0123456789abcdef0/teams/fraud,"):
        mounted(rules)


@pytest.mark.parametrize("name", ["input_file_systems", "output_file_systems"])
@pytest.mark.parametrize(
    "folder", ["0123", "fs-x", "fs-1/..", "fs-1/a/../b", "fs-1//a", "fs-1/./a", "fs-*", "s3://fs-1"]
)
def test_settings_name_a_folder_of_a_file_system_by_id_and_path(name: str, folder: str) -> None:
    with pytest.raises(InvalidSettings, match="Use one like fs-0a1b2c3d/teams/fraud"):
        parse_deployment({"teams": {"fraud": {}}, "guardrails": {name: [folder]}})


def test_older_clients_can_read_settings_that_open_no_file_system() -> None:
    assert "file_systems" not in Guardrails().model_dump_json()
    assert "input_file_systems" in OPEN_FILES.model_dump_json()


def test_a_request_may_name_code_data_output_and_checkpoints_in_the_workspace() -> None:
    own = "s3://artifacts/teams/fraud"
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"{own}/data/"}}
    training = job(
        **definition(
            InputDataConfig=[{"ChannelName": "train", "DataSource": source}],
            StaticHyperParameters={"sagemaker_submit_directory": f"{own}/code/a.tar.gz"},
            OutputDataConfig={"S3OutputPath": f"{own}/output/"},
            CheckpointConfig={"S3Uri": f"{own}/checkpoints/"},
        )
    )["TrainingJobDefinition"]
    assert training["OutputDataConfig"]["S3OutputPath"] == f"{own}/output/"


TEAM_RULES = {
    "input_prefixes": ["s3://lake/fraud/"],
    "max_training_jobs": 5,
    "vpc": {"subnets": ["subnet-2"], "security_group_ids": ["sg-2"]},
    "network_isolation": True,
}


def test_the_guardrails_of_a_team_come_on_top_of_the_deployments() -> None:
    settings = parse_deployment(
        {
            "teams": {"fraud": {"guardrails": TEAM_RULES}, "vision": {}},
            "guardrails": {
                "input_prefixes": ["s3://lake/credit/"],
                "max_training_jobs": 50,
                "max_run_seconds": 3600,
            },
        }
    )

    def built(team: str, jobs: int, uri: str) -> dict[str, object]:
        source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}
        channels = [{"ChannelName": "train", "DataSource": source}]
        limits = {"max_training_jobs": jobs, "max_parallel_training_jobs": 1}
        asked = request(resource_limits=limits, **definition(InputDataConfig=channels))
        made = build(
            asked, team, TEMPLATE, settings.guardrails, ENVIRONMENT, image=IMAGE, limits=Limits(),
            team_guardrails=settings.team_guardrails(team),
        )  # fmt: skip
        training: dict[str, object] = made["TrainingJobDefinition"]
        return training

    fraud = built("fraud", 5, "s3://lake/fraud/a/")
    assert fraud["VpcConfig"] == {"Subnets": ["subnet-2"], "SecurityGroupIds": ["sg-2"]}
    assert fraud["EnableNetworkIsolation"] is True
    built("fraud", 5, "s3://lake/credit/a/")
    vision = built("vision", 50, "s3://lake/credit/a/")
    assert "VpcConfig" not in vision
    for team, jobs, uri in (
        ("fraud", 6, "s3://lake/fraud/a/"),
        ("vision", 51, "s3://lake/credit/a/"),
        ("vision", 50, "s3://lake/fraud/a/"),
    ):
        with pytest.raises(NotAllowed):
            built(team, jobs, uri)
    long = definition(StoppingCondition={"MaxRuntimeInSeconds": 3601})
    with pytest.raises(NotAllowed):
        build(
            request(**long), "fraud", TEMPLATE, settings.guardrails, ENVIRONMENT, image=IMAGE,
            limits=Limits(), team_guardrails=settings.team_guardrails("fraud"),
        )  # fmt: skip


def test_each_team_has_a_training_role() -> None:
    arn = "arn:aws:iam::123456789012:role/hpoq-{team}-training"
    environment = ENVIRONMENT.model_copy(update={"training_role_arn": arn})
    made = build(
        request(), "fraud", TEMPLATE, Guardrails(), environment, image=IMAGE, limits=Limits()
    )
    role = made["TrainingJobDefinition"]["RoleArn"]
    assert role == "arn:aws:iam::123456789012:role/hpoq-fraud-training"
