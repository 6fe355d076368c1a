"""The conformance suite runs against an account over the network, as it would against AWS."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from hpoq.local.cloud import Cloud
from tests.support.deployed_stack import ROOT
from tests.support.memory_endpoint import archive

BUCKET = "conformance"
IMAGE = "492215442770.dkr.ecr.eu-central-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-cpu-py310"


@pytest.mark.ci
@pytest.mark.timeout(180)
def test_a_part_of_the_suite_passes_in_the_mode_for_aws(cloud: Cloud) -> None:
    s3, iam = cloud.session().client("s3"), cloud.session().client("iam")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="data/train/rows.csv", Body=b"1,2,3\n")
    source = archive({"train.py": "print('auc=1')"})
    s3.put_object(Bucket=BUCKET, Key="source.tar.gz", Body=source)
    principal = {"Service": "sagemaker.amazonaws.com"}
    trust, access = (
        json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow"} | each]})
        for each in (
            {"Principal": principal, "Action": "sts:AssumeRole"},
            {"Action": ["s3:*", "logs:*"], "Resource": "*"},
        )
    )
    role = iam.create_role(RoleName=BUCKET, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(RoleName=BUCKET, PolicyName="access", PolicyDocument=access)
    environment = cloud.environ(os.environ) | {
        "HPOQ_CONFORMANCE": "aws", "HPOQ_CONFORMANCE_BUCKET": BUCKET,
        "HPOQ_CONFORMANCE_ROLE": role, "HPOQ_CONFORMANCE_IMAGE": IMAGE,
    }  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
    parts = [f"tests/conformance/test_{part}.py" for part in ("describe", "built_in_algorithms")]
    done = subprocess.run(
        [*command, *parts], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
