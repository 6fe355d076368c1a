"""The target of a direct campaign: what a deployment would otherwise supply."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo_dispatcher.contract.environment import Environment
from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.names import ANY_TEAM, workspace_prefix
from hpo_dispatcher.contract.templates import (
    FrameworkImage,
    Template,
    read_template,
    read_templates,
)
from hpo_dispatcher.tuning_job.api.schema import definitions
from hpo_dispatcher.tuning_job.short_form import Image
from hpoq.campaign.errors import InvalidPlan

if TYPE_CHECKING:
    from hpoq.campaign.campaign_plan import CampaignPlan
    from hpoq.client import Client


@dataclass(frozen=True, kw_only=True)
class Target:
    """The template, image, role, bucket and code that tuning jobs are created with."""

    template: Template
    environment: Environment
    image: Image  # the training image


def deployed_target(
    plan: CampaignPlan, client: Client, team: str, image: str | None = None
) -> Target:
    """Return a target that uses a deployment's template and a team's role and workspace."""
    settings = client.settings
    name = plan.campaign.request.get("template", settings.deployment.default_template)
    if name not in settings.templates:
        raise InvalidPlan(f"template {name!r} is not deployed. See `hpoq template list`")
    template = settings.templates[name]
    environment = settings.environment
    role = environment.training_role(team)
    environment = environment.model_copy(update={"training_role_arn": role})
    found = image or image_of(template, environment.region)
    return Target(
        template=_in_workspace(template, environment.artifact_bucket, team),
        environment=environment,
        image=found,
    )


def deployed_api_form(client: Client, team: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message in API form, with all that the deployment's template says."""
    from hpoq.templates.expansion import in_api_form
    from hpoq.templates.lookup import KnownImages

    if "api_request" in message:
        return dict(message)
    settings = client.settings
    name = message.get("template", settings.deployment.default_template)
    if name not in settings.templates:
        raise InvalidPlan(f"template {name!r} is not deployed. See `hpoq template list`")
    return in_api_form(
        settings,
        team,
        message,
        name=name,
        template=settings.templates[name],
        images=KnownImages(client),
    )


def _in_workspace(template: Template, bucket: str, team: str) -> Template:
    """Return a template whose jobs write to the workspace of a team."""
    output = {
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/{workspace_prefix(team)}output/"}
    }
    filled = json.loads(json.dumps(template.tuning_job).replace(ANY_TEAM, team))
    definition = output | filled.get("TrainingJobDefinition", {})
    return template.model_copy(
        update={"tuning_job": filled | {"TrainingJobDefinition": definition}}
    )


def own_target(
    plan: CampaignPlan,
    *,
    role_arn: str,
    bucket: str,
    source: str,
    region: str,
    template: Path | None = None,
    image: str | None = None,
) -> Target:
    """Return a target that needs no deployment.

    Args:
        plan: names one of the bundled templates, unless ``template`` is given.
        role_arn: role of the training jobs.
        bucket: for data and models.
        source: ``s3://`` URI of the training code's archive.
        region: where the jobs run.
        template: a YAML file in the form of a deployment's templates.
        image: URI of the training image; default: the template's.
    """
    chosen = read_template(template) if template else _bundled(plan)
    environment = Environment(
        deployment="direct",
        ledger_table="none",
        artifact_bucket=bucket,
        training_role_arn=role_arn,
        training_source=source,
        region=region,
    )
    found = image or image_of(chosen, region)
    return Target(template=chosen, environment=environment, image=found)


def _bundled(plan: CampaignPlan) -> Template:
    name, found = plan.campaign.request.get("template", ""), read_templates()
    if name not in found:
        known = ", ".join(sorted(found))
        raise InvalidPlan(f"template {name!r} is unknown. Use {known} or a template file")
    return found[name]


def image_of(template: Template, region: str) -> Image:
    """Return the template's image; the SageMaker SDK looks up framework images by instance type.

    The image for the template's own instance type is looked up at once.

    Raises:
        InvalidSettings: the SDK is not installed or does not know the image.
    """
    image = template.image
    if not isinstance(image, FrameworkImage):
        return image
    found = definitions(template.tuning_job)
    resources = found[0].get("ResourceConfig", {}) if found else {}
    lookup = cache(partial(_look_up, image, region))
    lookup(resources.get("InstanceType", "ml.m5.large"))
    return lookup


def _look_up(image: FrameworkImage, region: str, instance_type: str) -> str:
    try:
        from sagemaker.core import image_uris

        return str(
            image_uris.retrieve(
                framework=image.framework,
                region=region,
                version=image.version,
                py_version=image.py_version,
                instance_type=instance_type,
                image_scope="training",
            )
        )
    except (ImportError, ValueError) as error:
        problem = f"no image for {image.framework} {image.version} ({error})"
        raise InvalidSettings("image", problem, "Give its URI") from None
