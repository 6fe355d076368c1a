"""The training image follows from the instance type of the finished request."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import EarlierJob
from hpo_dispatcher.contract.errors import BrokenTemplate, InvalidRequest, InvalidSettings
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.contract.settings import Deployment, Guardrails
from hpo_dispatcher.contract.targets.sites import TargetSite
from hpo_dispatcher.contract.templates import FrameworkImage, Template
from hpo_dispatcher.tuning_job.builder import JobBuilder, check_template
from tests.support.tuning_requests import ENVIRONMENT, TEMPLATE, api_request, definition, request


class Images:
    """Answers as the SageMaker SDK does: by the family of the instance type."""

    def uri(self, image: FrameworkImage, instance_type: str) -> str:
        if instance_type.startswith("ml.p2."):  # "P2 instances have been deprecated"
            raise InvalidSettings("image", f"no image for {image.framework}", "Give a URI")
        processor = "gpu" if instance_type.startswith(("ml.g", "ml.p")) else "cpu"
        return f"registry/{image.framework}-training:{image.version}-{processor}"


CPU, GPU = "registry/pytorch-training:2.10-cpu", "registry/pytorch-training:2.10-gpu"


def builder_of(*teams: str, template: Template = TEMPLATE) -> JobBuilder:
    settings = {"teams": {team: {} for team in teams}, "default_template": "t"}
    return JobBuilder(
        deployment=Deployment.model_validate(settings),
        environment=ENVIRONMENT,
        templates={"t": template},
        images=Images(),
    )


def images_of(template: Template = TEMPLATE, **fields: Any) -> list[str]:
    made = builder_of("fraud", template=template).api_request("fraud", request(**fields))
    found = made.get("TrainingJobDefinitions") or [made["TrainingJobDefinition"]]
    return [each["AlgorithmSpecification"]["TrainingImage"] for each in found]


def test_an_account_limit_is_reported_in_the_field_that_the_message_has() -> None:
    sent = request(resource_limits={"max_training_jobs": 50, "max_parallel_training_jobs": 50})
    with pytest.raises(InvalidRequest) as refused:
        builder_of("fraud").new_api_request("fraud", sent)
    assert refused.value.field == "resource_limits.max_parallel_training_jobs"


def test_an_entry_without_demand_differs_in_its_demand_and_its_reason_only() -> None:
    of_team = {"priority_aging_minutes": 30, "priority_cap": 5}
    deployment = Deployment.model_validate({"teams": {"fraud": of_team}, "default_template": "t"})
    builder = replace(builder_of("fraud"), deployment=deployment)
    sent = request(request_id="a", after=["b"], priority=7, expected_minutes=1.51)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    whole = builder.entry("fraud", sent, at)
    without = builder.entry_without_demand("fraud", sent, at, "the template is broken")
    demand = (
        "instances", "max_training_jobs", "max_parallel", "most_instance_seconds",
        "expected_seconds", "resume_blocker", "targets",
    )  # fmt: skip
    same = {name: getattr(whole, name) for name in demand}
    assert replace(without, **same, reason=whole.reason) == whole
    assert whole.expected_seconds == 91
    assert (whole.priority, whole.priority_aging_minutes) == (5, 30)
    assert without.reason == "the template is broken"


@pytest.mark.parametrize(
    ("instance_type", "image"),
    [("ml.m5.large", CPU), ("ml.g5.xlarge", GPU), ("ml.p4d.24xlarge", GPU)],
)
def test_an_instance_type_of_the_message_chooses_the_image(instance_type: str, image: str) -> None:
    assert images_of(**definition(ResourceConfig={"InstanceType": instance_type})) == [image]


def test_each_of_several_definitions_gets_its_own_image() -> None:
    gpu = {"ResourceConfig": {"InstanceType": "ml.g5.xlarge"}}
    assert images_of(overrides={"TrainingJobDefinitions": [{}, gpu]}) == [CPU, GPU]


@pytest.mark.parametrize(
    "resources",
    [
        {
            "ResourceConfig": {
                "InstanceGroups": [
                    {"InstanceGroupName": name, "InstanceType": each, "InstanceCount": 1}
                    for name, each in (("feeds", "ml.m5.large"), ("trains", "ml.p4d.24xlarge"))
                ]
            }
        },
        {
            "HyperParameterTuningResourceConfig": {
                "InstanceConfigs": [
                    {"InstanceType": each, "InstanceCount": 1, "VolumeSizeInGB": 10}
                    for each in ("ml.c5.xlarge", "ml.g5.xlarge")
                ]
            }
        },
    ],
)
def test_where_sagemaker_may_use_a_gpu_the_image_supports_it(resources: dict[str, Any]) -> None:
    bare = {
        "AlgorithmSpecification": TEMPLATE.tuning_job["TrainingJobDefinition"][
            "AlgorithmSpecification"
        ]
    }
    template = TEMPLATE.model_copy(update={"tuning_job": {"TrainingJobDefinition": bare}})
    assert images_of(template, **definition(**resources)) == [GPU]


def test_an_image_of_the_message_stays() -> None:
    assert images_of(**definition(AlgorithmSpecification={"TrainingImage": "mine:1"})) == ["mine:1"]


DEPRECATED = {"ResourceConfig": {"InstanceType": "ml.p2.xlarge"}}


def test_an_instance_type_without_an_image_is_a_fault_of_the_message_that_names_it() -> None:
    with pytest.raises(InvalidRequest, match=r"ml\.p2\.xlarge: no image for pytorch") as caught:
        images_of(**definition(**DEPRECATED))
    assert caught.value.field == "TrainingJobDefinition.ResourceConfig.InstanceType"
    assert "AlgorithmSpecification.TrainingImage" in caught.value.fix


def test_an_image_of_the_message_serves_an_instance_type_without_one() -> None:
    mine = {"AlgorithmSpecification": {"TrainingImage": "mine:1"}}
    assert images_of(**definition(**DEPRECATED, **mine)) == ["mine:1"]


def test_an_instance_type_without_an_image_in_a_template_blocks_its_requests() -> None:
    training = TEMPLATE.tuning_job["TrainingJobDefinition"]
    resources = training["ResourceConfig"] | DEPRECATED["ResourceConfig"]
    tuning_job = TEMPLATE.tuning_job | {
        "TrainingJobDefinition": training | {"ResourceConfig": resources}
    }
    with pytest.raises(BrokenTemplate, match=r"the template t is broken \(no image for pytorch"):
        images_of(TEMPLATE.model_copy(update={"tuning_job": tuning_job}))


NOW = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.mark.parametrize("request_id", ["eu-1", "eu_1", "fraud-eu-1", "EU--", "eu"])
def test_a_request_whose_job_would_be_named_as_another_team_s_is_rejected(request_id: str) -> None:
    wanted = request(request_id=request_id)
    with pytest.raises(InvalidRequest, match="begin with fraud-eu-") as caught:
        builder_of("fraud", "fraud-eu").entry("fraud", wanted, NOW)
    assert caught.value.field == "request_id"
    assert builder_of("fraud").entry("fraud", wanted, NOW)
    assert builder_of("fraud", "fraud-eu").api_request("fraud", wanted)  # accepted earlier


def test_requests_of_both_teams_may_have_any_other_ids() -> None:
    builder = builder_of("fraud", "fraud-eu")
    for request_id in ("1", "europe-1", "fraud-1"):
        assert builder.entry("fraud", request(request_id=request_id), NOW)
    for request_id in ("1", "eu-1", "fraud-eu-1"):
        assert builder.entry("fraud-eu", request(request_id=request_id), NOW)


def refusal(of: JobBuilder, **fields: Any) -> tuple[str, str, str]:
    with pytest.raises(InvalidRequest) as caught:
        of.entry("fraud", request(**fields), datetime(2026, 1, 1, tzinfo=UTC))
    return caught.value.field, caught.value.problem, caught.value.fix


def test_an_unknown_template_is_named_with_those_that_exist() -> None:
    assert refusal(builder_of("fraud"), template="gpu") == (
        "template", "unknown template 'gpu'", "Use one of t"
    )  # fmt: skip


def test_a_target_that_the_settings_had_is_named() -> None:
    with pytest.raises(InvalidRequest) as caught:
        builder_of("fraud").on("research")
    assert (caught.value.field, caught.value.problem, caught.value.fix) == (
        "targets",
        "the deployment has no target 'research' any more",
        "Resubmit it without the target",
    )


def test_a_request_says_which_others_it_waits_for_each_once() -> None:
    made = builder_of("fraud").entry(
        "fraud", request(after=["b", "c"], warm_start_from=["b"]), datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert made.blocked
    assert (made.reason.count("b"), made.reason.count("c")) == (1, 1), made.reason


def test_an_entry_without_a_number_of_training_jobs_says_so() -> None:
    asked = api_request()
    limits = asked["HyperParameterTuningJobConfig"]["ResourceLimits"]
    del limits["MaxNumberOfTrainingJobs"]
    limits["MaxRuntimeInSeconds"] = 3600
    sent = TuningRequest.model_validate({"request_id": "a", "api_request": asked})
    buckets = tuple({*re.findall(r"s3://[a-z0-9.-]+", json.dumps(asked))})
    opened = {"guardrails": Guardrails(output_prefixes=buckets)}
    of = builder_of("fraud")
    of = replace(of, deployment=of.deployment.model_copy(update=opened))
    made = of.entry("fraud", sent, NOW)
    assert made.max_training_jobs == 0


@pytest.mark.parametrize(("times", "blocked"), [(4, False), (5, True)])
def test_a_request_that_was_preempted_five_times_is_not_preempted_again(
    times: int, blocked: bool
) -> None:
    """A warm start has five parents at most."""
    job = EarlierJob(
        tuning_job_name="j", counters={"Completed": 1}, interrupted=0, seconds=9,
        instance_seconds=9, found=True,
    )  # fmt: skip
    of = builder_of("fraud")
    before = of.entry("fraud", request(resource_limits={"max_training_jobs": 20}), NOW)
    assert before.resume_blocker == ""
    resumed = of.resumed(replace(before, earlier=(job,) * times))
    assert bool(resumed.resume_blocker) is blocked
    assert (before.max_training_jobs, resumed.max_training_jobs) == (20, 20)


def test_a_template_without_an_objective_or_an_instance_type_leaves_them_to_messages() -> None:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}
    fields: dict[str, Any] = {
        "description": "any", "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/mine:1",
        "tuning_job": {"TrainingJobDefinition": {"ResourceConfig": resources}},
    }  # fmt: skip
    check_template("t", Template.model_validate(fields))
    without_resources = Template.model_validate(fields | {"tuning_job": {}})
    check_template("t", without_resources)
    named = fields | {"request": {"objective": {"metric": "auc", "type": "Maximize"}}}
    with pytest.raises(InvalidSettings, match="no metric definition finds 'auc'"):
        check_template("t", Template.model_validate(named))


def test_requests_of_a_team_that_was_removed_are_built_without_settings() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    of = builder_of("fraud")
    assert of.entry("removed", request(), at) == replace(
        of.entry("fraud", request(), at), team="removed"
    )


def test_the_builder_of_each_target_looks_images_up_in_its_region() -> None:
    sites = {
        name: TargetSite(
            deployment="hpoq", target=name, account="222222222222", region=region,
            home_account="111111111111", home_region="us-east-1",
        )
        for name, region in (("eu", "eu-central-1"), ("asia", "ap-south-1"))
    }  # fmt: skip
    asked: list[TargetSite] = []

    def images(site: TargetSite) -> Images:
        asked.append(site)
        return Images()

    of = builder_of("fraud").with_sites(sites, images)
    assert asked == [*sites.values()]
    assert {name: of.on(name).environment.region for name in sites} == {
        "eu": "eu-central-1", "asia": "ap-south-1"
    }  # fmt: skip
    assert of.on("home") is of


@pytest.mark.parametrize(
    "settings",
    [
        {"teams": {"fraud": {"guardrails": {"max_training_jobs": 1}}}},
        {"teams": {"fraud": {}}, "guardrails": {"max_training_jobs": 1}},
        {
            "teams": {"fraud": {}},
            "targets": {"home": {"guardrails": {"max_training_jobs": 1}}},
        },
    ],
    ids=["of the team", "of the deployment", "of the target"],
)
def test_guardrails_of_the_team_the_deployment_and_the_target_hold(
    settings: dict[str, Any],
) -> None:
    deployment = Deployment.model_validate({**settings, "default_template": "t"})
    with pytest.raises(InvalidRequest) as caught:
        replace(builder_of("fraud"), deployment=deployment).api_request("fraud", request())
    assert caught.value.field == "resource_limits.max_training_jobs"
