"""The published schema of state-change events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "events.schema.json").read_text())


def check(event: Any) -> None:
    """Raise an error unless an event is valid."""
    jsonschema.validate(event, SCHEMA, format_checker=jsonschema.FormatChecker())
