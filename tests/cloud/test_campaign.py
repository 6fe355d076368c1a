"""A campaign runs through the deployed queue while its runner is killed repeatedly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpoq.campaign.campaign_plan import CampaignPlan, PlannedJob
from hpoq.campaign.planning.compare import campaign_of
from hpoq.campaign.running_campaign import RunningCampaign
from hpoq.client import Client
from hpoq.local.cloud import Cloud
from hpoq.local.lifecycle.processes import wait_until
from tests.support import tiny_jobs as tiny
from tests.support.deployed_stack import ROOT, Deployed

NAME = "campaigns"
JOBS = 8
TRIALS = int(os.environ.get("HPOQ_CAMPAIGN_TRIALS", "160"))  # benchmarks/campaigns.py: 2,000
PATIENCE = 240.0 + 0.5 * TRIALS
REQUEST = {
    "strategy": "Random",
    "objective": {"metric": "score", "type": "Maximize"},
    "hyperparameter_ranges": {
        "lr": {"type": "continuous", "min": 1e-4, "max": 0.1, "scaling": "Logarithmic"}
    },
}


def eight_jobs(trials: int) -> CampaignPlan:
    """Plan two waves of four jobs, so that a killed runner has more to send."""
    campaign = campaign_of(
        name="killed", trials=trials, minutes_per_trial=0.01, request=REQUEST,
        limits={"instances": 8, "parallel_training_jobs": 2},
    )  # fmt: skip
    jobs = tuple(
        PlannedJob(number=n, wave=1 + (n > JOBS // 2), trials=trials // JOBS, parallel=2)
        for n in range(1, JOBS + 1)
    )
    return CampaignPlan(campaign=campaign, strategy="independent", jobs=jobs, generations=(JOBS,))


def runner(file: Path, cloud: Cloud) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "hpoq.cli", "campaign", "run", str(file)]
    command += ["--team", "fraud", "--deployment", NAME, "--every", "0.5"]
    return subprocess.Popen(
        command, cwd=ROOT, env=cloud.environ(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def deployed_campaigns(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    folder = tmp_path_factory.mktemp("campaign")
    limits = {"tuning_jobs": 10, "creates_per_second": 50}
    return tiny.deploy(cloud, NAME, folder, teams={"fraud": {}}, limits=limits)


@pytest.mark.timeout(2 * PATIENCE)
def test_a_runner_killed_three_times_loses_and_repeats_no_trial(
    deployed_campaigns: Deployed, tmp_path: Path
) -> None:
    cloud = deployed_campaigns.cloud
    file = tmp_path / "killed.plan.json"
    plan = eight_jobs(TRIALS)
    plan.save(file)
    client = Client(NAME, session=deployed_campaigns.session)

    def arrived() -> int:
        return sum(entry.request_id.startswith("killed-") for entry in client.entries("fraud"))

    # Kill it after the first submission, after the next one, and during the second wave.
    for sent in (1, JOBS // 2, JOBS // 2 + 1):
        process = runner(file, cloud)
        assert wait_until(lambda sent=sent: arrived() >= sent, PATIENCE, step=0.2)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    process = runner(file, cloud)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert f"{TRIALS:,}/{TRIALS:,} trials" in said

    running = RunningCampaign.queued(
        file, "fraud", deployment=NAME, session=deployed_campaigns.session
    )
    table = running.results()
    assert len(table) == TRIALS
    assert table["trial"].is_unique
    assert table["hp.lr"].is_unique  # the seeds differ, so no two jobs tried the same value
    assert table["job"].nunique() == JOBS
    assert table["usable"].all()
    assert abs(table.loc[table["rank"] == 1, "hp.lr"].item() - 0.01) < 0.01

    report = running.report(tmp_path / "killed.html")
    assert "Best so far over time" in report.read_text()
