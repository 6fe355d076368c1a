"""The format of log lines: Powertools' JSON without secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from hpo_dispatcher.contract.redaction import Redactor


class RedactingFormatter(LambdaPowertoolsFormatter):
    """A formatter that redacts all log lines, including tracebacks."""

    def __init__(self, **keys: Any) -> None:
        super().__init__(use_rfc3339=True, utc=True, **keys)
        self.redactor = Redactor()

    def serialize(self, log: Any) -> str:
        """Serialize a log record, with each text redacted separately."""
        return json.dumps(self._clean(log), default=self._told, separators=(",", ":"))

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.redactor.line(value)
        if isinstance(value, Mapping):
            return {str(key): self._clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(item) for item in value]
        return value

    def _told(self, value: object) -> str:
        return self.redactor.line(str(value))


def redact(logger: Logger, redactor: Redactor) -> None:
    """Use a redactor for all further log lines."""
    formatter = logger.registered_formatter
    if isinstance(formatter, RedactingFormatter):
        formatter.redactor = redactor


def redacted(logger: Logger, text: str) -> str:
    """Return a text as a log line would show it."""
    formatter = logger.registered_formatter
    return formatter.redactor.line(text) if isinstance(formatter, RedactingFormatter) else ""
