"""The names of what is on a target, and what its tuning jobs use."""

from __future__ import annotations

from hpo_dispatcher.contract.environment import Environment
from hpo_dispatcher.contract.targets.sites import TargetSite

SITE = TargetSite(
    deployment="hpoq", target="research", account="222222222222", region="eu-central-1",
    home_account="111111111111", home_region="us-east-1",
)  # fmt: skip
HOME = Environment(
    deployment="hpoq",
    ledger_table="hpoq-ledger",
    artifact_bucket="hpoq-artifacts-abc",
    training_role_arn="arn:aws:iam::111111111111:role/hpoq-{team}-training",
    training_source="s3://cdk-hnb659fds-assets-111111111111-us-east-1/hpoq/0123abcd.zip",
    region="us-east-1",
)


def test_tuning_jobs_on_a_target_use_only_what_is_there() -> None:
    there = SITE.environment(HOME)
    assert there.artifact_bucket == "hpoq-research-222222222222-eu-central-1"
    role = "arn:aws:iam::222222222222:role/hpoq-research-fraud-training"
    assert there.training_role("fraud") == role
    assets = "s3://cdk-hnb659fds-assets-222222222222-eu-central-1/hpoq/0123abcd.zip"
    assert there.training_source == assets
    assert there.region == "eu-central-1"


def test_tags_and_ledger_stay_those_of_the_deployment() -> None:
    there = SITE.environment(HOME)
    assert (there.deployment, there.ledger_table) == ("hpoq", "hpoq-ledger")


def test_the_access_role_and_its_external_id() -> None:
    assert SITE.access_role_arn("aws-cn") == (
        "arn:aws-cn:iam::222222222222:role/hpoq-research-access"
    )
    assert SITE.external_id == "hpoq/111111111111/hpoq/research"


def test_the_longest_names_fit() -> None:
    """A bucket's name has at most 63 characters, a role's 64: their API references."""
    longest = TargetSite(
        deployment="d" * 9, target="t" * 20, account="2" * 12, region="ap-southeast-2",
        home_account="1" * 12, home_region="us-east-1",
    )  # fmt: skip
    assert len(longest.name) == 30, "the most that the settings allow"
    assert len(longest.artifact_bucket) <= 63
    role = longest.environment(HOME).training_role("t" * 20).rpartition("/")[2]
    assert len(role) <= 64
    assert len(longest.access_role) <= 64
