"""The resources of training jobs: artifact bucket, role and scripts."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from hpo_dispatcher.contract import names
from infra.acknowledge import acknowledge, acknowledge_key_use
from infra.settings import Guardrails, removal_policy
from infra.source import ROOT, bundling, fingerprint, source_files, write_training_archive


class TrainingResources(Construct):
    """The artifact bucket, the training role and the bundled scripts."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        assets: str,
        assets_key: str | None,
        key: kms.IKey | None,
        retain: bool,
        rules: Guardrails,
    ) -> None:
        super().__init__(scope, id_)
        self._assets = assets  # prefix of this stack's own files in the bootstrap bucket
        self.bucket = s3.Bucket(
            self,
            "Artifacts",
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
                # Training jobs overwrite their checkpoints repeatedly.
                s3.LifecycleRule(
                    prefix="checkpoints/", noncurrent_version_expiration=cdk.Duration.days(1)
                ),
            ],
            removal_policy=removal_policy(retain=retain),
        )
        acknowledge(
            self.bucket,
            "S1",
            "Access logs need a second bucket. CloudTrail data events, enabled once for all "
            "buckets of an account, record the same and more.",
        )
        self.role = iam.Role(
            self, "Role", assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com")
        )
        self.source = s3_assets.Asset(
            self,
            "Source",
            path=str(ROOT / "training"),
            asset_hash=fingerprint(source_files(ROOT / "training")),
            asset_hash_type=cdk.AssetHashType.CUSTOM,
            bundling=bundling(write_training_archive, cdk.BundlingOutput.ARCHIVED),
        )
        self._grant_training()
        self._grant_prefixes(rules)
        self._grant_keys(rules)
        if assets_key:
            self._allow(["kms:Decrypt"], assets_key)
        if rules.vpc:
            self._grant_vpc()

    def example_data_statement(self) -> iam.PolicyStatement:
        """Return the statement that lets a team see whether the bundled templates have data."""
        return iam.PolicyStatement(
            sid="FindExampleData",
            actions=["s3:ListBucket"],
            resources=[self.bucket.bucket_arn],
            conditions={"StringLike": {"s3:prefix": f"{names.EXAMPLE_DATA}*"}},
        )

    def _grant_training(self) -> None:
        """Grant what every training job does: artifacts, logs, metrics and pulling its image."""
        stack = cdk.Stack.of(self)
        objects = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]
        training_logs = stack.format_arn(
            service="logs",
            resource="log-group",
            resource_name="/aws/sagemaker/TrainingJobs*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        images = f"arn:{cdk.Aws.PARTITION}:ecr:{cdk.Aws.REGION}:*:repository/*"
        self._allow(objects, self.bucket.arn_for_objects("*"))
        self._allow(["s3:ListBucket", "s3:GetBucketLocation"], self.bucket.bucket_arn)
        # A tuning job starts training jobs for days, all with the code from when it was created.
        source = self.source.bucket.arn_for_objects(f"{self._assets}*")
        self._allow(["s3:GetObject"], source)
        # With network isolation, the code is an input channel, whose prefix SageMaker lists.
        self._allow(
            ["s3:ListBucket"],
            self.source.bucket.bucket_arn,
            {"StringLike": {"s3:prefix": f"{self._assets}*"}},
        )
        self._allow(
            [
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:DescribeLogStreams",
                "logs:PutLogEvents",
            ],
            training_logs,
        )
        self._allow(["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], images)
        self._allow(["ecr:GetAuthorizationToken"], "*")
        self._allow(
            ["cloudwatch:PutMetricData"],
            "*",
            {"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}},
        )
        bucket = stack.get_logical_id(self.bucket.node.default_child)  # type: ignore[arg-type]
        given = self.node.try_get_context("@aws-cdk/core:bootstrapQualifier")
        qualifier = given or cdk.DefaultStackSynthesizer.DEFAULT_QUALIFIER
        for finding, reason in {
            f"Resource::arn:<AWS::Partition>:s3:::cdk-{qualifier}-assets-<AWS::AccountId>-"
            f"<AWS::Region>/{self._assets}*": "All versions of this deployment's code.",
            f"Resource::<{bucket}.Arn>/*": "SageMaker names the objects of each training job.",
            "Resource::arn:<AWS::Partition>:logs:<AWS::Region>:<AWS::AccountId>:"
            "log-group:/aws/sagemaker/TrainingJobs*": "SageMaker names the log streams.",
            "Resource::arn:<AWS::Partition>:ecr:<AWS::Region>:*:repository/*": (
                "AWS keeps its training images in another account per Region."
            ),
            "Resource::*": (
                "Registry login and PutMetricData do not support resources; a condition limits "
                "metrics to SageMaker's namespace."
            ),
        }.items():
            acknowledge(self.role, f"IAM5[{finding}]", reason)

    def _grant_prefixes(self, rules: Guardrails) -> None:
        """Grant access to the guardrails' prefixes outside the artifact bucket."""
        for prefixes, actions in (
            (rules.input_prefixes, ["s3:GetObject"]),
            # Checkpoints are below an output prefix, and SageMaker restores them.
            (rules.output_prefixes, ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]),
        ):
            for prefix in prefixes:
                bucket, _, path = prefix.removeprefix("s3://").partition("/")
                folder = path.rstrip("/*")
                arn = f"arn:{cdk.Aws.PARTITION}:s3:::{bucket}"
                objects = f"{arn}/{folder}/*" if folder else f"{arn}/*"
                # A channel may name the folder with or without its final slash.
                listed: dict[str, object] = {"StringLike": {"s3:prefix": [folder, f"{folder}/*"]}}
                self._allow(actions, objects)
                self._allow(["s3:ListBucket"], arn, listed if folder else None)
                self._accept(objects, "The settings allow training jobs this prefix.")

    def _grant_keys(self, rules: Guardrails) -> None:
        """Grant the use of the keys: volumes through a KMS grant, models and data directly."""
        if self.bucket.encryption_key:
            self.bucket.encryption_key.grant_encrypt_decrypt(self.role)
            acknowledge_key_use(self.role)
        if rules.volume_kms_key:
            self._allow(["kms:CreateGrant"], self._key_arn(rules.volume_kms_key))
        if rules.output_kms_key:
            self._allow(
                ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"],
                self._key_arn(rules.output_kms_key),
            )

    def _key_arn(self, key: str) -> str:
        """Return the ARN of a key that the guardrails name by ARN or id."""
        if key.startswith("arn:"):
            return key
        return cdk.Stack.of(self).format_arn(service="kms", resource="key", resource_name=key)

    def _grant_vpc(self) -> None:
        """Grant the network interfaces that SageMaker attaches to the VPC as the training role."""
        self._allow(
            [
                "ec2:CreateNetworkInterface",
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
            ],
            "*",
        )

    def _accept(self, resource: str, reason: str) -> None:
        literal = resource.replace(cdk.Aws.PARTITION, "<AWS::Partition>")
        acknowledge(self.role, f"IAM5[Resource::{literal}]", reason)

    def _allow(
        self, actions: list[str], resource: str, conditions: dict[str, object] | None = None
    ) -> None:
        self.role.add_to_principal_policy(
            iam.PolicyStatement(actions=actions, resources=[resource], conditions=conditions)
        )
