"""The files of this machine that are uploaded, and how the credit-default data becomes some."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import hpoq
from hpoq.data.channels import S3Channel
from hpoq.errors import UnusableData

# What training/prepare_data.py writes.
PREPARED = {"train", "validation", "test"}


@dataclass(frozen=True, kw_only=True)
class ChannelFiles:
    """The files that become the data of a channel."""

    channel: S3Channel
    folder: Path
    files: tuple[Path, ...]

    @property
    def by_key(self) -> dict[str, Path]:
        """The files by the keys of their objects."""
        return {
            self.channel.key(file.relative_to(self.folder).as_posix()): file for file in self.files
        }


def by_channel(folder: Path, channels: Sequence[S3Channel]) -> list[ChannelFiles]:
    """Return the files of a folder that has a subfolder for each channel.

    Raises:
        UnusableData: a subfolder is missing or empty.
    """
    names = [channel.name for channel in channels]
    missing = [name for name in names if not (folder / name).is_dir()]
    if missing:
        raise UnusableData(
            f"{folder}: has no folder {missing[0]}. The template reads the folders "
            f"{', '.join(names)}; --channel uploads the data of one of them"
        )
    return [of_one(folder / channel.name, channel) for channel in channels]


def of_one(source: Path, channel: S3Channel) -> ChannelFiles:
    """Return a file, or the files of a folder, as the data of one channel.

    Raises:
        UnusableData: there is no such file, or the folder contains none.
    """
    if source.is_file():
        return ChannelFiles(channel=channel, folder=source.parent, files=(source,))
    if not source.exists():
        raise UnusableData(f"{source}: no such file or folder. Name one that exists")
    files = tuple(
        path
        for path in sorted(source.rglob("*"))
        if path.is_file() and not _is_hidden(path.relative_to(source))
    )
    if not files:
        raise UnusableData(f"{source}: contains no files. Name a folder with data")
    return ChannelFiles(channel=channel, folder=source, files=files)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


@contextmanager
def prepared(file: Path, channels: Sequence[S3Channel]) -> Iterator[Path]:
    """Split a file of the credit-default data; yield the folder with a subfolder per channel.

    Raises:
        UnusableData: the template reads other data, the file is not the credit-default data, or
            this hpoq was installed without the training scripts.
    """
    names = [channel.name for channel in channels]
    if set(names) != PREPARED:
        raise UnusableData(
            f"{file}: a file, but the template reads the folders {', '.join(names) or '(none)'}. "
            "Name a folder with them, or one of them with --channel"
        )
    script = Path(hpoq.__file__).parents[1] / "training" / "prepare_data.py"
    if not script.exists():
        raise UnusableData(
            f"{file}: cannot be prepared here, because hpoq was installed without the training "
            "scripts. In a clone of hpoq, run `python training/prepare_data.py "
            f"--data {file} --out data/credit-default`, then push the folder data/credit-default"
        )
    with TemporaryDirectory(prefix="hpoq-data-") as out:
        command = [sys.executable, str(script), "--data", str(file), "--out", out]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            lines = ended.stderr.strip().splitlines() or ["training/prepare_data.py failed"]
            raise UnusableData(lines[-1].removeprefix("error: "))
        yield Path(out)
