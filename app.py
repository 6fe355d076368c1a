"""The CDK app: one hpoq deployment. Settings are the context of cdk.json; see infra/settings.py."""

import os
import sys

# A notice of jsii about Node releases, longer than anything this app has to say.
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "1")

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from hpo_dispatcher.contract.errors import InvalidSettings
from infra.hpo_stack import HpoStack
from infra.settings import read_settings


def main() -> None:
    """Synthesise the stack; a wrong setting is one line and exit status 1."""
    app = cdk.App()
    try:
        settings = read_settings(app.node.try_get_context)
    except InvalidSettings as error:
        sys.exit(f"hpoq: {error}")
    HpoStack(app, settings.name, settings=settings)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()


main()
