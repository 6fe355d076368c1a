from __future__ import annotations

from typing import Any

import pytest

from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.settings import parse_deployment
from hpo_dispatcher.contract.templates import read_templates
from hpoq.doctor.checks import quotas
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import Verdict
from tests.support.stubbed import stubbed
from tests.support.tuning_requests import ENVIRONMENT

# Names and codes as `aws service-quotas list-service-quotas --service-code sagemaker` lists them.
TOTAL = ("Number of instances across all training jobs", "L-00C91CB5")
SPOT_TOTAL = ("Number of instances across all spot training jobs", "L-2")
LARGE = ("ml.m5.large for training job usage", "L-3")
SPOT_LARGE = ("ml.m5.large for spot training job usage", "L-4")
GPU = ("ml.g5.xlarge for training job usage", "L-5")
PARALLEL = ("Number of parallel training jobs per hyperparameter tuning job", "L-6")
RANDOM = ("[Random search] Number of training jobs per hyperparameter tuning job", "L-7")
OTHER = ("ml.m5.large for endpoint usage", "L-8")
ASK = "aws service-quotas request-service-quota-increase --service-code sagemaker --quota-code"


def sample(instance_type: str = "ml.m5.large", parallel: int = 5, **more: Any) -> dict[str, Any]:
    resources = {"InstanceType": instance_type, "InstanceCount": 1}
    return {
        "HyperParameterTuningJobConfig": {"ResourceLimits": {"MaxParallelTrainingJobs": parallel}},
        "TrainingJobDefinition": {"ResourceConfig": resources, **more},
    }


SPOT = sample(EnableManagedSpotTraining=True)


def found(
    examined: Examined,
    default: dict[str, Any],
    values: dict[tuple[str, str], float],
    others: dict[str, dict[str, Any]] | None = None,
    **limits: int,
) -> list[tuple[Verdict, str]]:
    """Return what the check finds in an account with these quotas."""
    deployment = parse_deployment({"teams": {"fraud": {}}, "limits": limits})
    vars(examined)["settings"] = SettingsDocument.of(ENVIRONMENT, deployment, read_templates())
    vars(examined)["sample"], vars(examined)["other_samples"] = default, others or {}
    listed = [
        {"QuotaName": name, "QuotaCode": code, "Value": float(value)}
        for (name, code), value in values.items()
    ]
    with stubbed(examined.client("service-quotas"), ("list_service_quotas", {"Quotas": listed})):
        return [(each.verdict, str(each)) for each in quotas.instances(examined)]


@pytest.mark.parametrize(
    ("default", "values", "name", "code"),
    [
        (sample(), {TOTAL: 4, LARGE: 15, OTHER: 0}, *TOTAL),
        (sample(), {TOTAL: 20, LARGE: 4, SPOT_LARGE: 20}, *LARGE),
        (SPOT, {SPOT_TOTAL: 4, SPOT_LARGE: 15, TOTAL: 20, LARGE: 20}, *SPOT_TOTAL),
        (SPOT, {SPOT_TOTAL: 20, SPOT_LARGE: 4, TOTAL: 20, LARGE: 20}, *SPOT_LARGE),
    ],
)
def test_a_quota_of_a_new_account_is_named_with_the_command_that_raises_it(
    examined: Examined,
    default: dict[str, Any],
    values: dict[tuple[str, str], float],
    name: str,
    code: str,
) -> None:
    assert found(examined, default, values) == [
        (
            Verdict.FAULT,
            f"the quota {name!r} is 4, and the default template needs 5. Run `{ASK} {code} "
            "--desired-value 5`",
        )
    ]


@pytest.mark.parametrize(
    ("default", "values"),
    [
        (sample(), {TOTAL: 5, LARGE: 5, SPOT_TOTAL: 0, SPOT_LARGE: 0}),
        (SPOT, {TOTAL: 0, LARGE: 0, SPOT_TOTAL: 5, SPOT_LARGE: 5}),
        (sample(), {}),
    ],
)
def test_enough_of_the_quotas_that_count_is_enough(
    examined: Examined, default: dict[str, Any], values: dict[tuple[str, str], float]
) -> None:
    assert found(examined, default, values) == [
        (Verdict.OK, "the default template's 5 instances fit the quotas")
    ]


def test_another_template_that_cannot_start_is_a_warning(examined: Examined) -> None:
    others = {"credit-default-gpu": sample("ml.g5.xlarge", 2), "same": sample()}
    (_, warning) = found(examined, sample(), {TOTAL: 5, LARGE: 5, GPU: 0}, others)
    assert warning == (
        Verdict.WARNING,
        f"the quota '{GPU[0]}' is 0, and the template credit-default-gpu needs 2. Its requests "
        f"wait until you have run `{ASK} L-5 --desired-value 2`",
    )


@pytest.mark.parametrize(
    ("quota", "setting", "default", "raised"),
    [(PARALLEL, "parallel_training_jobs", 10, 20), (RANDOM, "random_training_jobs", 750, 2000)],
)
def test_a_setting_that_aws_does_not_grant_is_a_fault(
    examined: Examined, quota: tuple[str, str], setting: str, default: int, raised: int
) -> None:
    assert len(found(examined, sample(), {quota: default})) == 1
    (fault, _) = found(examined, sample(), {quota: default}, **{setting: raised})
    assert fault == (
        Verdict.FAULT,
        f"the quota {quota[0]!r} is {default}, and limits.{setting} is {raised}. Lower the "
        f"setting, or run `{ASK} {quota[1]} --desired-value {raised}`",
    )
