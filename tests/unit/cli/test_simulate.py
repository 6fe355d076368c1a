from __future__ import annotations

import json

from tests.unit.cli.conftest import Run


def test_simulate_shows_what_came_of_a_workload(hpoq: Run) -> None:
    status, out, err = hpoq("simulate", "noisy-neighbour", "--requests", "120")
    assert status == 0
    assert "130 of 130" in out
    assert "lost, doubled" in out
    assert "workload noisy-neighbour" in err


def test_simulate_speaks_json_and_compares_with_polling(hpoq: Run) -> None:
    _, events, _ = hpoq("simulate", "burst", "-n", "250", "--json")
    _, polling, _ = hpoq("simulate", "burst", "-n", "250", "--polling", "--json")
    assert json.loads(events)["utilisation"] > json.loads(polling)["utilisation"]


def test_an_unknown_workload_is_named(hpoq: Run) -> None:
    status, _, err = hpoq("simulate", "monday")
    assert status == 2
    assert "'monday' is none of burst" in err
