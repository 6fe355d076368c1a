"""A message with a template of its own becomes the request that a deployed template would make."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.errors import InvalidRequest, NotAllowed
from hpo_dispatcher.contract.settings import Deployment
from hpo_dispatcher.contract.templates import Template, parse_template, read_templates
from hpoq.preview import preview
from hpoq.templates.expansion import in_api_form
from tests.support.tuning_requests import ENVIRONMENT, IMAGE

OWN = ("HyperParameterTuningJobName", "Tags")
RANGES = {"lr": {"type": "continuous", "min": 0.1, "max": 1}}
MINE = {
    "description": "mine",
    "image": IMAGE,
    "entry_point": "train.py",
    "source": "s3://{artifact_bucket}/teams/{team}/code/mine.tar.gz",
    "request": {
        "hyperparameters": {"epochs": 3},
        "hyperparameter_ranges": RANGES,
        "objective": {"metric": "auc", "type": "Maximize"},
        "tags": {"project": "x"},
    },
    "tuning_job": {
        "TrainingJobDefinition": {
            "AlgorithmSpecification": {"MetricDefinitions": [{"Name": "auc", "Regex": "a=(.*)"}]},
            "CheckpointConfig": {
                "S3Uri": "s3://{artifact_bucket}/teams/{team}/checkpoints/{request_id}/"
            },
            "ResourceConfig": {
                "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5
            },
        }
    },
}  # fmt: skip


class NoImages:
    def uri(self, *_: object) -> str:
        raise AssertionError


def settings(templates: dict[str, Template], **fields: Any) -> SettingsDocument:
    deployment = Deployment.model_validate({"teams": {"fraud": {}}, **fields})
    return SettingsDocument.of(ENVIRONMENT, deployment, templates)


def expanded(message: dict[str, Any], template: Template, **fields: Any) -> dict[str, Any]:
    return in_api_form(
        settings({}, **fields), "fraud", message, name="mine", template=template, images=NoImages()
    )


@pytest.mark.parametrize(
    "message",
    [
        {"request_id": "a", "hyperparameter_ranges": RANGES},
        {"request_id": "a", "hyperparameter_ranges": RANGES, "strategy": "Random", "priority": 3},
        {"request_id": "a", "hyperparameter_ranges": RANGES, "tags": {"owner": "me"}},
        {"request_id": "a", "hyperparameter_ranges": RANGES, "hyperparameters": {"epochs": 9}},
    ],
)
def test_it_is_the_request_that_the_same_template_makes_in_the_deployment(
    message: dict[str, Any],
) -> None:
    template = parse_template("mine", MINE)
    deployed = settings({"mine": template})
    wanted = preview(deployed, "fraud", {**message, "template": "mine"})
    sent = expanded(message, template)
    assert preview(settings({}), "fraud", sent) == wanted
    assert sent["request_id"] == "a"
    assert sent.get("priority") == message.get("priority")
    assert not set(OWN) & set(sent["api_request"])


def test_a_message_without_ranges_gets_those_of_the_template() -> None:
    sent = expanded({"request_id": "a"}, parse_template("mine", MINE))
    config = sent["api_request"]["HyperParameterTuningJobConfig"]
    assert config["ParameterRanges"]["ContinuousParameterRanges"][0]["Name"] == "lr"
    fixed = {"request_id": "a", "hyperparameters": {"lr": 0.5}}
    with pytest.raises(InvalidRequest, match="hyperparameter_ranges: empty"):
        expanded(fixed, parse_template("mine", MINE))


def test_the_guardrails_of_the_deployment_apply() -> None:
    message = {"request_id": "a"}
    with pytest.raises(NotAllowed, match=r"ml\.m5\.large"):
        expanded(message, parse_template("mine", MINE), guardrails={"instance_types": ["ml.c5.*"]})
    elsewhere = MINE | {"source": "s3://{artifact_bucket}/teams/vision/code/theirs.tar.gz"}
    with pytest.raises(NotAllowed, match="is not a location"):
        expanded(message, parse_template("mine", elsewhere))


def test_a_problem_of_the_template_names_it_once() -> None:
    wrong = copy.deepcopy(MINE)
    wrong["tuning_job"]["TrainingJobDefinition"]["ResourceConfig"]["InstanceType"] = "ml.m5.none"
    with pytest.raises(InvalidRequest) as caught:
        expanded({"request_id": "a"}, parse_template("mine", wrong))
    assert str(caught.value).count("template mine") == 1
    assert "InstanceType" in str(caught.value)


def test_only_a_deployed_template_can_keep_values_secret() -> None:
    secret = MINE | {"secret_hyperparameters": ["key"]}
    with pytest.raises(InvalidRequest, match="only templates of the deployment"):
        expanded({"request_id": "a"}, parse_template("mine", secret))


def test_every_bundled_template_gives_the_same_request_from_a_file() -> None:
    class Named:
        def uri(self, image: Any, instance_type: str) -> str:
            return f"{image.framework}-{image.version}-training-for-{instance_type}"

    for name, template in read_templates().items():
        message = {"request_id": "a", "hyperparameter_ranges": RANGES}
        wanted = preview(settings({name: template}), "fraud", {**message, "template": name})
        sent = in_api_form(
            settings({}), "fraud", message, name=name, template=template, images=Named()
        )
        assert preview(settings({}), "fraud", sent) == wanted, name
