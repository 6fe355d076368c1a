"""The ``hpoq`` command: one command per file, each importing what it needs when it runs.

Results go to stdout, messages to stderr. Expected errors become one line and an exit status;
bugs keep their traceback.
"""

from __future__ import annotations

import sys

# The packages that `pip install hpoq` leaves out, but for those of the pages.
OF_CAMPAIGNS = {"optuna", "pandas", "plotly", "pyarrow", "sklearn"}


def main() -> None:
    """Run the command; print expected errors as one line with an exit status."""
    from hpoq.cli.app import app

    try:
        app(prog_name="hpoq")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        expected = _expected(error)
        if expected is None:
            raise
        from hpoq.cli.output import say

        say(f"hpoq: {expected}")
        sys.exit(1)


def _expected(error: Exception) -> Exception | None:
    """Return the error that explains an exception; None if the exception is a bug."""
    from hpo_dispatcher.contract.errors import HpoqError

    if isinstance(error, HpoqError):
        return error
    if isinstance(error, ModuleNotFoundError) and error.name in OF_CAMPAIGNS:
        from hpoq.errors import NotInstalled

        return NotInstalled(
            f"this command needs the package {error.name}. Run: pip install 'hpoq[campaign]'"
        )
    if isinstance(error, OSError) and error.filename is not None:  # of a user's file
        return HpoqError(f"{error.filename}: {error.strerror}. Name another file or folder")
    from botocore.exceptions import BotoCoreError, ClientError

    from hpoq.client import explanation

    if isinstance(error, BotoCoreError | ClientError):  # of a call that names no resource
        return explanation(error, "AWS")
    return None
