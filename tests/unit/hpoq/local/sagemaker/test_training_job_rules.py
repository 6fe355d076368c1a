"""Channels, checkpoints and rules of Debugger that SageMaker rejects.

A training job and the training job definition of a tuning job have the same rules for channels.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from hpoq.local.sagemaker.errors import ApiError
from hpoq.local.sagemaker.rules import check_training_job, check_tuning_job
from tests.support.memory_endpoint import channel, training_job, tuning_job


def check_as_training_job(**fields: Any) -> None:
    check_training_job(training_job("job-1") | fields)


def check_as_definition(**fields: Any) -> None:
    job = tuning_job("job-1")
    job["TrainingJobDefinition"] |= fields
    check_tuning_job(job)


Check = Callable[..., None]
EITHER = pytest.mark.parametrize("check", [check_as_training_job, check_as_definition])
METRICS = [{"Name": "auc", "Regex": "auc=(.*)"}]


def refusal(problem: str | None) -> contextlib.AbstractContextManager[Any]:
    """Expect this problem, or none."""
    if problem is None:
        return contextlib.nullcontext()
    return pytest.raises(ApiError, match=problem)


AUGMENTED = "channel a is an AugmentedManifestFile"


# API_S3DataSource.html: "AugmentedManifestFile can only be used if the Channel's input mode is
# Pipe." API_Channel.html: "If you don't set a value for InputMode, SageMaker uses the value set for
# TrainingInputMode."
@pytest.mark.parametrize(
    ("kind", "mode", "default", "problem"),
    [
        ("AugmentedManifestFile", "Pipe", "File", None),
        ("AugmentedManifestFile", "Pipe", None, None),
        ("AugmentedManifestFile", None, "Pipe", None),
        ("AugmentedManifestFile", "File", "Pipe", AUGMENTED),
        ("AugmentedManifestFile", "FastFile", "Pipe", AUGMENTED),
        ("AugmentedManifestFile", None, "File", AUGMENTED),
        ("AugmentedManifestFile", None, None, AUGMENTED),
        ("ManifestFile", "File", "File", None),
        ("S3Prefix", None, None, None),
    ],
)
@EITHER
def test_an_augmented_manifest_needs_the_pipe_mode(
    check: Check, kind: str, mode: str | None, default: str | None, problem: str | None
) -> None:
    of_algorithm = {"TrainingInputMode": default} if default else {}
    of_channel = {"InputMode": mode} if mode else {}
    described = channel("a", "s3://bucket/list", S3DataType=kind) | of_channel
    algorithm = {"TrainingImage": "image", "MetricDefinitions": METRICS, **of_algorithm}
    with refusal(problem):
        check(InputDataConfig=[described], AlgorithmSpecification=algorithm)


@EITHER
def test_a_channel_of_a_file_system_has_no_kind_of_s3_data(check: Check) -> None:
    source = {"FileSystemDataSource": {"FileSystemId": "fs-1", "DirectoryPath": "/data"}}
    check(InputDataConfig=[{"ChannelName": "a", "DataSource": source}])


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ("a", None),
        ("X", None),
        ("X.X", None),
        (".a", None),
        ("a..", None),
        (".", r"channel name \. is not valid"),
        ("...", r"channel name \.\.\. is not valid"),
        ("a ..", r"channel name \.\. is not valid"),
        ("a A", None),
        ("a b c a", "channel name a is used 2 times"),
        ("b a a a", "channel name a is used 3 times"),
    ],
)
@EITHER
def test_channels_have_distinct_names_that_can_be_folders(
    check: Check, names: str, problem: str | None
) -> None:
    with refusal(problem):
        check(InputDataConfig=[channel(name, "s3://bucket/data") for name in names.split()])


@EITHER
def test_every_channel_is_checked(check: Check) -> None:
    good = channel("good", "s3://bucket/data")
    with refusal("channel bad needs exactly one source"):
        check(InputDataConfig=[good, {"ChannelName": "bad", "DataSource": {}}])
    manifest = channel("a", "s3://bucket/list", S3DataType="AugmentedManifestFile")
    with refusal(AUGMENTED):
        check(InputDataConfig=[good, manifest])


@pytest.mark.parametrize(
    ("path", "is_refused"),
    [
        ("/opt/ml/checkpoints", False),
        ("/opt/..ml/a..b", False),
        ("..", True),
        ("../etc", True),
        ("/opt/ml/..", True),
        ("/opt/../etc", True),
    ],
)
@EITHER
def test_a_folder_of_checkpoints_leads_nowhere_up(
    check: Check, path: str, *, is_refused: bool
) -> None:
    config = {"S3Uri": "s3://bucket/checkpoints", "LocalPath": path}
    with refusal("LocalPath .* of the CheckpointConfig is not valid" if is_refused else None):
        check(CheckpointConfig=config)


@EITHER
def test_checkpoints_need_no_folder_of_their_own(check: Check) -> None:
    check(CheckpointConfig={"S3Uri": "s3://bucket/checkpoints"})


# API_DebugRuleConfiguration.html, and the same in API_ProfilerRuleConfiguration.html: the name
# "must be unique relative to other rule configuration names".
@pytest.mark.parametrize("field", ["DebugRuleConfigurations", "ProfilerRuleConfigurations"])
@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ("a", None),
        ("a b c", None),
        ("a b a", "RuleConfigurationName a is used 2 times in "),
        ("b a a a", "RuleConfigurationName a is used 3 times in "),
    ],
)
def test_rules_of_debugger_have_distinct_names(field: str, names: str, problem: str | None) -> None:
    rules = [{"RuleConfigurationName": name, "RuleEvaluatorImage": "i"} for name in names.split()]
    with refusal(problem and problem + field):
        check_as_training_job(**{field: rules})


@pytest.mark.parametrize("field", ["InputDataConfig", "HyperParameters"])
def test_a_training_job_needs_neither_data_nor_hyperparameters(field: str) -> None:
    check_training_job({k: v for k, v in training_job("job-1").items() if k != field})


def test_a_training_job_needs_no_metrics() -> None:
    check_as_training_job(AlgorithmSpecification={"TrainingImage": "image"})
