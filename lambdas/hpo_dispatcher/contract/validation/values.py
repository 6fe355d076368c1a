"""Types of text with a form that AWS or hpoq prescribes, and the words for a text without it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.validation.problems import wrong


def text_like(pattern: str, what: str, fix: str) -> AfterValidator:
    """Return a validator of text.

    Args:
        pattern: the regular expression that the whole text must match.
        what: what the text should be, with its article.
        fix: how to fix another text; ``{}`` stands for that text.
    """
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            wrong(f"{value!r} is not {what}", fix.replace("{}", value))
        return value

    return AfterValidator(check)


EmailAddress = Annotated[
    str,
    text_like(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+", "an email address", "Use one like me@example.com"),
]
S3Prefix = Annotated[
    str, text_like(r"s3://[a-z0-9][a-z0-9.-]+(/.*)?", "an S3 URI", "Use one like s3://bucket/data/")
]
FileSystemFolder = Annotated[
    str,
    text_like(
        r"fs-[0-9a-f]+(/(?!\.\.?(/|$))[^/]+)*/?",
        "a folder of a file system",
        "Use one like fs-0a1b2c3d/teams/fraud",
    ),
]
FolderName = Annotated[
    str,
    text_like(
        r"([A-Za-z0-9!_.'()=+-]+/)+",
        "a folder of the artifact bucket",
        "Use one like shared/ or teams/fraud/data/",
    ),
]
SubnetId = Annotated[
    str, text_like("subnet-[0-9a-f]+", "the id of a subnet", "Use one like subnet-0a1b2c3d")
]
SecurityGroupId = Annotated[
    str, text_like("sg-[0-9a-f]+", "the id of a security group", "Use one like sg-0a1b2c3d")
]
KeyArn = Annotated[
    str,
    text_like(
        aws_limits.KEY_ARN_PATTERN,
        "the ARN of a KMS key",
        "Use one like arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-0123456789ab",
    ),
]
# As SageMaker takes a key: by id, ARN, alias or the ARN of an alias.
KeyName = Annotated[
    str,
    text_like(
        rf"{aws_limits.KEY_ARN_PATTERN}|(?!arn:)(alias/)?[A-Za-z0-9/_-]+",
        "a KMS key",
        "Use its ARN, its id or alias/name",
    ),
]
TeamName = Annotated[
    str,
    text_like(
        "[a-z][a-z0-9-]{0,19}",
        "the name of a team",
        "Use at most 20 lower-case letters, digits and hyphens, a letter first",
    ),
]
DeploymentName = Annotated[
    str,
    text_like(
        "[a-z][a-z0-9-]{0,29}",
        "the name of a deployment",
        "Use at most 30 lower-case letters, digits and hyphens, a letter first",
    ),
]
TargetName = Annotated[
    str,
    text_like(
        "[a-z][a-z0-9-]{0,19}",
        "the name of a target",
        "Use at most 20 lower-case letters, digits and hyphens, a letter first",
    ),
]
AccountId = Annotated[
    str, text_like("[0-9]{12}", "the id of an AWS account", "Use its 12 digits, in quotes")
]
RegionName = Annotated[
    str,
    text_like("[a-z]{2}(-[a-z]+)+-[0-9]", "the name of a Region", "Use one like eu-central-1"),
]
# A tag key as SageMaker accepts it: Tag in the API reference.
TagKey = Annotated[
    str,
    text_like(
        r"[\w\s.:/=+\-@]{1,128}",
        "the key of a tag",
        "Use 1 to 128 letters, digits, spaces and . : / = + - @ _",
    ),
]
# Names of state machines and pipelines (CreateStateMachine and CreatePipeline in the API
# references), with the wildcards of IAM.
StateMachinePattern = Annotated[
    str,
    text_like(
        r"[A-Za-z0-9_*?-]{1,80}",
        "the name of a state machine",
        "Use its name without the ARN, or a pattern such as credit-*",
    ),
]
PipelinePattern = Annotated[
    str,
    text_like(
        r"[A-Za-z0-9*?-]{1,256}",
        "the name of a SageMaker pipeline",
        "Use its name without the ARN, or a pattern such as credit-*",
    ),
]
