"""The command group ``template``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpoq.cli.options import AsJson, DeploymentName, client
from hpoq.cli.output import print_json, say, show

app = typer.Typer(help="Job templates: default values of requests.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the template.", show_default=False)]
Script = Annotated[
    Path,
    typer.Option(
        "--from-script", help="The training script, which is read and not run.", show_default=False
    ),
]


@app.command("list")
def list_templates(deployment: DeploymentName = "hpoq", as_json: AsJson = False) -> None:
    """List the templates of the deployment."""
    settings = client(deployment).settings
    if as_json:
        print_json({name: each.model_dump() for name, each in settings.templates.items()})
        return
    from hpoq.cli.noted_table import NOTE, NotedTable

    rows = NotedTable(["template", "objective"], [NOTE])
    for name, each in settings.templates.items():
        objective = each.request.get("objective", {})
        default = " (default)" if name == settings.deployment.default_template else ""
        rows.add_row([f"{name}{default}", objective.get("metric", "")], [each.description])
    show(rows)


@app.command("show")
def show_template(name: Name, deployment: DeploymentName = "hpoq") -> None:
    """Print a template as YAML."""
    import sys

    import yaml

    from hpoq.errors import NotFound

    templates = client(deployment).settings.templates
    if name not in templates:
        raise NotFound(f"no template {name!r}. Templates: {', '.join(sorted(templates))}")
    fields = templates[name].model_dump(mode="json", exclude_defaults=True)
    yaml.safe_dump(fields, sys.stdout, sort_keys=False)


@app.command("new")
def new_template(name: Name, from_script: Script) -> None:
    """Write a first template, NAME.yaml, beside a training script.

    Suggests a range for each option of the script's argparse parser, and reads the metrics and
    channels. Check them before you send requests.
    """
    from hpoq.errors import UnreadableFile
    from hpoq.templates.draft import draft_of

    file = from_script.with_name(f"{name}.yaml")
    if file.exists():
        raise UnreadableFile(f"{file} exists. Remove it, or choose another name")
    draft = draft_of(from_script, name)
    file.write_text(draft.text)
    for note in draft.notes:
        say(note)
    say(f"check the ranges in {file}, then send it: hpoq submit --template {file}")
    typer.echo(file)
