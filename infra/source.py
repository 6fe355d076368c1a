"""The assets of the stack, built reproducibly and without Docker."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import jsii

ROOT = Path(__file__).resolve().parent.parent
_SKIPPED = ("__pycache__",)


@jsii.implements(cdk.ILocalBundling)
class Bundling:
    """An adapter that lets a Python function fill the asset's folder."""

    def __init__(self, fill: Callable[[Path], None]) -> None:
        self._fill = fill

    def try_bundle(self, output_dir: str, *_options: object, **_members: object) -> bool:
        """Fill the folder and return True: there is no Docker image to fall back to."""
        self._fill(Path(output_dir))
        return True


def bundling(
    fill: Callable[[Path], None], kind: cdk.BundlingOutput = cdk.BundlingOutput.NOT_ARCHIVED
) -> cdk.BundlingOptions:
    """Return bundling options that fill the asset locally and never use the image."""
    return cdk.BundlingOptions(
        image=cdk.DockerImage.from_registry("not-used"), local=Bundling(fill), output_type=kind
    )


def source_files(folder: Path, pattern: str = "*") -> list[Path]:
    """List the files below a folder in a fixed order, without compiled ones."""
    files = (path for path in folder.rglob(pattern) if path.is_file())
    return sorted(path for path in files if not set(_SKIPPED) & set(path.parts))


def fingerprint(paths: Iterable[Path], *extra: str) -> str:
    """Return a digest of the files' paths and contents, so that equal sources share an asset."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    for text in extra:
        digest.update(b"\0" + text.encode())
    return digest.hexdigest()


def write_function(
    folder: Path,
    deployment: dict[str, Any],
    interpreter: str = sys.executable,
    templates: Iterable[Path] = (),
) -> None:
    """Write the dispatcher's package and its settings as Lambda unpacks them.

    Args:
        folder: the folder to fill.
        deployment: the settings to include.
        interpreter: a Python of the function's runtime version, to compile the package. Without
            compiled files each cold start would compile again, because /var/task is read-only.
        templates: files of the deployment's own templates.
    """
    package = ROOT / "lambdas" / "hpo_dispatcher"
    ignore = shutil.ignore_patterns(*_SKIPPED)
    shutil.copytree(package, folder / package.name, ignore=ignore, dirs_exist_ok=True)
    for path in templates:
        shutil.copyfile(path, folder / package.name / "templates" / path.name)
    command = [interpreter, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    places = ["-s", str(folder), "-p", "/var/task", str(folder / package.name)]
    subprocess.run([*command, *places], check=True, env=os.environ | {"PYTHONHASHSEED": "0"})
    (folder / "deployment.json").write_text(json.dumps(deployment, indent=2, sort_keys=True))


def write_training_archive(folder: Path) -> None:
    """Write the training scripts to the root of one archive, as SageMaker's script mode expects."""
    source = ROOT / "training"
    with (
        (folder / "training.tar.gz").open("wb") as file,
        gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for path in source_files(source):
            member = tarfile.TarInfo(path.relative_to(source).as_posix())
            content = path.read_bytes()
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
