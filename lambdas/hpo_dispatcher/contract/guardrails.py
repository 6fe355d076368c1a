"""The limits of a deployment, a team or a target that no message can exceed."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.validation.settings_model import SettingsModel, check_instance_types
from hpo_dispatcher.contract.validation.values import (
    FileSystemFolder,
    KeyName,
    S3Prefix,
    SecurityGroupId,
    SubnetId,
    TagKey,
)


class Vpc(SettingsModel):
    """The VPC that training jobs run in."""

    # Ids of the subnets.
    subnets: Annotated[tuple[SubnetId, ...], Field(min_length=1, max_length=16)]
    # Ids of the security groups.
    security_group_ids: Annotated[tuple[SecurityGroupId, ...], Field(min_length=1, max_length=5)]


class Guardrails(SettingsModel):
    """Limits that no message can exceed. None or an empty list leaves the choice to the teams.

    Training jobs read their team's workspace and the shared folders of the artifact bucket, and
    write to the workspace. The prefixes and file systems are open besides.
    """

    # The instance types that training jobs may use, exact or as patterns such as ml.m5.*
    instance_types: tuple[str, ...] = ()
    # The images that they may use, exact or as patterns such as 123456789012.dkr.ecr.*/*
    images: tuple[str, ...] = ()
    # Prefixes such as s3://bucket/prefix/ that training jobs may read, besides the workspace and
    # shared/.
    input_prefixes: tuple[S3Prefix, ...] = ()
    # Prefixes such as s3://bucket/prefix/ to which training jobs may write, besides the workspace.
    output_prefixes: tuple[S3Prefix, ...] = ()
    # Folders such as fs-0a1b2c3d/teams/fraud of file systems (EFS, FSx for Lustre) that channels
    # may name to read. Only the network keeps training code from others: docs/security.md.
    input_file_systems: tuple[FileSystemFolder, ...] = Field(
        default=(), exclude_if=lambda folders: not folders
    )
    # The same for channels that read and write (FileSystemAccessMode rw).
    output_file_systems: tuple[FileSystemFolder, ...] = Field(
        default=(), exclude_if=lambda folders: not folders
    )
    # The most seconds that a training job may run.
    max_run_seconds: Annotated[int, Field(ge=1)] | None = None
    # The most seconds that a training job may keep its instances warm after its end.
    max_keep_alive_seconds: Annotated[int, Field(ge=0)] | None = None
    # The most training jobs of a tuning job.
    max_training_jobs: Annotated[int, Field(ge=1)] | None = None
    # The most training jobs of a tuning job that run in parallel.
    max_parallel_training_jobs: (
        Annotated[int, Field(ge=1, le=aws_limits.PARALLEL_TRAINING_JOBS)] | None
    ) = None
    # The most instances of a training job.
    max_instance_count: Annotated[int, Field(ge=1)] | None = None
    # The largest storage volume of an instance, in GB.
    max_volume_gb: Annotated[int, Field(ge=1)] | None = None
    # Whether all training jobs are managed spot training.
    spot_only: bool = False
    # The VPC that all training jobs run in.
    vpc: Vpc | None = None
    # The KMS key of all storage volumes that can be encrypted with a key of yours.
    volume_kms_key: KeyName | None = None
    # The KMS key of all models and other output.
    output_kms_key: KeyName | None = None
    # Whether the containers of all training jobs have no network.
    network_isolation: bool = False
    # Whether the traffic between the instances of a training job is encrypted.
    inter_container_encryption: bool = False
    # Keys of tags that each request must have.
    required_tags: tuple[TagKey, ...] = ()

    def opened_for(self, team: Guardrails | None) -> Guardrails:
        """Return these guardrails with the places, network and keys of a team's."""
        if team is None:
            return self
        opened = (
            "input_prefixes", "output_prefixes", "input_file_systems", "output_file_systems"
        )  # fmt: skip
        chosen = ("vpc", "volume_kms_key", "output_kms_key")
        required = ("spot_only", "network_isolation", "inter_container_encryption")
        return self.model_copy(
            update={
                **{name: (*getattr(self, name), *getattr(team, name)) for name in opened},
                **{name: getattr(team, name) or getattr(self, name) for name in chosen},
                **{name: getattr(team, name) or getattr(self, name) for name in required},
            }
        )

    @field_validator("instance_types")
    @classmethod
    def _of_known_types(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        check_instance_types(each for each in patterns if not each.startswith(("*", "[", "?")))
        return patterns
