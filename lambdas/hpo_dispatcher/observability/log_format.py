"""The log lines: Powertools' JSON, with nothing in them that is secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from hpo_dispatcher.contract.redaction import Redactor


class RedactingFormatter(LambdaPowertoolsFormatter):
    """The last door: what reaches the log passes here, tracebacks included."""

    def __init__(self, **keys: Any) -> None:
        super().__init__(use_rfc3339=True, utc=True, **keys)
        self.redactor = Redactor()

    def serialize(self, log: Any) -> str:
        """See ``LambdaPowertoolsFormatter``; a line is JSON, so each text is looked at alone."""
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
    """From now on, hide what this redactor knows."""
    formatter = logger.registered_formatter
    if isinstance(formatter, RedactingFormatter):
        formatter.redactor = redactor


def redacted(logger: Logger, text: str) -> str:
    """A text as its log line would have it."""
    formatter = logger.registered_formatter
    return formatter.redactor.line(text) if isinstance(formatter, RedactingFormatter) else ""
