"""Exit statuses of the command, documented in docs/cli.md."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """The exit status of a command."""

    OK = 0
    ERROR = 1  # an expected error, printed as one line
    USAGE = 2  # invalid options
    NOT_COMPLETED = 3  # `watch`: a request ended in another state than Completed
    INTERRUPTED = 130
