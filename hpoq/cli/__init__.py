"""The ``hpoq`` command: one command per file, each importing what it needs when it runs.

Results go to stdout, messages to stderr. Expected errors become one line and an exit status;
bugs keep their traceback.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; print expected errors as one line with an exit status."""
    from hpoq.cli.app import app

    try:
        app(prog_name="hpoq")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from hpo_dispatcher.contract.errors import HpoqError

        if not isinstance(error, HpoqError):
            raise
        sys.stderr.write(f"hpoq: {error}\n")
        sys.exit(1)
