"""Descriptions of jobs: stored records with the fields that SageMaker adds to every job."""

from __future__ import annotations

from typing import Any

from hpoq.local.sagemaker.records import definitions_of, resource_config

Record = dict[str, Any]


def describe_tuning_job(record: Record) -> Record:
    """Add SageMaker's fields to the record of a tuning job and return the record."""
    config = record["HyperParameterTuningJobConfig"]
    objective = config.get("HyperParameterTuningJobObjective", {}).get("MetricName")
    for definition in definitions_of(record):
        static = definition.setdefault("StaticHyperParameters", {})
        own = definition.get("TuningObjective", {}).get("MetricName", objective)
        static["_tuning_objective_metric"] = own
        definition["OutputDataConfig"].setdefault("KmsKeyId", "")
        # SDK 2 reads ResourceConfig when it attaches, whichever field the request had.
        definition.setdefault("ResourceConfig", resource_config(definition))
    return record


def describe_training_job(record: Record) -> Record:
    """Add SageMaker's fields to the record of a training job and return the record."""
    record["OutputDataConfig"].setdefault("KmsKeyId", "")
    record.setdefault("ModelArtifacts", {"S3ModelArtifacts": ""})
    return record


def tag_list(tags: dict[str, str]) -> list[Record]:
    """Return tags in the form of the API."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
