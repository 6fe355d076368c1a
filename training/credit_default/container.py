"""Where SageMaker's container keeps things, and where the same things lie on a laptop."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self

from credit_default.distributed import HostMissing
from credit_default.metrics import MetricNotFinite
from credit_default.schema import DataError

CHANNELS = ("train", "validation", "test")


class Failure(RuntimeError):
    """Why a training job cannot go on, in a line that says it all."""


@dataclass(frozen=True, kw_only=True)
class Folders:
    """What a training script reads and writes."""

    train: Path
    validation: Path
    test: Path
    model: Path
    checkpoints: Path | None

    @property
    def parts(self) -> tuple[Path, Path, Path]:
        """Of the data: train, validation, test."""
        return self.train, self.validation, self.test

    @staticmethod
    def add_to(parser: argparse.ArgumentParser, environ: Mapping[str, str] = os.environ) -> None:
        """A flag for each; on SageMaker their defaults are the container's folders."""
        kept = base(environ) / "checkpoints"
        parser.add_argument("--data-dir", type=Path, help="holds train, validation and test")
        for channel in CHANNELS:
            default = environ.get(f"SM_CHANNEL_{channel.upper()}")
            parser.add_argument(
                f"--{channel}-dir", type=Path, default=default, help=f"the {channel} part"
            )
        parser.add_argument(
            "--model-dir",
            type=Path,
            default=environ.get("SM_MODEL_DIR", "model"),
            help="folder the model is written to (default %(default)s)",
        )
        parser.add_argument(
            "--checkpoint-dir",
            type=Path,
            default=kept if kept.is_dir() else None,
            help="folder to save the run in after each epoch, and to resume it from",
        )
        # SageMaker passes this one along with the hyperparameters.
        parser.add_argument("--_tuning_objective_metric", help=argparse.SUPPRESS)

    @classmethod
    def from_args(cls, args: argparse.Namespace, parser: argparse.ArgumentParser) -> Self:
        """Those among parsed arguments; a missing one ends the program with its name."""
        parts: dict[str, Path] = {}
        for channel in CHANNELS:
            given = getattr(args, f"{channel}_dir")
            if given is None and args.data_dir is None:
                parser.error(f"neither --{channel}-dir nor --data-dir is given")
            parts[channel] = given or args.data_dir / channel
        return cls(**parts, model=args.model_dir, checkpoints=args.checkpoint_dir)


def base(environ: Mapping[str, str] = os.environ) -> Path:
    """/opt/ml, or what takes its place."""
    return Path(environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line, there and as the failure's reason."""

    def error(self, message: str) -> NoReturn:
        """End the program with status 2."""
        write_reason(message)
        self.exit(2, f"error: {message}\n")


@contextmanager
def reasons_reported() -> Iterator[None]:
    """Any exception also becomes the training job's FailureReason; an expected one, one line."""
    try:
        yield
    except (DataError, Failure, HostMissing, MetricNotFinite) as error:
        write_reason(str(error))
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except Exception as error:
        write_reason(f"{type(error).__name__}: {error}")
        raise


def write_reason(reason: str) -> None:
    """Into the file from which SageMaker takes it, where there is one."""
    folder = base() / "output"
    if folder.is_dir():
        (folder / "failure").write_text(reason[:1024] + "\n")
