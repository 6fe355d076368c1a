"""Attach to tuning jobs with the SageMaker SDK 2, run one again, and print JSON.

python sdk_v2_attach.py ROLE_ARN BUCKET SOURCE_FOLDER NAME

As the SDK's integration tests do: tests/integ/test_tuner.py in aws/sagemaker-python-sdk, v2. They
run a built-in algorithm again, because the SDK leaves out the metric definitions of other images.
"""

import json
import sys
from typing import Any

import boto3
from sagemaker import Session, image_uris
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.pytorch import PyTorch
from sagemaker.tuner import (
    ContinuousParameter,
    HyperparameterTuner,
    InstanceConfig,
    create_identical_dataset_and_algorithm_tuner,
    create_transfer_learning_tuner,
)

role, bucket, source, name = sys.argv[1:]
session = Session(boto_session=boto3.Session(), default_bucket=bucket)
inputs = {"train": f"s3://{bucket}/data/"}
metrics = [{"Name": "auc", "Regex": "auc=([0-9.]+)"}]
ranges = {"lr": ContinuousParameter(0.01, 1.0)}


def estimator(optimizer: str) -> PyTorch:
    return PyTorch(
        entry_point="train.py",
        source_dir=source,
        role=role,
        framework_version="2.3",
        py_version="py311",
        instance_type="ml.m5.large",
        instance_count=1,
        output_path=f"s3://{bucket}/output",
        code_location=f"s3://{bucket}/code",
        sagemaker_session=session,
        hyperparameters={"optimizer": optimizer},
    )


def described(tuner: HyperparameterTuner, each: PyTorch) -> dict[str, Any]:
    """Return what an attached tuner and one of its estimators have read."""
    return {
        "class": type(each).__name__,
        "framework": each.framework_version,
        "entry_point": each.entry_point,
        "instance": [each.instance_type, each.instance_count],
        "role": each.role,
        "optimizer": each.hyperparameters()["optimizer"].strip('"'),
        "jobs": [tuner.max_jobs, tuner.max_parallel_jobs],
        "strategy": tuner.strategy,
    }


single = HyperparameterTuner(
    estimator("sgd"), "auc", ranges, metrics, max_jobs=2, max_parallel_jobs=2, strategy="Random"
)
# Sends HyperParameterTuningResourceConfig instead of the ResourceConfig that attach reads.
single.override_resource_config(
    [InstanceConfig(instance_count=1, instance_type="ml.m5.large", volume_size=5)]
)
single.fit(inputs, job_name=name, wait=True, logs=False)
attached = HyperparameterTuner.attach(name, sagemaker_session=session)

built_in = Estimator(
    image_uris.retrieve("xgboost", session.boto_region_name, "1.7-1"),
    role,
    instance_count=1,
    instance_type="ml.m5.large",
    output_path=f"s3://{bucket}/output",
    sagemaker_session=session,
    hyperparameters={"objective": "reg:squarederror", "num_round": "2"},
)
rows = TrainingInput(f"s3://{bucket}/data/", content_type="csv")
channels = {"train": rows, "validation": rows}
HyperparameterTuner(
    built_in, "validation:rmse", {"eta": ContinuousParameter(0.1, 0.5)},
    objective_type="Minimize", max_jobs=2, max_parallel_jobs=2,
).fit(channels, job_name=f"{name}-xgb", wait=True, logs=False)  # fmt: skip
same = create_identical_dataset_and_algorithm_tuner(f"{name}-xgb", sagemaker_session=session)
same.fit(channels, job_name=f"{name}-same", wait=False)
other = create_transfer_learning_tuner(f"{name}-xgb", sagemaker_session=session)
other.fit(channels, job_name=f"{name}-other", wait=False)

several = HyperparameterTuner.create(
    estimator_dict={"a": estimator("adam"), "s": estimator("sgd")},
    objective_metric_name_dict={"a": "auc", "s": "auc"},
    hyperparameter_ranges_dict={"a": ranges, "s": ranges},
    metric_definitions_dict={"a": metrics, "s": metrics},
    strategy="Random",
    max_jobs=2,
    max_parallel_jobs=2,
)
several.fit(
    {"a": inputs, "s": inputs},
    job_name=f"{name}-two",
    include_cls_metadata={"a": False, "s": False},
    wait=True,
    logs=False,
)
both = HyperparameterTuner.attach(f"{name}-two", sagemaker_session=session)
same.wait()
other.wait()
found = {
    "attached": described(attached, attached.estimator),
    "ranges": {
        key: [each.min_value, each.max_value]
        for key, each in attached._hyperparameter_ranges.items()
    },
    "objective": [attached.objective_metric_name, attached.objective_type],
    "best": [attached.best_training_job(), single.best_training_job()],
    "best_estimator": attached.best_estimator().latest_training_job.name,
    "class": type(same.estimator).__name__,
    "same": [same.describe()["WarmStartConfig"], len(same.analytics().dataframe())],
    "other": [other.describe()["WarmStartConfig"], len(other.analytics().dataframe())],
    "both": {key: described(both, each) for key, each in both.estimator_dict.items()},
    "objectives": both.objective_metric_name_dict,
}
sys.stdout.write("\n" + json.dumps(found) + "\n")
