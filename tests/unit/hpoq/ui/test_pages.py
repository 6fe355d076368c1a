"""The pages without a browser; with one in tests/cloud/test_pages.py."""

from __future__ import annotations

import html
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError
from werkzeug.test import Client as Visitor

from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpoq.client import Client
from hpoq.ui.account import Account
from hpoq.ui.server import PortTaken, listen, serving
from tests.support.dispatcher_account import Account as MotoAccount
from tests.support.dispatcher_account import account, session
from tests.support.page_visitor import HOST, visit, visitor_of
from tests.support.ui_jobs import BEGAN, several, trial, tuning_job

__all__ = ["account", "session"]
WICKED = "<script>alert(1)</script>"


class SageMaker:
    """What is described and listed is what was put in."""

    def __init__(self) -> None:
        self.meta = SimpleNamespace(endpoint_url="https://api.sagemaker.eu-central-1.amazonaws.com")
        self.tuning_jobs: dict[str, Any] = {}
        self.trials: list[Any] = []
        self.training_jobs: dict[str, Any] = {}
        self.asked: list[Any] = []

    def describe_hyper_parameter_tuning_job(self, HyperParameterTuningJobName: str) -> Any:  # noqa: N803
        return _one(self.tuning_jobs, HyperParameterTuningJobName)

    def describe_training_job(self, TrainingJobName: str) -> Any:  # noqa: N803
        return _one(self.training_jobs, TrainingJobName)

    def list_hyper_parameter_tuning_jobs(self, **asked: Any) -> Any:
        self.asked.append(asked)
        summaries = [
            {**job, "Strategy": "Bayesian", "ResourceLimits": {"MaxNumberOfTrainingJobs": 9}}
            for job in self.tuning_jobs.values()
        ]
        return {"HyperParameterTuningJobSummaries": summaries, "NextToken": "next page"}

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=lambda **_: [{"TrainingJobSummaries": self.trials}])


def _one(found: dict[str, Any], name: str) -> Any:
    if name not in found:
        said = {"Code": "ResourceNotFound", "Message": f"There is no {name}"}
        raise ClientError({"Error": said}, "Describe")
    return found[name]


class Logs:
    """One stream that says hello, and something else in markup."""

    def describe_log_streams(self, **_: Any) -> Any:
        return {"logStreams": [{"logStreamName": "tuned-001/algo-1-7"}]}

    def get_log_events(self, **asked: Any) -> Any:
        said = [] if "nextToken" in asked else ["loss=2", "loss=1", WICKED, "\u202etxt.exe"]
        events = [{"timestamp": 5, "message": text} for text in said]
        return {"events": events, "nextForwardToken": "end"}


@pytest.fixture
def sagemaker() -> SageMaker:
    return SageMaker()


@pytest.fixture
def visitor(sagemaker: SageMaker) -> Visitor:
    """An account without a deployment of hpoq."""
    clients = {"sagemaker": sagemaker, "logs": Logs()}

    def client(service: str, **_: Any) -> Any:
        if service in clients:
            return clients[service]
        said = {"Code": "ResourceNotFoundException", "Message": "no table"}
        error = ClientError({"Error": said}, "GetItem")
        return SimpleNamespace(get_item=lambda **_: (_ for _ in ()).throw(error))

    any_session: Any = SimpleNamespace(client=client, region_name="eu-central-1")
    return visitor_of(Account(any_session))[0]


def read(visitor: Visitor, path: str, status: int = 200) -> str:
    answer = visitor.get(path, base_url=HOST)
    assert answer.status_code == status, answer.text
    return answer.text


def test_without_a_deployment_tuning_jobs_are_shown_all_the_same(
    visitor: Visitor, sagemaker: SageMaker
) -> None:
    sagemaker.tuning_jobs["tuned"] = tuning_job()
    text = read(visitor, "/")
    assert "there is no ledger of hpoq" in text
    assert '<a href="/tuning-jobs/tuned">tuned</a>' in text
    assert "2 completed of 9" in text


def test_older_tuning_jobs_are_on_the_next_page(visitor: Visitor, sagemaker: SageMaker) -> None:
    sagemaker.tuning_jobs["tuned"] = tuning_job()
    assert "token=next%20page" in read(visitor, "/tuning-jobs?containing=tu")
    read(visitor, "/tuning-jobs?containing=tu&token=next%20page")
    assert sagemaker.asked[-1]["NameContains"] == "tu"
    assert sagemaker.asked[-1]["NextToken"] == "next page"


def test_a_tuning_job_lists_its_best_training_job_first(
    visitor: Visitor, sagemaker: SageMaker
) -> None:
    sagemaker.tuning_jobs["tuned"] = tuning_job()
    sagemaker.trials = [trial(1, 0.4), trial(2, None, "Failed"), trial(3, 0.9)]
    text = read(visitor, "/tuning-jobs/tuned")
    assert text.index("tuned-003") < text.index("tuned-001") < text.index("tuned-002")
    assert "data-refresh" not in text  # it has ended


def test_a_running_one_is_looked_at_again(visitor: Visitor, sagemaker: SageMaker) -> None:
    sagemaker.tuning_jobs["tuned"] = tuning_job(status="InProgress")
    assert 'data-refresh="3"' in read(visitor, "/tuning-jobs/tuned")


def test_figures_are_plotly_s_json(visitor: Visitor, sagemaker: SageMaker) -> None:
    sagemaker.tuning_jobs["tuned"] = tuning_job()
    sagemaker.trials = several([0.5, 0.4, 0.7, 0.6, 0.9])
    answer = visitor.get("/tuning-jobs/tuned/figures.json", base_url=HOST).get_json()
    assert answer[""]["objective"]["data"][0]["y"] == [0.5, 0.4, 0.7, 0.6, 0.9]


def test_a_log_continues_from_a_line_and_draws_its_metrics(
    visitor: Visitor, sagemaker: SageMaker
) -> None:
    sagemaker.training_jobs["tuned-001"] = training_job()
    answer = visitor.get("/training-jobs/tuned-001/log.json?first=1", base_url=HOST).get_json()
    assert [text for _, text, _ in answer["lines"]] == ["loss=1", WICKED, "\\u202etxt.exe"]
    assert answer["figure"]["data"][0]["y"] == [2.0, 1.0]
    assert not answer["live"]
    read(visitor, "/training-jobs/tuned-001/log.json?first=x", 400)


def training_job(**changes: Any) -> Any:
    return {
        "TrainingJobName": "tuned-001",
        "TrainingJobStatus": "Completed",
        "SecondaryStatus": "Completed",
        "CreationTime": BEGAN,
        "AlgorithmSpecification": {"MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*)"}]},
        "HyperParameters": {"lr": '"0.1"', "sagemaker_program": "train.py"},
        **changes,
    }


def test_what_others_wrote_does_not_become_markup(visitor: Visitor, sagemaker: SageMaker) -> None:
    sagemaker.training_jobs["tuned-001"] = training_job(
        TrainingJobStatus="Failed", FailureReason=WICKED, HyperParameters={"x": WICKED}
    )
    text = read(visitor, "/training-jobs/tuned-001")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_what_others_wrote_reads_as_its_characters_stand(
    visitor: Visitor, sagemaker: SageMaker
) -> None:
    """A right-to-left override shows a text in another order (CVE-2021-42574)."""
    sagemaker.training_jobs["tuned-001"] = training_job(
        TrainingJobStatus="Failed", FailureReason="no \u202etxt.exe <b>\x1b[2K"
    )
    text = read(visitor, "/training-jobs/tuned-001")
    assert "no \\u202etxt.exe &lt;b&gt;\\x1b[2K" in text
    assert "\u202e" not in text


def test_parameters_of_the_toolkit_are_not_shown(visitor: Visitor, sagemaker: SageMaker) -> None:
    sagemaker.training_jobs["tuned-001"] = training_job()
    text = read(visitor, "/training-jobs/tuned-001")
    assert "<dt>lr</dt><dd>0.1</dd>" in text
    assert "sagemaker_program" not in text


def test_what_is_not_there_is_a_page_that_says_so(visitor: Visitor) -> None:
    assert "There is no nothing" in read(visitor, "/tuning-jobs/nothing", 404)
    read(visitor, "/static/../account.py", 404)
    read(visitor, "/elsewhere", 404)


def test_the_pages_load_nothing_from_elsewhere(visitor: Visitor) -> None:
    answer = visitor.get("/tuning-jobs", base_url=HOST)
    assert "https://" not in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "Plotly" in read(visitor, "/static/" + _plotly())


def _plotly() -> str:
    from hpoq.ui.render import PLOTLY

    return PLOTLY


def test_another_site_s_name_for_this_address_is_refused(visitor: Visitor) -> None:
    assert visitor.get("/", base_url="http://evil.example:8732").status_code == 400


def test_nothing_can_be_sent(visitor: Visitor) -> None:
    assert visitor.post("/", base_url=HOST).status_code == 405


def test_the_overview_says_why_requests_wait(account: MotoAccount, sagemaker: SageMaker) -> None:
    account.configure(limits={"tuning_jobs": 1})
    account.request("fraud", "first")
    account.request("vision", "second")
    account.cycle()
    visitor, _ = visitor_of(Account(account.session))
    text = read(visitor, "/")
    assert "tuning jobs 1/1 in use, 1 needed; used by: fraud 1" in text
    assert text.index("first") < text.index("second")  # what runs, then the queue from its head
    assert "1 needed" in read(visitor, "/requests/vision/second")
    read(visitor, "/requests/vision/third", 404)


def test_requests_in_line_show_their_position_and_when_they_may_start(account: MotoAccount) -> None:
    account.request("fraud", "first")
    account.cycle()
    account.cycle()  # moto's tuning jobs end at once: now a run time is known
    account.configure(limits={"tuning_jobs": 1})
    visitor, _ = visitor_of(Account(account.session))
    assert "<th>position</th>" not in read(visitor, "/")  # nothing waits
    for request_id in ("a", "b", "c"):
        account.request("fraud", request_id)
    account.cycle()
    document = Client("hpoq", account.session).capacity()
    assert document is not None
    last = document.waiting[-1].request_id

    visitor, _ = visitor_of(Account(account.session))
    for page in ("/", f"/requests/fraud/{last}"):
        text = html.unescape(read(visitor, page))
        assert "2 of 2, 2 of all teams'" in text
        assert "in about " in text
        assert "by 1 run times" in text
    assert "<dt>position</dt>" not in read(visitor, "/requests/fraud/first")


def test_a_silent_dispatcher_is_said_above_the_requests(account: MotoAccount) -> None:
    account.request("fraud", "first")
    account.cycle()
    assert "last cycle" not in visit(account.session)
    documents = account.dispatcher().documents
    document = Client("hpoq", account.session).capacity()
    assert document is not None
    earlier = document.model_copy(update={"at": document.at - timedelta(minutes=16)})
    documents.put(CAPACITY_DOCUMENT, earlier.to_json())
    text = visit(account.session)
    assert "last cycle 16 min" in text


def test_a_port_that_is_taken_is_said_in_a_line(visitor: Visitor) -> None:
    any_account: Any = SimpleNamespace()
    with serving(any_account) as pages:
        port = int(pages.url.rstrip("/").rpartition(":")[2])
        with pytest.raises(PortTaken, match="--port"):
            listen(any_account, port)
        with patch("hpoq.ui.server.PORT", port):  # not asked for: another will do
            listen(any_account).server_close()
