"""Texts of wait reasons are for people: other texts change nothing but texts."""

from __future__ import annotations

import html
import inspect
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from hpo_dispatcher.contract.documents.capacity import CapacityDocument, WaitKind
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.cycle.outcome import Decision, Observation, Summary
from hpo_dispatcher.observability.metrics import of_cycle
from hpo_dispatcher.scheduling import wording
from hpo_dispatcher.scheduling.forecast.outlooks import Forecast
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload
from tests.support.command_line import Run
from tests.support.dispatcher_account import Account as MotoAccount
from tests.support.dispatcher_account import ample_time
from tests.support.page_visitor import visit

GIBBERISH = "never fits budget of team; next in line tuning jobs 1/1 at its ceiling"
TEAMS: dict[str, dict[str, Any]] = {
    "fraud": {"preemptible": True, "monthly_instance_hours": 12},
    "vision": {"guaranteed_share": 0.25, "preemptible": True},
    "speech": {"ceiling": 0.2},
}


@contextmanager
def other_texts() -> Iterator[None]:
    """Let every function that makes a text return gibberish."""
    texts = [
        name
        for name, function in inspect.getmembers(wording, inspect.isfunction)
        if function.__module__ == wording.__name__ and not name.startswith("_")
    ]
    assert len(texts) > 10
    with patch.multiple(wording, **dict.fromkeys(texts, lambda *_, **__: GIBBERISH)):
        yield


def observed() -> tuple[list[Any], set[WaitKind]]:
    """Simulate a contended account; return what each cycle did, measured and published."""
    arrivals = [
        Arrival(
            at=600.0 * (n // 3), team=list(TEAMS)[n % 3], request_id=f"r{n}",
            seconds=(1 + n % 4) * 1800.0, parallel=1 + n % 5, priority=n % 2,
        )
        for n in range(36)
    ]  # fmt: skip
    arrivals.append(Arrival(at=0, team="speech", request_id="huge", seconds=60.0, parallel=90))
    workload = Workload(
        name="texts", arrivals=arrivals, teams=TEAMS, slots=6, instances={"ml.m5.large": 14}
    )
    account = Simulation(workload)
    for arrival in arrivals:
        account.send(arrival)
    cycles: list[Any] = []
    kinds: set[WaitKind] = set()

    def watch(summary: Summary, _: Observation, decided: Decision, *__: Any) -> None:
        kinds.update(wait.reason.kind for wait in decided.plan.waits)
        cycles.append(
            (
                [head.key for head in decided.plan.starts],
                [(stop.job.tuning_job_name, stop.head.key) for stop in decided.plan.stops],
                [(wait.head.key, wait.reason.kind) for wait in decided.plan.waits],
                [*of_cycle(summary, decided)],
            )
        )

    account.dispatcher = replace(account.dispatcher, watch=watch)
    for _ in range(12):
        account.dispatcher.run(ample_time())
        document = CapacityDocument.parse(account.documents.get(CAPACITY_DOCUMENT))
        assert document is not None
        teams = {team: TeamSettings(**fields) for team, fields in TEAMS.items()}
        outlooks = Forecast(document, teams).of_listed(account.clock.now)
        cycles.append((without_texts(json.loads(document.to_json())), outlooks))
        account.clock.now += timedelta(minutes=20)
        account.sagemaker.end_due()
    return cycles, kinds


def without_texts(value: Any) -> Any:
    """Return JSON values without reasons and without times."""
    if isinstance(value, dict):
        left = value.keys() - {"reason", "at"}
        return {name: without_texts(value[name]) for name in sorted(left)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [without_texts(each) for each in value]
    return value


def test_other_texts_change_no_decision_metric_document_or_forecast() -> None:
    usual, kinds = observed()
    with other_texts():
        other, _ = observed()
    assert other == usual
    assert kinds >= {
        WaitKind.TUNING_JOBS, WaitKind.INSTANCES, WaitKind.TEAM_CEILING, WaitKind.TEAM_BUDGET,
        WaitKind.NEVER_FITS,
    }  # fmt: skip


def test_other_texts_change_no_exit_status_and_no_data_of_commands_and_pages(
    hpoq: Run, account: MotoAccount
) -> None:
    account.configure(limits={"tuning_jobs": 1, "instances": {"ml.m5.large": 1}})
    account.request("fraud", "first")
    account.cycle()
    for request_id in ("second", "paused"):
        account.request("fraud", request_id)
    account.request("fraud", "child", after=["second"])
    account.send("fraud", {"action": "hold", "request_id": "paused"})
    account.cycle()
    account.cycle()
    usual = shown(hpoq, account)
    with other_texts():
        account.cycle()
        other = shown(hpoq, account)
    assert other == usual


def shown(hpoq: Run, account: MotoAccount) -> list[Any]:
    """Return the exit statuses and data of commands, and the overview page without texts."""
    commands = [
        ("list", "--json"),
        ("capacity", "--json"),
        *(("status", each, "--json") for each in ("first", "second", "paused", "child")),
    ]
    answers: list[Any] = []
    for command in commands:
        status, out, _ = hpoq(*command)
        answers.append((command, status, without_texts(json.loads(out))))
    answers += [(command, hpoq(command)[0]) for command in ("list", "capacity")]
    text = html.unescape(visit(account.session))
    text = re.sub(r'<td class="why".*?</td>|<p>As of .*?</p>|\d+ s( ago)?', "", text)
    return [*answers, text]
