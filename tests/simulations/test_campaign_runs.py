from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from botocore.exceptions import ClientError

from hpoq import campaign
from hpoq.campaign.backends.direct import DirectBackend
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.errors import InvalidPlan, OtherCampaign
from hpoq.campaign.planning.compare import extended, planned
from hpoq.campaign.running.display import line, panel
from hpoq.campaign.running.runner import Runner
from hpoq.campaign.running.schedule import slots_of
from hpoq.campaign.running_campaign import RunningCampaign
from tests.support.campaign_engine import Calls
from tests.support.small_campaigns import NUMBERS, small_plan

EVERY = 0.05


def names(backend: DirectBackend, plan: CampaignPlan) -> Counter[str]:
    return Counter(t.name for job in plan.jobs for t in backend.trials(job.number))


@pytest.mark.parametrize("strategy", ["single", "independent", "warm-waves", "narrowing"])
def test_every_strategy_runs_exactly_its_trials(
    strategy: str, backend: DirectBackend, file: Path
) -> None:
    plan = small_plan(strategy)
    plan.save(file)
    looks = list(RunningCampaign(file, backend).updates(EVERY))
    last = looks[-1]
    assert (last.done + last.failed, last.problems) == (24, [])
    assert sum(names(backend, plan).values()) == len(names(backend, plan)) == 24
    for look in looks:
        slots = sum(slots_of(plan.job(n), state) for n, state in look.states.items())
        assert slots <= plan.slots
    assert last.best == backend.trials(1)[0].objective or last.best is not None


def test_a_warm_wave_names_the_best_of_the_wave_before(
    backend: DirectBackend, sagemaker: Any, file: Path
) -> None:
    plan = small_plan("warm-waves")
    plan.save(file)
    RunningCampaign(file, backend).run(EVERY)
    child = plan.wave(2)[0]
    answer = sagemaker.describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=backend.jobs.name(child.number)
    )
    parents = answer["WarmStartConfig"]["ParentHyperParameterTuningJobs"]
    named = {each["HyperParameterTuningJobName"] for each in parents}
    assert named == {backend.jobs.name(job.number) for job in plan.wave(1)}


def test_a_poll_lists_once_and_describes_only_ended_jobs(
    backend: DirectBackend, sagemaker: Any, file: Path
) -> None:
    plan = small_plan("independent", trials=40)
    plan.save(file)
    calls = Calls(sagemaker)
    looks = len(list(RunningCampaign(file, backend).updates(EVERY)))
    made = Counter(calls.names)
    assert made["ListHyperParameterTuningJobs"] <= looks + 1
    assert made["DescribeHyperParameterTuningJob"] <= len(plan.jobs)
    assert made["CreateHyperParameterTuningJob"] == len(plan.jobs)


def test_a_killed_runner_resumes_from_the_plan_and_the_account(
    sagemaker: Any, target: Any, file: Path
) -> None:
    plan = small_plan("independent", trials=40)
    plan.save(file)
    for looks in (1, 2, 3, 5):  # a new runner each time
        running = RunningCampaign(file, DirectBackend(sagemaker, target)).updates(EVERY)
        for _ in range(looks):
            next(running, None)
        running.close()  # type: ignore[attr-defined]
    backend = DirectBackend(sagemaker, target)
    last = RunningCampaign(file, backend).run(EVERY)
    assert last.done + last.failed == 40
    assert sum(names(backend, plan).values()) == len(names(backend, plan)) == 40


def test_a_crash_between_two_creations_repeats_no_job(
    sagemaker: Any, target: Any, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = small_plan("independent", trials=30)
    plan.save(file)

    class Crashing(DirectBackend):
        def send(self, messages: Any) -> None:
            first = dict(list(messages.items())[:1])
            super().send(first)
            raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            RunningCampaign(file, Crashing(sagemaker, target)).run(EVERY)
    backend = DirectBackend(sagemaker, target)
    assert RunningCampaign(file, backend).run(EVERY).done <= 30
    assert sum(names(backend, plan).values()) == 30


def test_an_existing_campaign_resumes_only_with_the_same_plan(
    sagemaker: Any, target: Any, file: Path
) -> None:
    small_plan("single").save(file)
    RunningCampaign(file, DirectBackend(sagemaker, target)).run(EVERY)
    there = CampaignPlan.load(file)
    other = there.campaign.model_copy(update={"seed": 5})
    planned(other, "single").save(file)
    with pytest.raises(OtherCampaign, match="another plan"):
        RunningCampaign(file, DirectBackend(sagemaker, target)).run(EVERY)


def test_an_ended_campaign_can_be_extended_and_keeps_its_trials(
    sagemaker: Any, target: Any, file: Path
) -> None:
    backend = DirectBackend(sagemaker, target)
    running = RunningCampaign(file, backend)
    small_plan("narrowing").save(file)
    running.run(EVERY)
    before = names(backend, running.plan)
    longer = running.extend(9)
    again = RunningCampaign(file, DirectBackend(sagemaker, target))
    last = again.run(EVERY)
    assert last.done + last.failed == 33
    backend.follow(longer)
    after = names(backend, longer)
    assert before.keys() < after.keys()
    assert len(after) == 33


def test_a_paused_campaign_starts_nothing_until_it_is_resumed(
    backend: DirectBackend, file: Path
) -> None:
    small_plan("independent", trials=30).save(file)
    running = RunningCampaign(file, backend)
    running.pause()
    looks = running.updates(EVERY)
    for _ in range(3):
        progress = next(looks)
        assert progress.paused
        assert not progress.states
    running.resume()
    assert list(looks)[-1].done > 0


def test_a_canceled_campaign_stops_its_jobs_and_starts_no_more(
    backend: DirectBackend, sagemaker: Any, file: Path
) -> None:
    small_plan("independent", trials=400).save(file)
    running = RunningCampaign(file, backend)
    looks = running.updates(EVERY)
    while not next(looks).states:
        pass
    running.cancel()
    calls = Calls(sagemaker)
    last = list(looks)[-1]
    made = Counter(calls.names)
    assert made["StopHyperParameterTuningJob"] <= len(last.states)
    assert made["DescribeHyperParameterTuningJob"] <= len(last.states)  # also without a best
    assert all(state.status.ended for state in last.states.values())
    assert len(last.states) < len(last.plan.jobs)
    pages = sagemaker.list_hyper_parameter_tuning_jobs(StatusEquals="InProgress")
    assert pages["HyperParameterTuningJobSummaries"] == []


def test_a_campaign_without_a_target_can_only_be_read(sagemaker: Any, file: Path) -> None:
    small_plan("single").save(file)
    running = RunningCampaign(file, DirectBackend(sagemaker))
    assert running.results().empty
    with pytest.raises(InvalidPlan, match="target"):
        running.run(EVERY)


def test_jobs_that_do_not_fit_the_account_are_sent_again(
    backend: DirectBackend, sagemaker: Any, file: Path
) -> None:
    answers = itertools.cycle(["full", "full", "room"])

    def refuse(model: Any, **_: Any) -> None:
        if next(answers) == "full":
            full = {"Error": {"Code": "ResourceLimitExceeded", "Message": "100 tuning jobs"}}
            raise ClientError(full, model.name)

    operation = "before-call.sagemaker.CreateHyperParameterTuningJob"
    sagemaker.meta.events.register(operation, refuse)
    plan = small_plan("independent", trials=12)
    plan.save(file)
    last = RunningCampaign(file, backend).run(EVERY)
    assert last.done + last.failed == 12
    assert sum(names(backend, plan).values()) == 12


def test_progress_shows_trials_best_and_cost(backend: DirectBackend, file: Path) -> None:
    from rich.console import Console

    plan = small_plan("narrowing", trials=36)
    runner = Runner(plan, backend)
    first, *_, last = runner.run(EVERY)
    assert line(first).startswith("0/36 trials")
    said = line(last, backend.jobs.began)
    assert f"{last.done}/36 trials" in said
    assert "best" in said
    assert "about $" in said
    console = Console(record=True, width=100)
    console.print(panel(last, backend.jobs.began))
    assert plan.campaign.name in console.export_text()


def test_the_jobs_of_an_extension_add_up() -> None:
    longer = extended(small_plan("warm-waves"), 10)
    assert sum(job.trials for job in longer.jobs) == 34


def test_a_pilot_run_from_python_gives_the_plan_its_minutes(backend: DirectBackend) -> None:
    wanted = {"name": f"piloted{next(NUMBERS)}", "request": small_plan("single").campaign.request}

    def run(file: Path) -> pd.DataFrame:
        running = RunningCampaign(file, backend)
        running.run(EVERY)
        return running.results()

    found = campaign.measured(wanted, 4, run)
    assert 0 < found["minutes_per_trial"] < 1
    made = campaign.plan(**wanted, trials=1_000, **found)
    assert made.campaign.minutes_per_trial == found["minutes_per_trial"]
