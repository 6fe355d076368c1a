"""The command ``schema``."""

from __future__ import annotations

from hpoq.cli.output import print_json


def schema() -> None:
    """Print the JSON Schema of the messages that a request queue accepts."""
    from hpo_dispatcher.contract.message import json_schema

    print_json(json_schema())
