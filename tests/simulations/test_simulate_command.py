"""The command that simulates whole workloads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import Run


def test_simulate_shows_the_result_of_a_workload(hpoq: Run) -> None:
    status, out, err = hpoq("simulate", "noisy-neighbor", "--requests", "120")
    assert status == 0
    assert "130 of 130" in out
    assert "lost, duplicated" in out
    assert "workload noisy-neighbor" in err


def test_simulate_prints_json_and_shows_the_cost_of_polling(hpoq: Run) -> None:
    _, events, _ = hpoq("simulate", "burst", "-n", "250", "--json")
    _, polling, _ = hpoq("simulate", "burst", "-n", "250", "--polling", "--json")
    assert json.loads(events)["utilization"] > json.loads(polling)["utilization"]


ENTRY = {
    "team": "fraud", "status": "Completed", "accepted_at": "2026-01-01T00:00:00Z",
    "started_at": "2026-01-01T00:01:00Z", "ended_at": "2026-01-01T00:21:00Z",
    "instances": {"ml.m5.large": 4}, "request": {},
}  # fmt: skip


@pytest.mark.parametrize(
    "instances",
    [{"ml.m5.large": 4}, {"all training instances": 4, "ml.c5.xlarge": 2, "ml.m5.large": 4}],
)
def test_a_recording_is_replayed_within_the_given_limits(
    hpoq: Run, tmp_path: Path, instances: dict[str, int]
) -> None:
    entries = [ENTRY | {"request_id": f"r{n}", "instances": instances} for n in range(4)]
    file = tmp_path / "requests.json"
    file.write_text(json.dumps(entries))
    account = ["--quota", "ml.m5.large=8", "--slots", "3", "--json"]
    report = json.loads(hpoq("simulate", str(file), *account)[1])
    assert report["peak"] == 2  # eight instances are two requests' at once
    assert 40 / 60 <= report["hours"] < 41 / 60


def test_a_plot_is_written(hpoq: Run, tmp_path: Path) -> None:
    file = tmp_path / "plot.html"
    status, _, err = hpoq("simulate", "noisy-neighbor", "-n", "120", "--plot", str(file))
    assert (status, f"wrote the plot to {file}" in err) == (0, True)
    page = file.read_text()
    assert "running tuning jobs" in page
    assert "queued requests" in page


@pytest.mark.timeout(60)
def test_a_parent_that_is_not_in_the_file_and_an_impossible_request_end_with_a_reason(
    hpoq: Run, tmp_path: Path
) -> None:
    file = tmp_path / "requests.json"
    orphan = ENTRY | {"request_id": "orphan", "request": {"after": ["older"]}}
    large = ENTRY | {"request_id": "large", "instances": {"ml.m5.large": 9}}
    fits = ENTRY | {"request_id": "fits"}
    file.write_text(json.dumps([orphan, large, fits]))
    status, out, _ = hpoq("simulate", str(file), "--quota", "ml.m5.large=8", "--json")
    assert status == 0
    report = json.loads(out)
    assert (report["completed"], report["lost"]) == (1, 0)
    assert set(report["waiting"]) == {"fraud/orphan", "fraud/large"}
    assert report["waiting"]["fraud/orphan"] == "waits for older to end"
    assert "9" in report["waiting"]["fraud/large"]
    assert (
        "fraud/orphan never starts: waits for older to end"
        in hpoq("simulate", str(file), "--quota", "ml.m5.large=8")[2]
    )
