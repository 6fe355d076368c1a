"""What a check of a deployment finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# CloudFormation compares templates, not resources: the same template again restores nothing.
RESTORE = "Restore it as in docs/runbook.md#a-resource-of-the-stack-was-changed"


class Verdict(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"  # works, but needs attention
    FAULT = "fault"  # requests will not run, or not all of them
    UNKNOWN = "unknown"  # the caller may not look


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one check, in one line, with the fix of what is wrong."""

    check: str
    verdict: Verdict
    text: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.text}. {self.fix}" if self.fix else self.text


def ok(check: str, text: str) -> Finding:
    """Return a finding without a fault."""
    return Finding(check=check, verdict=Verdict.OK, text=text)


def warning(check: str, text: str, fix: str) -> Finding:
    """Return a finding that needs attention."""
    return Finding(check=check, verdict=Verdict.WARNING, text=text, fix=fix)


def fault(check: str, text: str, fix: str) -> Finding:
    """Return a finding that keeps requests from running."""
    return Finding(check=check, verdict=Verdict.FAULT, text=text, fix=fix)
