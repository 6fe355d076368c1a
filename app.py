"""The CDK app of one hpoq deployment. infra/settings.py documents its context keys.

`cdk` starts it with any Python 3; it continues with the one that `make setup` has set up.
"""

import os
import sys
from pathlib import Path

SET_UP = Path(__file__).resolve().parent / ".venv" / "bin"


def main() -> None:
    """Synthesize the stack; report what is missing or invalid as one line with exit status 1."""
    if sys.platform == "win32":
        sys.exit("hpoq: on Windows, cdk runs in WSL only. Clone and deploy in a WSL shell")
    enter_environment()
    from infra.node_release import replace_notices

    notice = replace_notices(os.environ)
    if notice:
        sys.stderr.write(f"hpoq: note: {notice}\n")
    try:
        import aws_cdk as cdk
        from cdk_nag import AwsSolutionsChecks

        from hpo_dispatcher.contract.errors import HpoqError, InvalidSettings
    except ModuleNotFoundError as missing:
        sys.exit(
            f"hpoq: {sys.executable} does not have the package {missing.name}. "
            "Run `make setup`, then repeat this command"
        )
    from hpo_dispatcher.tuning_job.builder import check_template
    from infra.hpo_stack import HpoStack
    from infra.settings import read_settings
    from infra.target_stack import HpoTargetStack
    from infra.templates import InvalidTemplates, deployed_templates

    app = cdk.App()
    try:
        settings = read_settings(app.node.get_all_context())
        faults = []
        for name, template in deployed_templates(settings.templates).items():
            try:
                check_template(name, template)
            except InvalidSettings as fault:
                faults.append(fault)
        if faults:
            raise InvalidTemplates(faults)
    except HpoqError as error:
        sys.exit("\n".join(f"hpoq: {line}" for line in str(error).splitlines()))
    HpoStack(app, settings.name, settings=settings)
    for site in settings.sites:
        HpoTargetStack(app, site.name, settings=settings, site=site)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()


def enter_environment() -> None:
    """Continue with the project's own Python where it is set up, with its pinned packages."""
    python = SET_UP / "python"
    if python.exists() and Path(sys.executable).parent.resolve() != SET_UP.resolve():
        os.execv(python, [str(python), *sys.argv])  # noqa: S606  no shell is wanted


main()
