"""What the training jobs of all teams share: artifact bucket, scripts and basic permissions."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from hpo_dispatcher.contract import names
from hpo_dispatcher.contract.targets.sites import TargetSite
from infra.acknowledge import acknowledge, acknowledge_resource
from infra.settings import Settings, removal_policy
from infra.source import ROOT, bundling, fingerprint, source_files, write_training_archive
from infra.training_role import (
    READ_AND_WRITE,
    accept_folders,
    allow,
    grant_keys,
    grant_logs,
    grant_opened,
    grant_vpc,
)


class TrainingResources(Construct):
    """The artifact bucket, the bundled scripts and the permissions of every training job."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        assets: str,
        key: kms.IKey | None,
        site: TargetSite | None = None,
    ) -> None:
        super().__init__(scope, id_)
        self._site = site
        self._assets = assets  # prefix of this stack's own files in the bootstrap bucket
        self.bucket = self._bucket(settings, key)
        self.source = s3_assets.Asset(
            self,
            "Source",
            path=str(ROOT / "training"),
            asset_hash=fingerprint(source_files(ROOT / "training")),
            asset_hash_type=cdk.AssetHashType.CUSTOM,
            bundling=bundling(write_training_archive, cdk.BundlingOutput.ARCHIVED),
        )
        self.base = iam.ManagedPolicy(
            self,
            "Base",
            managed_policy_name=names.training_policy(settings.name),
            description="What every training job of hpoq does, whatever its team",
        )
        self._grant_shared_folders()
        self._grant_scripts(settings.bootstrap_kms_key_arn)
        self._grant_job()
        if not site:  # there were no targets then
            self._keep_earlier_role(settings)

    def _bucket(self, settings: Settings, key: kms.IKey | None) -> s3.Bucket:
        folders = [
            f"{folder}checkpoints/" for folder in map(names.workspace_prefix, settings.teams)
        ]
        # Training jobs overwrite their checkpoints repeatedly.
        checkpoints = [
            s3.LifecycleRule(prefix=each, noncurrent_version_expiration=cdk.Duration.days(1))
            for each in ("checkpoints/", *folders)
        ]
        bucket = s3.Bucket(
            self,
            "Artifacts",
            bucket_name=self._site.artifact_bucket if self._site else None,
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(7),
                    noncurrent_version_expiration=cdk.Duration.days(30),
                ),
                *checkpoints,
            ],
            removal_policy=removal_policy(retain=settings.retain_data),
        )
        acknowledge(
            bucket,
            "S1",
            "Access logs need a second bucket. CloudTrail data events, enabled once for all "
            "buckets of an account, record the same and more.",
        )
        return bucket

    def _grant_shared_folders(self) -> None:
        """Let every team's training jobs read the folders that all teams share."""
        shared = [f"{each}*" for each in names.SHARED_FOLDERS]
        allow(self.base, ["s3:GetObject"], *map(self.bucket.arn_for_objects, shared))
        listed: dict[str, object] = {"StringLike": {"s3:prefix": shared}}
        allow(self.base, ["s3:ListBucket"], self.bucket.bucket_arn, conditions=listed)
        allow(self.base, ["s3:GetBucketLocation"], self.bucket.bucket_arn)
        accept_folders(self.base, self.bucket, names.SHARED_FOLDERS, "All teams share the folder.")

    def _grant_scripts(self, assets_key: str | None) -> None:
        """Let training jobs read the bundled scripts."""
        bucket = self.source.bucket
        # A tuning job starts training jobs for days, all with the code from when it was created.
        allow(self.base, ["s3:GetObject"], bucket.arn_for_objects(f"{self._assets}*"))
        # With network isolation, the code is an input channel, whose prefix SageMaker lists.
        listed: dict[str, object] = {"StringLike": {"s3:prefix": f"{self._assets}*"}}
        allow(self.base, ["s3:ListBucket"], bucket.bucket_arn, conditions=listed)
        if assets_key:
            allow(self.base, ["kms:Decrypt"], assets_key)
        given = self.node.try_get_context("@aws-cdk/core:bootstrapQualifier")
        qualifier = given or cdk.DefaultStackSynthesizer.DEFAULT_QUALIFIER
        stack = cdk.Stack.of(self)
        bucket_name = f"cdk-{qualifier}-assets-{stack.account}-{stack.region}"
        objects = f"arn:{stack.partition}:s3:::{bucket_name}/{self._assets}*"
        acknowledge_resource(self.base, objects, "All versions of this deployment's code.")

    def _grant_job(self) -> None:
        """Grant what every training job does besides S3: logs, metrics and pulling its image."""
        training_logs = cdk.Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            resource_name="/aws/sagemaker/TrainingJobs*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        logs = ["CreateLogGroup", "CreateLogStream", "DescribeLogStreams"]
        allow(self.base, [f"logs:{action}" for action in logs], training_logs)
        images = f"arn:{cdk.Aws.PARTITION}:ecr:{cdk.Aws.REGION}:*:repository/*"
        allow(self.base, ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], images)
        allow(self.base, ["ecr:GetAuthorizationToken"], "*")
        namespace: dict[str, object] = {"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}}
        allow(self.base, ["cloudwatch:PutMetricData"], "*", conditions=namespace)
        for resource, reason in {
            training_logs: "SageMaker names the log streams.",
            images: "AWS keeps its training images in another account per Region.",
            "*": (
                "Registry login and PutMetricData do not support resources; a condition limits "
                "metrics to SageMaker's namespace."
            ),
        }.items():
            acknowledge_resource(self.base, resource, reason)

    def _keep_earlier_role(self, settings: Settings) -> None:
        """Keep the role of all teams that earlier versions passed to tuning jobs.

        Those tuning jobs start training jobs with it for days. No principal of the stack may pass
        it, and it does not reach the workspaces: docs/decisions/0033.
        """
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"),
            managed_policies=[self.base],
        )
        allow(role, READ_AND_WRITE, self.bucket.arn_for_objects("*"))
        grant_logs(role, [""])
        allow(role, ["s3:ListBucket"], self.bucket.bucket_arn)
        accept_folders(role, self.bucket, [""], "Earlier versions let jobs name any folder.")
        self._deny_workspaces(role)
        grant_opened(role, settings.rules)
        grant_keys(role, self.bucket, settings.rules)
        if settings.rules.vpc:
            grant_vpc(role)

    def _deny_workspaces(self, role: iam.Role) -> None:
        """Deny a role the objects of all workspaces, and listings that include them."""
        role.add_to_principal_policy(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                actions=list(READ_AND_WRITE),
                resources=[self.bucket.arn_for_objects(f"{names.WORKSPACES}*")],
            )
        )
        beginnings = [names.WORKSPACES[:length] for length in range(len(names.WORKSPACES))]
        role.add_to_principal_policy(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                actions=["s3:ListBucket"],
                resources=[self.bucket.bucket_arn],
                # IfExists: a listing without a prefix includes them, too.
                conditions={
                    "StringLikeIfExists": {"s3:prefix": [*beginnings, f"{names.WORKSPACES}*"]}
                },
            )
        )
