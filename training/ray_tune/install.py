"""Install Ray, which SageMaker's PyTorch images do not include, from PyPI or from a channel."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from credit_default.container import TrainingFailed

REQUIREMENTS = Path(__file__).parents[1] / "requirements-ray.txt"
CHANNEL = "dependencies"  # its wheels replace PyPI in a job that is isolated from the network


def install_ray(environ: Mapping[str, str] = os.environ) -> None:
    """Install the requirements of the Ray scripts in a training job, unless Ray is installed.

    Raises:
        TrainingFailed: pip cannot install them, or this is no training job; the message says what
            can be done.
    """
    if importlib.util.find_spec("ray") is not None:
        return
    if "SM_CURRENT_HOST" not in environ:  # on a laptop, the user decides where to install it
        raise TrainingFailed(f"Ray is not installed; pip install -r {REQUIREMENTS}")
    print(f"installing {REQUIREMENTS.name}", file=sys.stderr, flush=True)
    if subprocess.run(pip_command(environ), check=False).returncode:
        raise TrainingFailed(explain_failure(environ))


def pip_command(environ: Mapping[str, str]) -> list[str]:
    """Return pip's command; with the channel, it uses no network."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if folder := _channel(environ):
        command += ["--no-index", "--find-links", folder]
    return [*command, "-r", str(REQUIREMENTS)]


def explain_failure(environ: Mapping[str, str]) -> str:
    """Return why pip failed, and the ways to provide Ray, as one line."""
    if _channel(environ):
        python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
        return (
            f"the channel {CHANNEL} lacks wheels for {python} that {REQUIREMENTS.name} requires; "
            "docs/training.md says how to download them"
        )
    return (
        f"pip cannot download {REQUIREMENTS.name}, as in a job with network isolation; pass the "
        f"wheels as a channel named {CHANNEL} (docs/training.md), or use an image that includes Ray"
    )


def _channel(environ: Mapping[str, str]) -> str | None:
    return environ.get(f"SM_CHANNEL_{CHANNEL.upper()}")
