"""The source of a script: a folder, or an archive that each host unpacks once."""

import ast
import hashlib
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from credit_default.container import TrainingFailed

_SAMPLE = 1 << 20  # bytes
_CODE = (".py", ".sh")
CHANNEL = "script"  # brings the archive of a team's script


def source_of(given: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """Return the source: as given, or the channel, or the folder of the bundled scripts.

    A channel is named as ``channel:``, because its folder differs between hosts.
    """
    if given:
        return str(Path(given).resolve())
    if f"SM_CHANNEL_{CHANNEL.upper()}" in environ:
        return f"channel:{CHANNEL}"
    return str(Path(__file__).resolve().parents[1])


def unpacked(source: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of a source on this host.

    Raises:
        TrainingFailed: there is no such folder or archive.
    """
    place = _place(source, environ)
    if place.is_dir():
        return place
    return _unpack(place, place.stat().st_mtime_ns)


# What tarfile raises for archives that it cannot read, or does not unpack. KeyError: a hard link to
# nothing.
UNPACKING_ERRORS = (
    tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError, KeyError
)  # fmt: skip


@cache
def _unpack(place: Path, _changed: int) -> Path:
    with place.open("rb") as file:
        name = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"hpoq-source-{os.getuid()}-{name}"
    if is_ours(folder):
        return folder
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}-"))
    try:
        with tarfile.open(place) as archive:
            archive.extractall(partial, filter="data")
    except UNPACKING_ERRORS as error:
        shutil.rmtree(partial, ignore_errors=True)
        problem = " ".join(str(error).split())  # tarfile names each format that it tried, in a line
        raise TrainingFailed(f"{place}: cannot be unpacked ({problem})") from None
    try:
        partial.rename(folder)
    except OSError:  # another trial has just unpacked it
        shutil.rmtree(partial, ignore_errors=True)
        if not is_ours(folder):
            raise
    return folder


def is_ours(folder: Path) -> bool:
    """Return whether a folder with code exists in the temporary folder, which users may share.

    Raises:
        TrainingFailed: another user made it, and may have put any code into it.
    """
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise TrainingFailed(f"{folder} is not a folder of yours. Remove it, or set TMPDIR")
    return True


def check_function(source: str, script: str, name: str) -> None:
    """Check that a script defines a function, without running the script.

    Raises:
        TrainingFailed: it does not, or is not a Python script.
    """
    file = unpacked(source) / script
    try:
        tree = ast.parse(file.read_text())
    except (OSError, SyntaxError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}".splitlines()[0]
        raise TrainingFailed(f"--function {name}: {script} cannot be read ({problem})") from None
    if name not in set(_defined(tree)):
        raise TrainingFailed(f"--function {name}: {script} defines no {name}")


def _defined(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module defines or imports at its top level."""
    for each in tree.body:
        if isinstance(each, ast.FunctionDef):
            yield each.name
        elif isinstance(each, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in each.names)
        elif isinstance(each, ast.Assign):
            yield from (target.id for target in each.targets if isinstance(target, ast.Name))


def digest(source: str, fixed: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> str:
    """Return the digest of the code and of the data that a script reads.

    The code are the Python files and shell scripts of its source, which may contain results, too.
    The data are the channels, and what hyperparameters name as existing paths. Of a large file, the
    first and the last part count, and its size.
    """
    found = hashlib.sha256()
    channels = [text for name, text in sorted(environ.items()) if name.startswith("SM_CHANNEL_")]
    data = [Path(text) for text in (*channels, *fixed.values()) if _exists(text)]
    code = unpacked(source, environ)
    files = [(code, each) for each in _files(code) if each.suffix in _CODE]
    files += [(place.parent, file) for place in data for file in _files(place)]
    for place, file in files:
        found.update(file.relative_to(place).as_posix().encode() + b"\0" + _sample(file))
    return found.hexdigest()


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    files = (each for each in place.rglob("*") if each.is_file())
    return sorted(each for each in files if "__pycache__" not in each.parts)


def _sample(file: Path) -> bytes:
    size = file.stat().st_size
    with file.open("rb") as opened:
        start = opened.read(_SAMPLE)
        opened.seek(max(0, size - _SAMPLE))
        return hashlib.sha256(start + opened.read(_SAMPLE)).digest() + size.to_bytes(8, "big")


def _exists(text: str) -> bool:
    try:
        return bool(text) and Path(text).exists()
    except OSError:  # longer than a path can be
        return False


def _place(source: str, environ: Mapping[str, str]) -> Path:
    if not source.startswith("channel:"):
        place = Path(source)
        if not place.exists():
            raise TrainingFailed(f"--source {source}: no such folder or archive")
        return place
    folder = Path(environ[f"SM_CHANNEL_{CHANNEL.upper()}"])
    archives = sorted(each for each in folder.iterdir() if each.name.endswith((".tar.gz", ".tgz")))
    return archives[0] if archives else folder
