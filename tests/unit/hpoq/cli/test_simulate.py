from __future__ import annotations

import json
from pathlib import Path

from tests.support.command_line import Run
from tests.support.dispatcher_account import Account


def test_an_unknown_workload_is_named(hpoq: Run) -> None:
    status, _, err = hpoq("simulate", "monday")
    assert status == 2
    assert "unknown workload 'monday'; use one of burst" in err


def test_a_recorded_ledger_is_replayed(hpoq: Run, account: Account, tmp_path: Path) -> None:
    for request_id in ("a", "b"):
        account.request("fraud", request_id)
    account.request("vision", "c", after=["d"])
    account.request("vision", "d")
    account.cycle()
    account.cycle()
    _, listed, _ = hpoq("list", "--all-teams", "--json")
    file = tmp_path / "requests.json"
    file.write_text(listed)
    _, out, _ = hpoq("simulate", str(file), "--json")
    report = json.loads(out)
    assert (report["completed"], report["lost"], set(report["waits"])) == (
        4,
        0,
        {"fraud", "vision"},
    )


def test_a_file_without_requests_is_reported_in_one_line(hpoq: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text("[]")
    status, _, err = hpoq("simulate", str(file))
    assert status == 1
    assert "the file contains no requests" in err
