"""The job templates of a deployment: the bundled ones and those of its own folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hpo_dispatcher.contract.errors import HpoqError, InvalidSettings
from hpo_dispatcher.contract.templates import Templates, read_templates
from infra.source import ROOT

BUNDLED = ROOT / "lambdas" / "hpo_dispatcher" / "templates"
# Clients read all templates from one item of the ledger's table, which has 400 KB at most.
MAX_BYTES = 200_000


class InvalidTemplates(HpoqError):
    """One or more faults of templates, with one line for each."""

    def __init__(self, faults: Iterable[HpoqError]) -> None:
        super().__init__("\n".join(map(str, faults)))


def deployed_templates(folder: str | None) -> Templates:
    """Return the templates of a deployment by name.

    Args:
        folder: the setting ``templates``. A template of this folder replaces the bundled one of
            the same name.

    Raises:
        InvalidTemplates: the folder or some of its files are invalid.
    """
    bundled = read_templates(BUNDLED)
    files = own_files(folder)
    own = read_templates(Path(folder)) if folder and files else Templates({}, {})
    faults = [*bundled.broken.values(), *own.broken.values(), *_faults_of_files(folder, files)]
    faults += [
        InvalidSettings(f"template {name}: source", f"{each.source} is not an S3 URI", _FIX_SOURCE)
        for name, each in own.items()
        if each.source and not each.source.startswith("s3://")
    ]
    if faults:
        raise InvalidTemplates(faults)
    return Templates({**bundled, **own}, {})


_FIX_SOURCE = "Upload an archive, and name it: s3://{artifact_bucket}/shared/NAME.tar.gz"


def own_files(folder: str | None) -> list[Path]:
    """Return the files of the deployment's own templates, in the order of their names."""
    return sorted(Path(folder).glob("*.yaml")) if folder else []


def _faults_of_files(folder: str | None, files: list[Path]) -> list[InvalidSettings]:
    if folder is None:
        return []
    if not Path(folder).is_dir():
        fix = "Name a folder, relative to the folder of cdk.json"
        return [InvalidSettings("templates", f"there is no folder {folder}", fix)]
    faults = [
        InvalidSettings(f"templates: {path.name}", "not read", f"Rename it to {path.stem}.yaml")
        for path in sorted(Path(folder).glob("*.yml"))
    ]
    size = sum(path.stat().st_size for path in files)
    if size > MAX_BYTES:
        problem = f"{size // 1000} KB in all exceed {MAX_BYTES // 1000} KB"
        faults.append(InvalidSettings("templates", problem, "Remove templates"))
    if not files and not faults:
        problem = f"{folder} contains no template"
        faults.append(InvalidSettings("templates", problem, "Add files NAME.yaml"))
    return faults
