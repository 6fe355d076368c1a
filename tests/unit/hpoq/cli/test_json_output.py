"""`--json` prints what docs/cli.schema.json says, field by field."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.command_line import Run
from tests.support.dispatcher_account import RANGES, Account

SCHEMA = json.loads((Path(__file__).parents[4] / "docs" / "cli.schema.json").read_text())


def check(command: str, printed: str) -> Any:
    """Validate what a command printed, and return it."""
    value = json.loads(printed)
    schema = {"$defs": SCHEMA["$defs"], **SCHEMA["properties"][command]}
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(value, schema)
    return value


@pytest.fixture
def busy(hpoq: Run, account: Account) -> Run:
    """One request runs, one has ended, one waits, one was rejected; there is a budget."""
    account.configure(
        limits={"tuning_jobs": 1},
        teams={"fraud": {"monthly_instance_hours": 1000}, "vision": {}},
        prices={"ml.m5.large": 0.1},
    )
    account.request("fraud", "first", priority=1)
    account.cycle()
    account.cycle()
    account.request("fraud", "second", priority=1)
    account.request("fraud", "third", after=["never"])
    account.request("fraud", "wrong", template="gpu")
    account.cycle()
    return hpoq


def test_each_command_prints_what_its_schema_says(busy: Run, tmp_path: Path) -> None:
    assert len(check("list", busy("list", "--json")[1])) == 4
    for request_id in ("first", "second", "third", "wrong"):
        check("status", busy("status", request_id, "--json")[1])
    for request_id in ("third", "wrong"):  # moto does not list training jobs
        check("why", busy("why", request_id, "--json")[1])
    check("best", busy("best", "first", "--json")[1])
    check("capacity", busy("capacity", "--json")[1])
    assert check("redrive", busy("redrive", "--json")[1])
    check("template list", busy("template", "list", "--json")[1])
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"hyperparameter_ranges": RANGES}))
    assert check("submit", busy("submit", "--json", str(file))[1])
    assert check("submit --dry-run", busy("submit", "--dry-run", "--json", str(file))[1])


def test_a_closed_pipe_is_not_an_error() -> None:
    command = f"{sys.executable} -m hpoq.cli schema | head -c 10"
    ended = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    assert len(ended.stdout) == 10
