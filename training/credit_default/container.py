"""The folders of SageMaker's training container and their defaults on a laptop."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self

from credit_default.dataset.schema import DataError
from credit_default.hosts import HostMissing

CHANNELS = ("train", "validation", "test")


class TrainingFailed(RuntimeError):
    """A training job cannot continue, for a reason that fits on one line."""


@dataclass(frozen=True, kw_only=True)
class Folders:
    """The folders that a training script reads and writes."""

    train: Path
    validation: Path
    test: Path
    model: Path
    checkpoints: Path | None

    @property
    def parts(self) -> tuple[Path, Path, Path]:
        """The data folders: train, validation and test."""
        return self.train, self.validation, self.test

    @staticmethod
    def add_to(parser: argparse.ArgumentParser, environ: Mapping[str, str] = os.environ) -> None:
        """Add one flag per folder; on SageMaker the container's folders are the defaults."""
        checkpoints = base_folder(environ) / "checkpoints"
        parser.add_argument(
            "--data-dir", type=Path, help="folder that contains train, validation and test"
        )
        for channel in CHANNELS:
            default = environ.get(f"SM_CHANNEL_{channel.upper()}")
            parser.add_argument(
                f"--{channel}-dir", type=Path, default=default, help=f"folder of the {channel} part"
            )
        parser.add_argument(
            "--model-dir",
            type=Path,
            default=environ.get("SM_MODEL_DIR", "model"),
            help="folder to write the model to (default: %(default)s)",
        )
        parser.add_argument(
            "--checkpoint-dir",
            type=Path,
            default=checkpoints if checkpoints.is_dir() else None,
            help="folder to save the run in after each epoch and to resume it from",
        )
        # SageMaker passes this flag along with the hyperparameters.
        parser.add_argument("--_tuning_objective_metric", help=argparse.SUPPRESS)

    @classmethod
    def from_args(cls, args: argparse.Namespace, parser: argparse.ArgumentParser) -> Self:
        """Return the folders given on the command line.

        Raises:
            SystemExit: the folder of a channel is missing; the message names its flag.
        """
        parts: dict[str, Path] = {}
        for channel in CHANNELS:
            given = getattr(args, f"{channel}_dir")
            if given is None and args.data_dir is None:
                parser.error(f"--{channel}-dir or --data-dir is required")
            parts[channel] = given or args.data_dir / channel
        return cls(**parts, model=args.model_dir, checkpoints=args.checkpoint_dir)


def base_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return SageMaker's base folder: /opt/ml, unless SAGEMAKER_BASE_DIR overrides it."""
    return Path(environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))


class OneLineParser(argparse.ArgumentParser):
    """An argument parser that reports an error as one line without the usage text."""

    def error(self, message: str) -> NoReturn:
        """Print the error, write it as the failure reason, and exit with status 2."""
        write_failure_reason(message)
        self.exit(2, f"error: {message}\n")


@contextmanager
def report_failure() -> Iterator[None]:
    """Write any exception as the training job's FailureReason.

    Print an expected exception as one line and exit with status 1; let any other propagate.
    """
    try:
        yield
    except (DataError, TrainingFailed, HostMissing) as error:
        write_failure_reason(str(error))
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except Exception as error:
        write_failure_reason(f"{type(error).__name__}: {error}")
        raise


def write_failure_reason(reason: str) -> None:
    """Write the file that SageMaker reads the FailureReason from; on a laptop, write nothing."""
    folder = base_folder() / "output"
    if folder.is_dir():
        (folder / "failure").write_text(reason[:1024] + "\n")
