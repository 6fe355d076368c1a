"""Compare the planner's ranges with campaigns that really run.

    python -m benchmarks small_campaigns

A pilot on the embedded cloud measures minutes, spread and start-up. Campaigns of every strategy are
planned with these and run through the queue, one after another, with the usual half minute between
polls. They have as many slots as the engine runs training jobs at once, one for each CPU.
Their trials sleep for lognormal times, so that a busy machine matters little.
HPOQ_SMALL_CAMPAIGNS sets the number of campaigns of each strategy (1), which take ten minutes. They
are too few to find a range that is too wide; planner.py finds it.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Measure, at_least, print_table, shown
from hpoq.campaign.planning.compare import campaign_of, planned
from hpoq.campaign.planning.estimate import PlanEstimate, estimate
from hpoq.campaign.planning.pilot import measured
from hpoq.campaign.planning.strategies.registry import STRATEGIES
from hpoq.campaign.running_campaign import RunningCampaign
from hpoq.local import cloud as clouds
from tests.support import tiny_jobs
from tests.support.deployed_stack import Deployed

if TYPE_CHECKING:
    import pandas as pd

NAME = "small campaigns"
CAMPAIGNS = int(os.environ.get("HPOQ_SMALL_CAMPAIGNS", "1"))
TRIALS, SLOTS = 24, max(2, os.cpu_count() or 2)
SECONDS, SPREAD = 5.0, 0.4
PILOT = 20  # trials
REQUEST: dict[str, Any] = {
    "template": "tiny",
    "strategy": "Bayesian",
    "objective": {"metric": "score", "type": "Maximize"},
    "hyperparameters": {"seconds": SECONDS, "spread": SPREAD},
    "hyperparameter_ranges": {
        "lr": {"type": "continuous", "min": 1e-4, "max": 0.1, "scaling": "Logarithmic"}
    },
}


@dataclass(frozen=True)
class Ran:
    """What a plan promised, and what its campaign took."""

    estimate: PlanEstimate
    hours: float

    @property
    def within(self) -> bool:
        return self.estimate.hours_low <= self.hours <= self.estimate.hours_high


def results() -> Iterable[Measure]:
    with tempfile.TemporaryDirectory() as folder:
        cloud = clouds.start(Path(folder) / ".hpoq")
        try:
            limits = {"tuning_jobs": 100, "creates_per_second": 50}
            deployed = tiny_jobs.deploy(
                cloud, "small", Path(folder), ray=True, teams={"fraud": {}}, limits=limits
            )
            function = deployed.outputs["DispatcherFunctionName"]
            deployed.client("lambda").invoke(FunctionName=function)  # publishes the settings
            yield from compared(deployed, Path(folder))
        finally:
            cloud.stop()


def compared(deployed: Deployed, folder: Path) -> Iterable[Measure]:
    """Yield what a pilot measures, and how often campaigns keep to the ranges planned with it."""

    def pilot(file: Path) -> pd.DataFrame:
        running = campaign_at(deployed, file)
        running.run(every=5)
        return running.results()

    limits = {"instances": SLOTS, "parallel_training_jobs": SLOTS}
    found = measured({"name": "small", "request": REQUEST, "limits": limits}, PILOT, pilot)
    yield shown(NAME, "pilot: seconds per trial", 60 * found["minutes_per_trial"], "s")
    yield shown(NAME, "pilot: spread", found["spread"])
    yield shown(NAME, "pilot: start-up", 60 * found.get("startup_minutes", 0.0), "s")
    ran = {
        strategy: [run(deployed, folder, strategy, seed, found) for seed in range(CAMPAIGNS)]
        for strategy in STRATEGIES
    }
    for strategy, each in ran.items():
        yield shown(NAME, f"{strategy}: campaigns run", len(each))
        yield shown(NAME, "  within the 80 % range", sum(one.within for one in each))
        yield shown(NAME, "  planned", 60 * each[0].estimate.hours, "min")
        yield shown(NAME, "  took, median", 60 * statistics.median(e.hours for e in each), "min")
    share = statistics.fmean(one.within for each in ran.values() for one in each)
    yield at_least(NAME, "wall clock within the 80 % range, all strategies", share, 0.75)


def run(deployed: Deployed, folder: Path, strategy: str, seed: int, found: dict[str, float]) -> Ran:
    """Plan a campaign with what the pilot measured, and run it to its end."""
    search: dict[str, Any] = {"strategy": "Bayesian"}
    if strategy == "hyperband":
        resources = {"StrategyConfig": {"HyperbandStrategyConfig": {"MaxResource": 27}}}
        overrides = {"HyperParameterTuningJobConfig": resources}
        search = {"strategy": "Hyperband", "overrides": overrides}
    width = {"instances": 1} if strategy == "ray" else {"instances": SLOTS}
    plan = planned(
        campaign_of(
            name=f"{strategy}-{seed}", trials=TRIALS, seed=seed * 1_000_003,
            request=REQUEST | search,
            limits={**width, "parallel_training_jobs": SLOTS},
            trials_per_instance=SLOTS if strategy == "ray" else 1, **found,
        ),
        strategy,
    )  # fmt: skip
    file = folder / f"{strategy}-{seed}.plan.json"
    plan.save(file)
    running = campaign_at(deployed, file)
    last = running.run()
    table, began = running.results(), running.began
    if began is None:
        raise RuntimeError(f"{strategy} created no tuning job: {last.problems}")
    took = table["ended_at"].max() - began
    return Ran(estimate(plan), took.total_seconds() / 3600)


def campaign_at(deployed: Deployed, file: Path) -> RunningCampaign:
    return RunningCampaign.queued(file, "fraud", deployment="small", session=deployed.session)


if __name__ == "__main__":
    print_table(results())
