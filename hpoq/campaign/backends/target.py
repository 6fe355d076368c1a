"""What a direct campaign needs besides its plan: template, image, role, bucket, source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.settings import (
    Environment,
    FrameworkImage,
    Template,
    read_template,
    read_templates,
)
from hpo_dispatcher.tuning_job.api_schema import definitions
from hpoq.campaign.backends.direct import Target
from hpoq.campaign.errors import InvalidPlan

if TYPE_CHECKING:
    from hpoq.campaign.model import Plan
    from hpoq.client import Client


def deployed_target(plan: Plan, client: Client, image: str | None = None) -> Target:
    """With the means of a deployment, past its queue."""
    settings = client.settings
    name = plan.campaign.request.get("template", settings.deployment.default_template)
    if name not in settings.templates:
        raise InvalidPlan(f"template {name!r} is not deployed. See `hpoq template list`")
    template = settings.templates[name]
    environment = settings.environment
    uri = image or image_uri(template, environment.region)
    return Target(template=template, environment=environment, image=uri)


def own_target(
    plan: Plan,
    *,
    role_arn: str,
    bucket: str,
    source: str,
    region: str,
    template: Path | None = None,
    image: str | None = None,
) -> Target:
    """Without any deployment.

    Args:
        plan: names one of the bundled templates, unless ``template`` is given.
        role_arn: that SageMaker runs training jobs as.
        bucket: for data and models.
        source: ``s3://`` URI of the training code's archive.
        region: of all of it.
        template: a YAML file as in the deployment's templates.
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
    uri = image or image_uri(chosen, region)
    return Target(template=chosen, environment=environment, image=uri)


def _bundled(plan: Plan) -> Template:
    name, found = plan.campaign.request.get("template", ""), read_templates()
    if name not in found:
        known = ", ".join(sorted(found))
        raise InvalidPlan(f"template {name!r} is unknown. Use one of {known}, or give a file")
    return found[name]


def image_uri(template: Template, region: str) -> str:
    """The template's image; a framework's is looked up by the SageMaker SDK.

    Raises:
        InvalidSettings: the SDK is not installed or knows no such image.
    """
    image = template.image
    if not isinstance(image, FrameworkImage):
        return image
    found = definitions(template.tuning_job)
    resources = found[0].get("ResourceConfig", {}) if found else {}
    try:
        from sagemaker.core import image_uris

        return str(
            image_uris.retrieve(
                framework=image.framework,
                region=region,
                version=image.version,
                py_version=image.py_version,
                instance_type=resources.get("InstanceType", "ml.m5.large"),
                image_scope="training",
            )
        )
    except (ImportError, ValueError) as error:
        problem = f"no image for {image.framework} {image.version} ({error})"
        raise InvalidSettings("image", problem, "Give its URI") from None
