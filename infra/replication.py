"""The replication of folders of home's artifact bucket to those of targets, by S3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from hpo_dispatcher.contract.targets.sites import TargetSite, replication_role
from infra.acknowledge import acknowledge_resource
from infra.settings import Settings
from infra.training_role import accept_folders, allow

REPLICATED = "S3 replicates all objects of these folders."
# On the objects of the destination. The last one lets an account own the replicas that another one
# sends, as AccessControlTranslation says.
WRITE = ("s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags")
OWN = "s3:ObjectOwnerOverrideToBucketOwner"


class Replication(Construct):
    """The rules of the artifact bucket for all targets, and the role that S3 assumes for them.

    Args:
        scope: the stack of home.
        id_: unique in the stack.
        settings: of the deployment.
        bucket: the artifact bucket of home.
        key: that encrypts it, if there is one.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        bucket: s3.Bucket,
        key: kms.IKey | None,
    ) -> None:
        super().__init__(scope, id_)
        self._settings, self._key = settings, key
        self.role = iam.Role(
            self,
            "Role",
            role_name=replication_role(settings.name),  # targets in other accounts name it
            description=f"S3 replicates data of {settings.name} to its targets",
            assumed_by=iam.ServicePrincipal("s3.amazonaws.com"),
        )
        self._grant_source(bucket)
        sites = [site for site in settings.sites if settings.target(site.target).replicate]
        for site in sites:
            self._grant_destination(site)
        rules = [rule for site in sites for rule in self._rules(site)]
        for priority, rule in enumerate(rules, 1):
            rule["priority"] = priority
        resource = bucket.node.default_child
        assert isinstance(resource, s3.CfnBucket)  # noqa: S101  as for every bucket of CDK
        resource.replication_configuration = s3.CfnBucket.ReplicationConfigurationProperty(
            role=self.role.role_arn,
            rules=[s3.CfnBucket.ReplicationRuleProperty(**rule) for rule in rules],
        )

    def _grant_source(self, bucket: s3.Bucket) -> None:
        folders = self._settings.replicated_folders
        allow(self.role, ["s3:GetReplicationConfiguration", "s3:ListBucket"], bucket.bucket_arn)
        versions = [f"s3:GetObjectVersion{each}" for each in ("ForReplication", "Acl", "Tagging")]
        allow(self.role, versions, *(bucket.arn_for_objects(f"{each}*") for each in folders))
        accept_folders(self.role, bucket, folders, REPLICATED)
        if self._key:
            allow(
                self.role,
                ["kms:Decrypt"],
                self._key.key_arn,
                conditions=_through_s3(cdk.Aws.REGION),
            )

    def _grant_destination(self, site: TargetSite) -> None:
        objects = _objects(site, self._settings.target(site.target).replicate)
        allow(self.role, _writes(site), *objects)
        for each in objects:
            acknowledge_resource(self.role, each, REPLICATED)
        if key := self._key_on(site):
            allow(self.role, ["kms:Encrypt"], key, conditions=_through_s3(site.region))

    def _rules(self, site: TargetSite) -> Iterator[dict[str, Any]]:
        """Yield the rules for one target, without their priorities, which only have to differ."""
        key = self._key_on(site)
        destination: dict[str, Any] = {"bucket": _bucket_arn(site)}
        if site.account != site.home_account:
            owner = s3.CfnBucket.AccessControlTranslationProperty(owner="Destination")
            destination |= {"account": site.account, "access_control_translation": owner}
        rule: dict[str, Any] = {
            "status": "Enabled",
            # Training jobs would read on what was deleted at home.
            "delete_marker_replication": s3.CfnBucket.DeleteMarkerReplicationProperty(
                status="Enabled"
            ),
        }
        if key:
            encryption = s3.CfnBucket.EncryptionConfigurationProperty(replica_kms_key_id=key)
            destination["encryption_configuration"] = encryption
            rule["source_selection_criteria"] = s3.CfnBucket.SourceSelectionCriteriaProperty(
                sse_kms_encrypted_objects=s3.CfnBucket.SseKmsEncryptedObjectsProperty(
                    status="Enabled"
                )
            )
        rule["destination"] = s3.CfnBucket.ReplicationDestinationProperty(**destination)
        for folder in self._settings.target(site.target).replicate:
            only = s3.CfnBucket.ReplicationRuleFilterProperty(prefix=folder)
            yield rule | {"id": f"{site.target} {folder}", "filter": only}

    def _key_on(self, site: TargetSite) -> str | None:
        """Return the key of a target's bucket if both buckets have one, else None."""
        rules = self._settings.target(site.target).guardrails
        return rules.output_kms_key if self._key and rules else None


def accept_replicas(bucket: s3.Bucket, site: TargetSite, folders: Sequence[str]) -> None:
    """Let home's replication role write to folders of the artifact bucket of another account."""
    if not folders or site.account == site.home_account:
        return
    role = (
        f"arn:{cdk.Aws.PARTITION}:iam::{site.home_account}:role/{replication_role(site.deployment)}"
    )
    bucket.add_to_resource_policy(
        iam.PolicyStatement(
            sid="AcceptReplicas",
            # As for the access role: a principal would have to exist first.
            principals=[
                iam.PrincipalWithConditions(
                    iam.AccountPrincipal(site.home_account),
                    {"ArnEquals": {"aws:PrincipalArn": role}},
                )
            ],
            actions=_writes(site),
            resources=[bucket.arn_for_objects(f"{each}*") for each in folders],
        )
    )


def grant_comparison(role: iam.IRole, bucket_arn: str, folders: Sequence[str]) -> None:
    """Let the dispatcher list folders, to compare those of home and of a target."""
    if not folders:
        return
    role.add_to_principal_policy(
        iam.PolicyStatement(
            sid="CompareReplicas",
            actions=["s3:ListBucketVersions"],
            resources=[bucket_arn],
            conditions={"StringLike": {"s3:prefix": [f"{each}*" for each in folders]}},
        )
    )


def _writes(site: TargetSite) -> list[str]:
    return [*WRITE, *([OWN] if site.account != site.home_account else [])]


def _bucket_arn(site: TargetSite) -> str:
    return f"arn:{cdk.Aws.PARTITION}:s3:::{site.artifact_bucket}"


def _objects(site: TargetSite, folders: Sequence[str]) -> list[str]:
    return [f"{_bucket_arn(site)}/{each}*" for each in folders]


def _through_s3(region: str) -> dict[str, Any]:
    return {"StringEquals": {"kms:ViaService": f"s3.{region}.{cdk.Aws.URL_SUFFIX}"}}
