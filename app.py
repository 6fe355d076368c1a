"""The CDK app of one hpoq deployment. infra/settings.py documents its context keys."""

import os
import sys

# Hide a long notice of jsii about Node releases.
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "1")

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from hpo_dispatcher.contract.errors import InvalidSettings
from infra.hpo_stack import HpoStack
from infra.settings import read_settings


def main() -> None:
    """Synthesize the stack; report an invalid setting as one line with exit status 1."""
    app = cdk.App()
    try:
        settings = read_settings(app.node.try_get_context)
    except InvalidSettings as error:
        sys.exit(f"hpoq: {error}")
    HpoStack(app, settings.name, settings=settings)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()


main()
