"""Exit statuses, documented in docs/cli.md."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """What the shell sees."""

    OK = 0
    ERROR = 1  # expected, told in one line
    USAGE = 2  # wrong options
    NOT_COMPLETED = 3  # a watched request ended otherwise than Completed
    INTERRUPTED = 130
