from __future__ import annotations

from hpoq.doctor.checks import training
from hpoq.doctor.examined import Examined
from tests.support.stubbed import stubbed


def test_a_quota_of_a_new_account_is_named_with_the_command_that_raises_it(
    examined: Examined,
) -> None:
    vars(examined)["sample"] = {
        "HyperParameterTuningJobConfig": {"ResourceLimits": {"MaxParallelTrainingJobs": 5}},
        "TrainingJobDefinition": {
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1}
        },
    }
    quotas = [
        {
            "QuotaName": "Number of instances across all training jobs",
            "QuotaCode": "L-00C91CB5",
            "Value": 4.0,
        },
        {"QuotaName": "ml.m5.large for training job usage", "QuotaCode": "L-1", "Value": 15.0},
        {"QuotaName": "ml.m5.large for endpoint usage", "QuotaCode": "L-2", "Value": 0.0},
    ]
    with stubbed(examined.client("service-quotas"), ("list_service_quotas", {"Quotas": quotas})):
        (found,) = training.quotas(examined)
    assert str(found) == (
        "the quota 'Number of instances across all training jobs' is 4, and the default template "
        "needs 5. Run `aws service-quotas request-service-quota-increase --service-code sagemaker "
        "--quota-code L-00C91CB5 --desired-value 5`"
    )
