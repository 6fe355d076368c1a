"""Further metrics and learning curves of campaigns on the local SageMaker endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pandas as pd
import pytest
from botocore.exceptions import ClientError

from hpoq.campaign.backends.curve_reader import CurveReader
from hpoq.campaign.backends.direct import DirectBackend
from hpoq.campaign.running_campaign import NO_CURVES, RunningCampaign, console_address
from tests.support.campaign_engine import Calls, Engine
from tests.support.campaign_fixtures import engine_target
from tests.support.small_campaigns import small_plan

EVERY = 0.05


class EngineLogs:
    """CloudWatch Logs with what the training jobs of an engine have printed."""

    def __init__(self, engine: Engine) -> None:
        self.lines = engine.memory.lines
        self.denied = False
        self.read: list[str] = []

    def service(self, _: str) -> EngineLogs:
        return self

    def get_paginator(self, _: str) -> EngineLogs:
        return self

    def paginate(self, *, logStreamNamePrefix: str, **_: Any) -> list[Any]:  # noqa: N803
        if self.denied:
            said = {"Error": {"Code": "AccessDeniedException", "Message": "not allowed"}}
            raise ClientError(said, "DescribeLogStreams")
        found = [name for name in self.lines if name.startswith(logStreamNamePrefix)]
        return [{"logStreams": [{"logStreamName": name} for name in found]}]

    def get_log_events(self, *, logStreamName: str, **asked: Any) -> Any:  # noqa: N803
        self.read.append(logStreamName)
        texts = [] if "nextToken" in asked else self.lines[logStreamName]
        events = [{"timestamp": n, "message": text} for n, text in enumerate(texts)]
        return {"events": events, "nextForwardToken": "end"}


@pytest.fixture(scope="module")
def ran(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the plan file of a campaign that has ended."""
    plan = small_plan("independent", trials=24, further_metrics={"latency": "Minimize"})
    file = tmp_path_factory.mktemp("ran") / "credit.plan.json"
    plan.save(file)
    backend = DirectBackend(engine.client(), engine_target())
    RunningCampaign(file, backend).run(EVERY)
    return file


def latencies_hold(table: pd.DataFrame) -> None:
    usable = table[table["usable"]]
    assert len(usable) > 15
    np.testing.assert_allclose(usable["metric.latency"], 100 * usable["hp.lr"], rtol=1e-3)
    assert table["metric.latency"][table["status"] == "Failed"].isna().all()


def test_further_metrics_are_read_a_hundred_at_a_time(ran: Path, engine: Engine) -> None:
    client = engine.client()
    calls = Calls(client)
    latencies_hold(RunningCampaign(ran, DirectBackend(client)).results())
    assert "DescribeTrainingJob" not in calls.names
    jobs = len(RunningCampaign(ran, DirectBackend(client)).plan.jobs)
    assert calls.names.count("Search") == jobs


def test_who_may_not_search_describes_training_jobs(ran: Path, engine: Engine) -> None:
    """The policy of a team does not allow Search, which cannot be limited to a team's jobs."""
    client = engine.client()

    def deny(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "Search")

    client.meta.events.register("before-call.sagemaker.Search", deny)
    calls = Calls(client)
    table = RunningCampaign(ran, DirectBackend(client)).results()
    latencies_hold(table)
    assert calls.names.count("DescribeTrainingJob") == (table["status"] == "Completed").sum()


def test_a_campaign_without_further_metrics_reads_none(
    engine: Engine, target: Any, file: Path
) -> None:
    client = engine.client()
    calls = Calls(client)
    small_plan("single", trials=3).save(file)
    running = RunningCampaign(file, DirectBackend(client, target))
    running.run(EVERY)
    assert "metric.latency" not in running.results().columns
    assert not {"Search", "DescribeTrainingJob"} & set(calls.names)


def test_learning_curves_are_what_the_trials_printed(ran: Path, engine: Engine) -> None:
    client, logs = engine.client(), EngineLogs(engine)
    running = RunningCampaign(ran, DirectBackend(client), CurveReader(client, logs))
    results = running.results()
    curves = running.curves(results, 6)
    assert curves.note == ""
    assert len(set(logs.read)) == curves.table["trial"].nunique() == 6
    best = results.nsmallest(1, "rank").iloc[0]
    shown = curves.table[
        (curves.table["trial"] == best["trial"]) & (curves.table["metric"] == "auc")
    ]
    auc = best["objective"]
    np.testing.assert_allclose(shown["value"], [auc / 3, auc / 2, auc], atol=1e-5)
    assert shown["number"].tolist() == [1, 2, 3]
    assert set(curves.table["metric"]) == {"auc", "latency"}


def test_why_there_are_no_curves_is_noted(ran: Path, engine: Engine) -> None:
    client, logs = engine.client(), EngineLogs(engine)
    running = RunningCampaign(ran, DirectBackend(client), CurveReader(client, logs))
    results = running.results()
    logs.denied = True
    assert "The logs cannot be read: " in running.curves(results).note
    assert RunningCampaign(ran, DirectBackend(client)).curves(results).note == NO_CURVES


@pytest.mark.parametrize(
    ("region", "address"),
    [
        ("eu-central-1", "https://eu-central-1.console.aws.amazon.com/"),
        ("cn-north-1", "https://cn-north-1.console.amazonaws.cn/"),
    ],
)
def test_training_jobs_have_the_address_of_their_region(region: str, address: str) -> None:
    client = boto3.client(
        "sagemaker", region, aws_access_key_id="a", aws_secret_access_key="b", endpoint_url=None
    )
    made = console_address(client.meta)
    assert made == f"{address}sagemaker/home?region={region}#/jobs/"


def test_training_jobs_of_the_embedded_cloud_have_no_address(engine: Engine) -> None:
    assert console_address(engine.client().meta) == ""
