"""What can be wrong with a request or a deployment, and the fix."""


class HpoqError(Exception):
    """Base of every expected error: one line that says what is wrong and how to mend it."""


# Of each part of an error: a message may name a field of 256 KB, and the words go into the ledger,
# an event, a log line and a message attribute.
LONGEST = 1000


class InvalidRequest(HpoqError):
    """The message can never become a tuning job; retrying will not help."""

    def __init__(self, field: str, problem: str, fix: str) -> None:
        field, problem, fix = _short(field), _short(problem), _short(fix)
        super().__init__(f"{field}: {problem}. {fix}")
        self.field = field
        self.problem = problem
        self.fix = fix


class NotAllowed(InvalidRequest):
    """The request asks for more than the deployment's guardrails allow."""


class DuplicateRequest(InvalidRequest):
    """The request id was used before, with other content."""


class Unreadable(InvalidRequest):
    """A row of the ledger that this version of hpoq cannot read, and leaves as it is."""


class InvalidSettings(HpoqError):
    """The deployment's settings or templates cannot be used as they stand."""

    def __init__(self, key: str, problem: str, fix: str) -> None:
        super().__init__(f"{key}: {problem}. {fix}")
        self.key = key
        self.problem = problem
        self.fix = fix


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
