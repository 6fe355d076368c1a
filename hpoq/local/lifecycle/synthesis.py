"""What the synthesis of a CDK app depends on: with equal inputs, `deploy` uses its last result."""

from __future__ import annotations

import hashlib
import json
import os
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

# Variables that change what an app synthesizes: those of the CDK and of the layer's build.
VARIABLES = ("CDK_", "HPOQ_LAYER_")
# Folders of an app that are results or packages; so are those whose names begin with a dot.
NOT_INPUTS = ("node_modules", "cdk.out", "__pycache__")


class LastSynthesis:
    """The last result of a synthesis: a folder, and the inputs that it was made of."""

    def __init__(self, folder: Path) -> None:
        self._manifest = folder / "manifest.json"
        self._inputs = folder.with_name(f"{folder.name}.inputs")

    @property
    def inputs(self) -> str | None:
        """The digest of the inputs; None if there is no result, or an unfinished one."""
        try:
            return self._inputs.read_text() if self._manifest.exists() else None
        except FileNotFoundError:
            return None

    def forget(self) -> None:
        """Forget the inputs, before the result changes."""
        self._inputs.unlink(missing_ok=True)

    def store(self, inputs: str | None) -> None:
        """Store the inputs of the result; None keeps the result from being used again."""
        if inputs:
            self._inputs.write_text(inputs)


def inputs(app: Path, context: Mapping[str, str], environ: Mapping[str, str]) -> str | None:
    """Return a digest of the inputs of a synthesis.

    These are the files of the app's folder, by size and time of the last change; the settings; the
    installed packages; and the variables of the CDK.

    Args:
        app: folder that contains ``cdk.json``.
        context: settings of the app, as ``cdk deploy -c key=value``.
        environ: variables of the app's process.

    Returns:
        The digest; None if ``cdk.json`` is not readable, which cdk reports, or if a setting names a
        file or folder outside of the app.
    """
    try:
        own = json.loads((app / "cdk.json").read_text()).get("context", {})
    except (OSError, ValueError, AttributeError):
        return None
    if any(_is_elsewhere(value, app) for value in (*context.values(), *own.values())):
        return None
    variables = {name: environ[name] for name in environ if name.startswith(VARIABLES)}
    digest = hashlib.sha256(json.dumps([dict(context), variables], sort_keys=True).encode())
    for entry in (*_files(app), *_packages(app)):
        digest.update(f"{entry}\n".encode())
    return digest.hexdigest()


def _is_elsewhere(value: object, app: Path) -> bool:
    """Return whether a setting is the path of something outside of the app's folder."""
    if not isinstance(value, str):
        return False
    path = app / value
    try:
        return path.exists() and not path.resolve().is_relative_to(app.resolve())
    except (OSError, ValueError):  # not a path
        return False


def _files(app: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(app):
        folders[:] = sorted(
            name for name in folders if name not in NOT_INPUTS and not name.startswith(".")
        )
        for name in sorted(names):
            yield _state(Path(folder, name))


def _packages(app: Path) -> Iterator[str]:
    """Yield the state of the folders that change when Python or Node.js packages change."""
    own = sorted((app / ".venv").glob("lib/python*/site-packages"))
    for path in (*own, Path(sysconfig.get_path("purelib")), app / "node_modules"):
        yield _state(path)


def _state(path: Path) -> str:
    try:
        found = path.stat()
    except FileNotFoundError:
        return f"{path} -"
    return f"{path} {found.st_size} {found.st_mtime_ns}"
