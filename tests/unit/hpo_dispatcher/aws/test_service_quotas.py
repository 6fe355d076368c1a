from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from hpo_dispatcher.aws.service_quotas import ServiceQuotas
from tests.support.dispatcher_account import Account, ample_time, write_quotas
from tests.support.running_jobs import Running

DAY = timedelta(days=1)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class KeptDocuments:
    """Documents in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def get(self, name: str) -> str | None:
        return self.kept.get(name)

    def put(self, name: str, content: str) -> None:
        self.kept[name] = content


def quotas(client: Any, documents: Any, now: datetime = NOON) -> ServiceQuotas:
    return ServiceQuotas(lambda: client, documents, lambda: now)


def test_quotas_are_read_by_name_over_all_pages_and_kept_a_day() -> None:
    client = boto3.Session("x", "x", region_name="eu-central-1").client("service-quotas")
    pages = [
        {
            "NextToken": "more",
            "Quotas": [
                {"QuotaName": "ml.m5.xlarge for training job usage", "Value": 20.0},
                {"QuotaName": "ml.m5.xlarge for endpoint usage", "Value": 7.0},
                {"QuotaName": "ml.m5.xlarge for spot training job usage", "Value": 3.0},
                {"QuotaName": "Number of instances across all training jobs", "Value": 4.0},
                {"QuotaName": "Number of instances across all spot training jobs", "Value": 5.0},
                {"QuotaName": "Number of instances for a training job", "Value": 20.0},
            ],
        },
        {"Quotas": [{"QuotaName": "ml.g5.12xlarge for training job usage", "Value": 2.0}]},
    ]
    documents = KeptDocuments()
    with Stubber(client) as stub:
        for page in pages:
            stub.add_response("list_service_quotas", page)
        found = {
            "ml.m5.xlarge": 20,
            "ml.m5.xlarge (spot)": 3,
            "all training instances": 4,
            "all spot training instances": 5,
            "ml.g5.12xlarge": 2,
        }
        assert quotas(client, documents).training_instances(DAY) == found
        # Within the day no more calls; the stub would refuse one.
        later = NOON + timedelta(hours=23)
        assert quotas(client, documents, later).training_instances(DAY) == found
    assert json.loads(documents.kept["quotas"])["training_instances"] == found


def test_without_permission_the_last_known_quotas_serve() -> None:
    class Refused:
        def get_paginator(self, _: str) -> Any:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "ListServiceQuotas")

    documents = KeptDocuments()
    assert quotas(Refused(), documents).training_instances(DAY) == {}
    documents.kept["quotas"] = json.dumps(
        {"at": (NOON - timedelta(days=3)).isoformat(), "training_instances": {"ml.m5.large": 4}}
    )
    assert quotas(Refused(), documents).training_instances(DAY) == {"ml.m5.large": 4}


class Raised:
    """Service Quotas after AWS has raised a quota."""

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: str) -> Any:
        return [{"Quotas": [{"QuotaName": "ml.m5.large for training job usage", "Value": 5.0}]}]


FIVE_AT_ONCE = {"max_training_jobs": 20, "max_parallel_training_jobs": 5}


@pytest.mark.parametrize(("minutes", "started"), [(59, 0), (61, 1)])
def test_quotas_too_small_for_a_request_are_read_again_after_an_hour(
    account: Account, minutes: int, started: int
) -> None:
    write_quotas(
        account, {"ml.m5.large": 4}, read_at=datetime.now(UTC) - timedelta(minutes=minutes)
    )
    dispatcher = account.dispatcher()
    dispatcher = replace(
        dispatcher,
        quotas=ServiceQuotas(
            lambda: cast("Any", Raised()), dispatcher.documents, lambda: datetime.now(UTC)
        ),
    )
    account.request("fraud", "a", resource_limits=FIVE_AT_ONCE)
    assert dispatcher.run(ample_time()).started == started


def test_all_instances_bind_in_a_cycle_and_spot_jobs_of_others_count(account: Account) -> None:
    totals = {"all training instances": 4, "all spot training instances": 7}
    account.configure(limits={"instances": totals})
    dispatcher = account.dispatcher()
    sagemaker = Running(account)
    waiting = {"MaxWaitTimeInSeconds": 3600}
    spot = {
        "TrainingJobDefinition": {"EnableManagedSpotTraining": True, "StoppingCondition": waiting}
    }
    account.request("vision", "elsewhere", overrides=spot, resource_limits=FIVE_AT_ONCE)
    dispatcher = replace(dispatcher, tuning=cast("Any", sagemaker))
    dispatcher.run(ample_time())
    account.dynamodb.delete_item(  # as if nobody had queued it
        TableName="hpoq-ledger",
        Key={"team": {"S": "#active"}, "id": {"S": sagemaker.running[0]}},
    )
    account.request("fraud", "spot", overrides=spot, resource_limits=FIVE_AT_ONCE)
    account.request("fraud", "on-demand", resource_limits=FIVE_AT_ONCE)
    dispatcher.run(ample_time())

    capacity = json.loads(dispatcher.documents.get("capacity") or "{}")
    assert capacity["instances"]["all spot training instances"] == {
        "limit": 7, "in_use": 5, "by_team": {"(others)": 5}
    }  # fmt: skip
    assert {each["request_id"]: each["reason"] for each in capacity["waiting"]} == {
        "spot": "all spot training instances 5/7 in use, 5 needed; used by: others 5",
        "on-demand": "needs 5 of all training instances, the limit is 4: never fits",
    }


def test_instances_bind_in_a_cycle_and_jobs_of_others_count(account: Account) -> None:
    account.configure(limits={"instances": {"ml.m5.large": 12}, "headroom": {"ml.m5.large": 1}})
    dispatcher = account.dispatcher()
    sagemaker = Running(account)
    account.request("vision", "elsewhere", resource_limits=FIVE_AT_ONCE)
    replace(dispatcher, tuning=sagemaker).run(ample_time())  # type: ignore[arg-type]
    account.dynamodb.delete_item(  # as if nobody had queued it
        TableName="hpoq-ledger",
        Key={"team": {"S": "#active"}, "id": {"S": sagemaker.running[0]}},
    )
    for request_id in ("a", "b"):
        account.request("fraud", request_id, resource_limits=FIVE_AT_ONCE)
    replace(dispatcher, tuning=sagemaker).run(ample_time())  # type: ignore[arg-type]

    assert len(sagemaker.running) == 2
    capacity = json.loads(dispatcher.documents.get("capacity") or "{}")
    assert capacity["instances"]["ml.m5.large"] == {
        "limit": 11, "in_use": 10, "by_team": {"(others)": 5, "fraud": 5}
    }  # fmt: skip
    assert capacity["waiting"][0]["reason"] == (
        "ml.m5.large 10/11 in use, 5 needed; used by: fraud 5, others 5"
    )


def test_a_draining_tuning_job_holds_only_what_it_can_still_use(account: Account) -> None:
    """docs/decisions/0009: five at once each; two that are left hold two instances."""
    account.configure(limits={"instances": {"ml.m5.large": 7}})
    sagemaker = Running(account)
    dispatcher = replace(account.dispatcher(), tuning=sagemaker)  # type: ignore[arg-type]
    for request_id in ("a", "b"):
        account.request("fraud", request_id, resource_limits=FIVE_AT_ONCE)
    dispatcher.run(ample_time())
    assert len(sagemaker.running) == 1
    for left in (9, 5, 3):  # more than two free instances take these to end
        sagemaker.left[sagemaker.running[0]] = left
        dispatcher.run(ample_time())
        assert len(sagemaker.running) == 1
    sagemaker.left[sagemaker.running[0]] = 2
    dispatcher.run(ample_time())
    assert len(sagemaker.running) == 2


def test_what_is_left_is_read_from_the_list() -> None:
    from hpo_dispatcher.aws.sagemaker import SageMakerTuning

    client = boto3.Session("x", "x", region_name="eu-central-1").client("sagemaker")
    common: dict[str, Any] = {
        "HyperParameterTuningJobArn": "arn:aws:sagemaker:eu-central-1:1:x/y",
        "Strategy": "Bayesian",
        "HyperParameterTuningJobStatus": "InProgress", "CreationTime": NOON,
        "ObjectiveStatusCounters": {},
    }  # fmt: skip
    counters = {"Completed": 80, "InProgress": 4, "RetryableError": 1, "NonRetryableError": 10,
                "Stopped": 5}  # fmt: skip
    limited = {"MaxNumberOfTrainingJobs": 100, "MaxParallelTrainingJobs": 10}
    drains = {**common, "HyperParameterTuningJobName": "drains", "ResourceLimits": limited,
              "TrainingJobStatusCounters": counters}  # fmt: skip
    open_ended = {**common, "HyperParameterTuningJobName": "open-ended",
                  "ResourceLimits": {"MaxParallelTrainingJobs": 10},
                  "TrainingJobStatusCounters": counters}  # fmt: skip
    with Stubber(client) as stub:
        for page in ([drains, open_ended], []):
            stub.add_response(
                "list_hyper_parameter_tuning_jobs", {"HyperParameterTuningJobSummaries": page}
            )
        first, second = SageMakerTuning(client).in_progress()
    assert (first.parallel, first.training_jobs_left) == (
        10,
        5,
    )  # one that may be retried has not ended
    assert first.in_use({"ml.m5.large": 20, "ml.g5.xlarge": 10}) == {
        "ml.m5.large": 10, "ml.g5.xlarge": 5,
    }  # fmt: skip
    assert second.training_jobs_left is None
    assert second.in_use({"ml.m5.large": 10}) == {"ml.m5.large": 10}
