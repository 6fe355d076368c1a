"""Errors that are expected: each names the problem and its fix."""


class HpoqError(Exception):
    """The base of every expected error: one line with the problem and the fix."""


# Characters in each part of an error. A message can contain a field name of 256 KB, and errors are
# written to the ledger, to events, to log lines and to message attributes.
MAX_PART_LENGTH = 1000


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
    """The request id was already used, with different content."""


class Unreadable(InvalidRequest):
    """A row of the ledger that this version of hpoq cannot read and does not change."""


class InvalidSettings(HpoqError):
    """The settings or templates of the deployment are invalid."""

    def __init__(self, key: str, problem: str, fix: str) -> None:
        super().__init__(f"{key}: {problem}. {fix}")
        self.key = key
        self.problem = problem
        self.fix = fix


class UnreadableDocument(HpoqError):
    """A document of the ledger that is damaged, or that another version of hpoq wrote."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"the document {name} of the ledger cannot be read ({reason}). The next dispatch cycle "
            "writes it again; if this stays, use the version of hpoq that is deployed"
        )


class BrokenTemplate(HpoqError):
    """The template of a request is invalid: its requests wait until it is fixed and deployed."""

    def __init__(self, name: str, problem: str) -> None:
        problem = _short(problem.removeprefix(f"template {name}: "))  # the text names it already
        super().__init__(
            f"the template {name} is broken ({problem}); its requests wait for the fix"
        )
        self.name = name
        self.problem = problem


def printable(text: str) -> str:
    """Return a text in one line, with characters that do not print as Python escapes them."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _short(text: str) -> str:
    text = printable(text[: MAX_PART_LENGTH + 1])
    return text if len(text) <= MAX_PART_LENGTH else text[: MAX_PART_LENGTH - 3] + "..."
