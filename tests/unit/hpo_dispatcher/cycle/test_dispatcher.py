from __future__ import annotations

from hpo_dispatcher.contract.entry import Status
from tests.support.dispatcher_account import Account


def test_a_request_becomes_a_tuning_job(account: Account) -> None:
    account.request("fraud", "a", resource_limits={"max_training_jobs": 3})

    summary = account.cycle()

    assert (summary.accepted, summary.started) == (1, 1)
    (name,) = account.tuning_jobs()
    job = account.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    limits = job["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits == {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 3}
    assert account.waiting("fraud") == 0


def test_an_ended_tuning_job_gives_its_request_the_final_state(account: Account) -> None:
    account.request("fraud", "a")
    account.cycle()

    summary = account.cycle()  # moto completes tuning jobs at once

    assert summary.finished == 1
    entry = account.dispatcher().requests.get("fraud", "a")
    assert entry is not None
    assert entry.status is Status.COMPLETED
    assert account.dispatcher().requests.running() == []
