from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.settings import parse_deployment
from hpoq.doctor.checks import training
from hpoq.doctor.examined import Examined
from tests.support.stubbed import stubbed
from tests.support.tuning_requests import ENVIRONMENT


@pytest.mark.parametrize("partition", ["aws", "aws-us-gov", "aws-cn"])
def test_the_bucket_is_looked_up_in_the_partition_of_the_role(
    examined: Examined, partition: str
) -> None:
    arn = f"arn:{partition}:iam::123456789012:role/training"
    environment = ENVIRONMENT.model_copy(update={"training_role_arn": arn})
    deployment = parse_deployment({"teams": {"fraud": {}}})
    vars(examined)["settings"] = SettingsDocument.of(environment, deployment, {})
    trust = {
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sagemaker.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ]
    }
    found = {
        "Role": {
            "Path": "/", "RoleName": "training", "RoleId": "AROAAAAAAAAAAAAAAAAA", "Arn": arn,
            "CreateDate": datetime.now(UTC), "AssumeRolePolicyDocument": json.dumps(trust),
        }
    }  # fmt: skip
    simulated = [
        ("simulate_principal_policy", {"EvaluationResults": [decision]})
        for decision in (
            {"EvalActionName": "s3:GetObject", "EvalDecision": "implicitDeny"},
            {"EvalActionName": "s3:ListBucket", "EvalDecision": "allowed"},
            {"EvalActionName": "s3:ListBucket", "EvalDecision": "explicitDeny"},
            {"EvalActionName": "s3:ListBucket", "EvalDecision": "allowed"},
        )
    ]
    with stubbed(examined.client("iam"), ("get_role", found), *simulated):
        (finding,) = training.role(examined)
    bucket = f"arn:{partition}:s3:::artifacts"
    assert f"may not call s3:GetObject on {bucket}/teams/fraud/*, and not" in str(finding)
    assert f"s3:ListBucket on {bucket} with the prefix shared/. " in str(finding)
