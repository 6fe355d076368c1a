"""Checks of what training jobs need: the role, a valid request, and data."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from hpo_dispatcher.contract import names
from hpoq.data.channels import channels_of, push_command
from hpoq.data.presence import Presence, find_data
from hpoq.doctor.checks.answers import MISSING, allows_service, error_code, refused_actions
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import RESTORE, Finding, fault, ok


def role(examined: Examined) -> Iterator[Finding]:
    """Check that SageMaker may assume each team's training role, and what the role may do."""
    for team in sorted(examined.settings.deployment.teams):
        yield from _role_of(examined, team)


def _role_of(examined: Examined, team: str) -> Iterator[Finding]:
    arn = examined.settings.environment.training_role(team)
    name, iam = arn.rpartition("/")[2], examined.client("iam")
    try:
        found = iam.get_role(RoleName=name)["Role"]
    except ClientError as error:
        if error_code(error) not in MISSING:
            raise
        yield fault("role", f"the training role {arn} is gone", RESTORE)
        return
    if not allows_service(found["AssumeRolePolicyDocument"], "sagemaker.amazonaws.com"):
        text = f"the training role {name} does not trust sagemaker.amazonaws.com"
        yield fault("role", text, RESTORE)
        return
    refused = list(_refused(examined, arn, team))
    if refused:
        text = f"the training role {name} may not call {', and not '.join(refused)}"
        yield fault("role", text, RESTORE)
    else:
        yield ok("role", f"{name} can be assumed and may use the workspace of {team}")


def _refused(examined: Examined, role: str, team: str) -> Iterator[str]:
    """Yield what a training role may not do in the artifact bucket, although each team's does.

    SageMaker lists the folder of a channel as the role, with its prefix.
    """
    iam, partition = examined.client("iam"), role.split(":")[1]  # aws, aws-us-gov or aws-cn
    bucket = f"arn:{partition}:s3:::{examined.settings.environment.artifact_bucket}"
    workspace = names.workspace_prefix(team)
    objects = f"{bucket}/{workspace}*"
    if refused := refused_actions(iam, role, ["s3:GetObject", "s3:PutObject"], objects, {}):
        yield f"{', '.join(refused)} on {objects}"
    for folder in (workspace, *names.SHARED_FOLDERS):
        if refused_actions(iam, role, ["s3:ListBucket"], bucket, {"s3:prefix": folder}):
            yield f"s3:ListBucket on {bucket} with the prefix {folder}"


def request(examined: Examined) -> Iterator[Finding]:
    """Check that the default template makes a valid request, and that its data is there."""
    api_request = examined.sample  # raises InvalidRequest, which names field, problem and fix
    template = examined.settings.deployment.default_template
    yield ok("request", f"a request for the template {template} is valid")
    complete = True
    for channel in channels_of(api_request):
        found = find_data(examined.client("s3"), channel)
        if found is not Presence.THERE:
            complete = False
            text = f"the channel {channel.name!r} has no data: {channel.uri} {found}"
            command = push_command(examined.settings, examined.team, channel)
            yield fault("data", text, f"Upload it with `{command}`, docs/first-deployment.md#data")
    if complete:
        yield ok("data", f"each channel of the template {template} has data")
