"""The replication of home's data to targets: its rules, and who may do what for it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template
from cdk_nag import AwsSolutionsChecks

from hpo_dispatcher.contract.errors import InvalidSettings
from infra.hpo_stack import HpoStack
from infra.settings import read_settings
from infra.target_stack import HpoTargetStack
from tests.support.policies import (
    ACCOUNT,
    REGION,
    Call,
    TemplateAccount,
    as_role,
    problems,
    wrong_answers,
)
from tests.support.synthesized_stack import synthesize

HOME_ACCOUNT, HOME_REGION = "999988887777", "us-east-1"
FOLDERS = ["shared/", "teams/fraud/data/"]
RESEARCH: dict[str, Any] = {"account": ACCOUNT, "region": REGION, "replicate": FOLDERS}
THERE = f"arn:aws:s3:::hpoq-research-{ACCOUNT}-{REGION}"
KEY = "arn:aws:kms:us-east-1:999988887777:key/11111111-2222-3333-4444-555555555555"
KEY_THERE = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/66666666-7777-8888-9999-000000000000"


# A key policy that leaves the decision to the policies of home's account.
OF_KEYS = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": "kms:*",
            "Resource": "*",
        }
    ],
}


class Deployed:
    """Home and one target, to which folders are replicated."""

    def __init__(self, research: dict[str, Any] | None = None, **changed: Any) -> None:
        targets = {
            "home": {"account": HOME_ACCOUNT, "region": HOME_REGION},
            "research": research or RESEARCH,
        }
        given = {"name": "hpoq", "teams": {"fraud": {}, "vision": {}}, "targets": targets}
        settings = read_settings(given | changed)
        self.app = cdk.App(context={"aws:cdk:bundling-stacks": []})
        self.home_stack = HpoStack(self.app, "hpoq", settings=settings)
        (site,) = settings.sites
        self.target_stack = HpoTargetStack(self.app, site.name, settings=settings, site=site)

    @property
    def home(self) -> TemplateAccount:
        return TemplateAccount(Template.from_stack(self.home_stack).to_json())

    @property
    def target(self) -> TemplateAccount:
        return TemplateAccount(Template.from_stack(self.target_stack).to_json())


@cache
def deployed() -> Deployed:
    return Deployed()


@cache
def home() -> TemplateAccount:
    return deployed().home


@cache
def target() -> TemplateAccount:
    return deployed().target


def rules(account: TemplateAccount) -> list[dict[str, Any]]:
    bucket = account.resources[account.starting_with("TrainingArtifacts", "AWS::S3::Bucket")]
    assert bucket["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    found: list[dict[str, Any]] = account.resolve(
        bucket["Properties"]["ReplicationConfiguration"]["Rules"]
    )
    return found


def test_each_folder_has_a_rule_for_each_target() -> None:
    found = rules(home())
    assert [each["Filter"] for each in found] == [{"Prefix": folder} for folder in FOLDERS]
    assert [each["Priority"] for each in found] == [1, 2]
    for each in found:
        assert each["Status"] == "Enabled"
        assert each["DeleteMarkerReplication"] == {"Status": "Enabled"}
        assert each["Destination"] == {
            "Bucket": THERE,
            "Account": ACCOUNT,
            "AccessControlTranslation": {"Owner": "Destination"},
        }
    there = target().resources[target().find("AWS::S3::Bucket", BucketName=THERE.split(":")[-1])]
    assert there["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        ("s3:GetReplicationConfiguration", "home", True),
        ("s3:ListBucket", "home", True),
        ("s3:GetObjectVersionForReplication", "home/shared/a.csv", True),
        ("s3:GetObjectVersionTagging", "home/teams/fraud/data/a.csv", True),
        ("s3:GetObjectVersionForReplication", "home/teams/fraud/output/model.tar.gz", False),
        ("s3:GetObjectVersionForReplication", "home/teams/vision/data/a.csv", False),
        ("s3:GetObject", "home/shared/a.csv", False),
        ("s3:DeleteObject", "home/shared/a.csv", False),
        ("s3:ReplicateObject", "there/shared/a.csv", True),
        ("s3:ReplicateDelete", "there/teams/fraud/data/a.csv", True),
        ("s3:ObjectOwnerOverrideToBucketOwner", "there/shared/a.csv", True),
        ("s3:ReplicateObject", "there/teams/vision/data/a.csv", False),
        ("s3:ReplicateObject", "home/shared/a.csv", False),
        ("s3:PutObject", "there/shared/a.csv", False),
    ],
)
def test_what_the_replication_role_may_do(action: str, resource: str, allowed: bool) -> None:
    bucket = home().arn(home().starting_with("TrainingArtifacts", "AWS::S3::Bucket"))
    arn = resource.replace("home", bucket).replace("there", THERE)
    call = Call(
        name=f"{action} {resource}",
        allowed=allowed,
        **as_role(home(), "ReplicationRole", action, arn),
    )
    assert wrong_answers([call]) == []


def writing(name: str, principal: str, key: str, *, allowed: bool) -> Call:
    """Return the call by which a role of home's account writes a replica."""
    may_write = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
    }
    bucket = target().find("AWS::S3::Bucket", BucketName=THERE.split(":")[-1])
    return Call(
        name=name,
        principal=principal,
        action="s3:ReplicateObject",
        resource=f"{THERE}/{key}",
        allowed=allowed,
        identity_policies=[may_write],
        resource_policy=target().resource_policy(bucket),
        context={"aws:PrincipalArn": principal},
    )


def test_a_target_accepts_replicas_of_its_folders_from_homes_replication_role_only() -> None:
    role = f"arn:aws:iam::{HOME_ACCOUNT}:role/hpoq-replication"
    calls = [
        writing("the role", role, "shared/a.csv", allowed=True),
        writing("elsewhere", role, "teams/vision/data/a.csv", allowed=False),
        writing("another role", role + "-2", "shared/a.csv", allowed=False),
        writing(
            "of another account",
            "arn:aws:iam::123456789012:role/hpoq-replication",
            "shared/a.csv",
            allowed=False,
        ),
    ]
    assert wrong_answers(calls) == []
    name = home().starting_with("ReplicationRole", "AWS::IAM::Role")
    assert home().resources[name]["Properties"]["RoleName"] == "hpoq-replication"


@pytest.mark.parametrize("side", ["home", "target"])
def test_the_dispatcher_may_list_the_folders_that_it_compares_and_read_nothing(side: str) -> None:
    account, role = (home(), "DispatcherRole") if side == "home" else (target(), "AccessRole")
    bucket = account.arn(account.starting_with("TrainingArtifacts", "AWS::S3::Bucket"))

    def listing(prefix: str, *, allowed: bool, action: str = "s3:ListBucketVersions") -> Call:
        made = as_role(account, role, action, bucket, **{"s3:prefix": prefix})
        return Call(name=f"{action} {prefix}", allowed=allowed, **made)

    reading = as_role(account, role, "s3:GetObject", f"{bucket}/shared/a.csv")
    calls = [
        listing("shared/churn/", allowed=True),
        listing("teams/fraud/data/", allowed=True),
        listing("teams/fraud/output/", allowed=False),
        listing("", allowed=False),
        Call(name="reading", allowed=False, **reading),
    ]
    assert wrong_answers(calls) == []


def test_all_actions_exist_and_support_their_resources() -> None:
    assert problems([*home().policies(), *target().policies()]) == []


def test_a_target_in_homes_account_needs_no_policy_of_its_bucket() -> None:
    there = {**RESEARCH, "account": HOME_ACCOUNT}
    both = Deployed(there)
    for rule in rules(both.home):
        assert rule["Destination"].keys() == {"Bucket"}
    assert "AcceptReplicas" not in json.dumps(both.target.resources)
    assert "ObjectOwnerOverride" not in json.dumps(both.home.resources)


def test_buckets_with_customer_managed_keys_use_the_key_of_each() -> None:
    rules_there = {"output_kms_key": KEY_THERE, "volume_kms_key": KEY_THERE}
    both = Deployed({**RESEARCH, "guardrails": rules_there}, kms_key_arn=KEY)
    for rule in rules(both.home):
        assert rule["SourceSelectionCriteria"] == {"SseKmsEncryptedObjects": {"Status": "Enabled"}}
        assert rule["Destination"]["EncryptionConfiguration"] == {"ReplicaKmsKeyID": KEY_THERE}

    def using(action: str, key: str, region: str, *, allowed: bool) -> Call:
        context = {"kms:ViaService": f"s3.{region}.amazonaws.com"}
        made = as_role(both.home, "ReplicationRole", action, key, **context)
        return Call(
            name=f"{action} {key} {region}", allowed=allowed, resource_policy=OF_KEYS, **made
        )

    calls = [
        # The simulated account of the template is in this Region.
        using("kms:Decrypt", KEY, REGION, allowed=True),
        using("kms:Encrypt", KEY_THERE, REGION, allowed=True),
        using("kms:Encrypt", KEY_THERE, "eu-north-1", allowed=False),
        using("kms:Decrypt", KEY_THERE, REGION, allowed=False),
        using("kms:Encrypt", KEY, REGION, allowed=False),
    ]
    assert wrong_answers(calls) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"kms_key_arn": KEY, "research": {"output_kms_key": "k", "volume_kms_key": "k"}},
        {"research": {"output_kms_key": KEY_THERE}},
    ],
)
def test_only_one_customer_managed_key_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettings) as error:
        Deployed({**RESEARCH, "guardrails": changed.pop("research")}, **changed)
    assert str(error.value) == (
        "targets.research.replicate: only one of kms_key_arn and "
        "targets.research.guardrails.output_kms_key is the ARN of a key. Set both or neither: the "
        "buckets of home and of the target are encrypted alike"
    )


def test_nothing_that_cdk_nag_finds_is_left() -> None:
    both = Deployed()
    cdk.Validations.of(both.app).add_plugins(AwsSolutionsChecks(both.app))
    both.app.synth()  # raises an error for each finding that no one acknowledged


def test_a_deployment_that_replicates_nothing_has_nothing_of_it() -> None:
    research = {"account": ACCOUNT, "region": REGION}
    targets = {"home": {"account": HOME_ACCOUNT, "region": HOME_REGION}, "research": research}
    for template in (synthesize(), synthesize(targets=targets)):
        text = json.dumps(template.to_json())
        assert "ReplicationConfiguration" not in text
        assert "hpoq-replication" not in text
        assert "s3:ListBucketVersions" not in text
