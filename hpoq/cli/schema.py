"""``hpoq schema``."""

from __future__ import annotations

from hpoq.cli.output import print_json


def schema() -> None:
    """The JSON Schema of what a request queue accepts, for any language's validator."""
    from hpo_dispatcher.contract.request import json_schema

    print_json(json_schema())
