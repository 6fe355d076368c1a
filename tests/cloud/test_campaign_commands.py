"""The ``hpoq campaign`` commands against the embedded cloud."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Entry, Status
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.client import Client
from hpoq.local.cloud import Cloud
from hpoq.local.lifecycle.processes import wait_until
from tests.support import tiny_jobs as tiny
from tests.support.deployed_stack import Deployed

NAME = "commands"
PATIENCE = 120.0
pytestmark = pytest.mark.timeout(2 * PATIENCE)


@dataclass(frozen=True)
class Shell:
    """A shell in a folder of its own."""

    folder: Path
    deployed: Deployed

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start ``hpoq campaign WORDS``."""
        return subprocess.Popen(
            [sys.executable, "-m", "hpoq.cli", "campaign", *words], cwd=self.folder,
            env={**self.deployed.cloud.environ(), "HPOQ_DEPLOYMENT": NAME},
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def hpoq(self, *words: str, status: int = 0) -> tuple[str, str]:
        """Run ``hpoq campaign WORDS`` and return its stdout and stderr."""
        process = self.start(*words)
        out, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == status, said
        return out, said

    def plan(self, name: str, *options: str, **request: Any) -> tuple[Path, str]:
        """Plan a campaign; return the file of the plan and what the command printed about it."""
        (self.folder / f"{name}.json").write_text(json.dumps({**REQUEST, **request}))
        common = ("--name", name, "--limit", "instances=4", "--limit", "parallel_training_jobs=2")
        _, said = self.hpoq("plan", f"{name}.json", *common, *options)
        return self.folder / f"{name}.plan.json", said

    def run(self, plan: Path, *options: str) -> subprocess.Popen[str]:
        """Start a runner; the caller waits for it to end."""
        return self.start("run", plan.name, "--every", "0.5", *options)

    def results(self, plan: Path, *options: str) -> list[dict[str, Any]]:
        """Return the rows of the results table."""
        rows: list[dict[str, Any]] = json.loads(
            self.hpoq("results", plan.name, "--json", *options)[0]
        )
        return rows

    def entries(self, name: str) -> list[Entry]:
        """Return the ledger entries of a campaign."""
        found = Client(NAME, session=self.deployed.session).entries("fraud")
        return [entry for entry in found if entry.request_id.startswith(f"{name}-")]


REQUEST = {
    "strategy": "Random",
    "objective": {"metric": "score", "type": "Maximize"},
    "hyperparameter_ranges": {
        "lr": {"type": "continuous", "min": 1e-4, "max": 0.1, "scaling": "Logarithmic"}
    },
}


# Several tuning jobs, so that some have not started when the user intervenes.
SMALL_JOBS = ("--trials", "24", "--strategy", "independent", "--limit", "training_jobs=4")


@pytest.fixture(scope="module")
def deployment(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    limits = {"tuning_jobs": 10, "creates_per_second": 50}
    folder = tmp_path_factory.mktemp("commands")
    made = tiny.deploy(cloud, NAME, folder, ray=True, teams={"fraud": {}}, limits=limits)
    function = made.outputs["DispatcherFunctionName"]
    made.client("lambda").invoke(FunctionName=function)  # the first cycle publishes the settings
    return made


@pytest.fixture
def shell(deployment: Deployed, tmp_path: Path) -> Shell:
    return Shell(tmp_path, deployment)


def test_a_pilot_measures_the_minutes_a_trial_takes(shell: Shell) -> None:
    plan, said = shell.plan("measured", "--trials", "40", "--pilot", "3")

    assert "measured: " in said
    saved = CampaignPlan.load(plan).campaign
    assert 0 < saved.minutes_per_trial < 0.5
    (pilot,) = shell.entries("measured-pilot")
    assert pilot.counters is not None
    assert pilot.counters["Completed"] == 3


def test_a_paused_campaign_starts_nothing_more_until_it_is_resumed(shell: Shell) -> None:
    slow = {"hyperparameters": {"seconds": 1}}
    plan, _ = shell.plan("paused", *SMALL_JOBS, "--minutes", "0.02", **slow)
    runner = shell.run(plan)
    assert wait_until(
        lambda: any(e.status.active for e in shell.entries("paused")), PATIENCE, step=0.2
    )

    shell.hpoq("pause", plan.name)
    assert wait_until(
        lambda: not any(e.status.active for e in shell.entries("paused")), PATIENCE, step=0.2
    )
    sent = shell.entries("paused")
    assert any(entry.status is Status.COMPLETED for entry in sent)
    assert len(sent) < len(CampaignPlan.load(plan).jobs)

    shell.hpoq("resume", plan.name)
    _, said = runner.communicate(timeout=PATIENCE)
    assert runner.returncode == 0, said
    assert "paused" in said
    assert len(shell.results(plan)) == 24


def test_an_ended_campaign_continues_when_it_is_extended(shell: Shell) -> None:
    plan, _ = shell.plan("longer", "--trials", "8", "--minutes", "0.01")
    shell.hpoq("run", plan.name, "--every", "0.5")
    _, said = shell.hpoq("extend", plan.name, "5")
    assert "13 trials" in said
    _, said = shell.hpoq("run", plan.name, "--every", "0.5")

    assert "13/13 trials" in said
    rows = shell.results(plan)
    assert len({row["trial"] for row in rows}) == len(rows) == 13


def test_a_cancelled_campaign_stops_running_jobs_and_never_starts_the_others(shell: Shell) -> None:
    slow = {"hyperparameters": {"seconds": 60}}
    plan, _ = shell.plan("cancelled", *SMALL_JOBS, "--minutes", "1", **slow)
    runner = shell.run(plan)
    assert wait_until(
        lambda: any(e.status.active for e in shell.entries("cancelled")), PATIENCE, step=0.2
    )
    shell.hpoq("cancel", plan.name)

    _, said = runner.communicate(timeout=PATIENCE)
    assert runner.returncode == 3, said
    assert "tuning jobs not started" in said
    entries = shell.entries("cancelled")
    assert {entry.status for entry in entries} == {Status.STOPPED}
    assert len(entries) < len(CampaignPlan.load(plan).jobs)


def test_a_wave_left_to_the_queue_ends_without_a_runner(shell: Shell) -> None:
    plan, _ = shell.plan("left", *SMALL_JOBS, "--minutes", "0.02")
    jobs = len(CampaignPlan.load(plan).jobs)
    _, said = shell.hpoq("run", plan.name, "--detach")
    assert f"{jobs} tuning jobs sent" in said
    assert wait_until(
        lambda: sum(e.status is Status.COMPLETED for e in shell.entries("left")) == jobs,
        PATIENCE, step=0.5,
    )  # fmt: skip
    _, said = shell.hpoq("run", plan.name, "--every", "0.5")
    assert "24/24 trials" in said


def test_a_hyperband_campaign_runs_through_the_queue(shell: Shell) -> None:
    resources = {"StrategyConfig": {"HyperbandStrategyConfig": {"MaxResource": 9}}}
    overrides = {"HyperParameterTuningJobConfig": resources}
    options = ("--trials", "12", "--minutes", "0.01")
    plan, _ = shell.plan("bands", *options, strategy="Hyperband", overrides=overrides)
    assert CampaignPlan.load(plan).strategy == "hyperband"
    _, said = shell.hpoq("run", plan.name, "--every", "0.5")
    assert "12/12 trials" in said


def test_a_direct_campaign_needs_no_queue(shell: Shell) -> None:
    plan, _ = shell.plan(
        "direct", "--trials", "12", "--minutes", "0.01", "--strategy", "independent"
    )
    shell.hpoq("run", plan.name, "--every", "0.5", "--direct")

    assert shell.entries("direct") == []  # a direct campaign leaves no ledger entries
    assert len(shell.results(plan, "--direct")) == 12


def test_a_ray_campaign_runs_an_unmodified_script_through_the_queue(shell: Shell) -> None:
    plan, _ = shell.plan(
        "inside", "--trials", "12", "--minutes", "0.01", "--strategy", "ray",
        "--limit", "instances=1",
    )  # fmt: skip
    _, said = shell.hpoq("run", plan.name, "--every", "0.5")
    assert "12/12 trials" in said

    (entry,) = shell.entries("inside")
    assert entry.counters["Completed"] == 1, "one training job holds all trials"
    rows = shell.results(plan)
    assert sorted(row["trial"].rsplit("/", 1)[1] for row in rows) == sorted(map(str, range(1, 13)))
    for row in rows:
        assert row["objective"] == pytest.approx(-abs(math.log10(row["hp.lr"]) + 2), abs=1e-5)
    assert entry.best is not None
    assert entry.best.objective == pytest.approx(max(row["objective"] for row in rows), abs=1e-5)
