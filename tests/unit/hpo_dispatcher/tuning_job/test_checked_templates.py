"""Which templates are broken: SageMaker would refuse every request with them."""

from __future__ import annotations

from typing import Any

import pytest

from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.templates import RANGES, Template, read_templates
from hpo_dispatcher.tuning_job.builder import check_template

CONFIG = "HyperParameterTuningJobConfig"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/mine:1"
RESOURCES = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}
AUC = {"metric": "auc", "type": "Maximize"}
ALGORITHM = {"MetricDefinitions": [{"Name": "auc", "Regex": "auc=(.*)"}]}
SEARCHED = {"depth": {"type": "integer", "min": 1, "max": 4}}
GRID_SEARCH = {"colors": {"type": "categorical", "values": ["red", "blue"]}}


def template(
    request: dict[str, Any] | None = None, config: dict[str, Any] | None = None, **fields: Any
) -> Template:
    """Return a template; ``fields`` change its training job definition."""
    definition = {"ResourceConfig": RESOURCES, "AlgorithmSpecification": ALGORITHM} | fields
    return Template.model_validate(
        {
            "description": "any", "image": IMAGE, "request": request or {},
            "tuning_job": {CONFIG: config or {}, "TrainingJobDefinition": definition},
        }
    )  # fmt: skip


@pytest.mark.parametrize("name", sorted(read_templates()))
def test_no_template_of_the_deployment_is_broken(name: str) -> None:
    check_template(name, read_templates()[name])


@pytest.mark.parametrize(
    "good",
    [
        template(),
        template({"objective": AUC}),
        template({"strategy": "Grid"}),  # a message names categories
        template(config={"Strategy": "Grid"}),
        template({"strategy": "Grid", RANGES: GRID_SEARCH}),
        template({RANGES: SEARCHED, "objective": AUC}),
        template({"strategy": "Hyperband"}),
        template({"hyperparameters": {"epochs": 3}}),
        template(AlgorithmSpecification={}),  # a message names its metric with its objective
        template(EnableManagedSpotTraining=True),
        template(ResourceConfig={}),  # a message names its instances
        template(InputDataConfig=[{
            "ChannelName": "train",
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://others/a/"}},
        }]),  # the settings may open it
    ],
)  # fmt: skip
def test_a_template_may_leave_to_messages_what_they_have_to_name(good: Template) -> None:
    check_template("t", good)


@pytest.mark.parametrize(
    ("broken", "field", "problem", "fix"),
    [
        (template({"objective": AUC | {"metric": "f1"}}), "objective.metric",
         "no metric definition has the name 'f1'", "Use one of auc"),
        (template({"objective": AUC}, AlgorithmSpecification={}), "objective.metric",
         "no metric definition finds 'auc' in the log of the training jobs",
         "Add it to AlgorithmSpecification.MetricDefinitions"),
        (template({"strategy": "Hyperband"}, {"TrainingJobEarlyStoppingType": "Auto"}),
         f"{CONFIG}.TrainingJobEarlyStoppingType", "Hyperband stops training jobs itself",
         "Set it to Off"),
        (template({"strategy": "Grid", RANGES: SEARCHED}), "hyperparameter_ranges.depth",
         "Grid searches categorical ranges only", "List the values, or use Random"),
        (template({"resource_limits": {"max_training_jobs": 751}}),
         "resource_limits.max_training_jobs",
         "751 training jobs exceed the limit of 750 for strategy Bayesian",
         "Split it over several requests; `hpoq campaign plan` does"),
        (template(ResourceConfig=RESOURCES | {"InstanceType": "m5.large"}),
         "TrainingJobDefinition.ResourceConfig.InstanceType",
         "the API does not accept 'm5.large'", "Did you mean ml.m5.large?"),
    ],
)  # fmt: skip
def test_a_broken_template_is_named_with_the_field_the_problem_and_the_fix(
    broken: Template, field: str, problem: str, fix: str
) -> None:
    with pytest.raises(InvalidSettings) as caught:
        check_template("mine", broken)
    assert caught.value.key == f"template mine: {field}"
    assert (caught.value.problem, caught.value.fix) == (problem, fix)
