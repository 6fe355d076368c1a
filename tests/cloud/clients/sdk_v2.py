"""Run a tuning job with the SageMaker SDK 2, then a warm start from it, and print JSON.

python sdk_v2.py ROLE_ARN BUCKET SOURCE_FOLDER NAME
"""

import json
import sys

import boto3
from sagemaker import Session
from sagemaker.pytorch import PyTorch
from sagemaker.tuner import (
    CategoricalParameter,
    ContinuousParameter,
    HyperparameterTuner,
    WarmStartConfig,
    WarmStartTypes,
)

role, bucket, source, name = sys.argv[1:]
estimator = PyTorch(
    entry_point="train.py",
    source_dir=source,
    role=role,
    framework_version="2.3",
    py_version="py311",
    instance_type="ml.m5.large",
    instance_count=1,
    output_path=f"s3://{bucket}/output",
    code_location=f"s3://{bucket}/code",
    sagemaker_session=Session(boto_session=boto3.Session(), default_bucket=bucket),
    hyperparameters={"epochs": 1},
)


def tune(job_name: str, warm_start: WarmStartConfig | None = None) -> HyperparameterTuner:
    tuner = HyperparameterTuner(
        estimator,
        objective_metric_name="auc",
        hyperparameter_ranges={
            "lr": ContinuousParameter(0.01, 1.0),
            "optimizer": CategoricalParameter(["adam", "sgd"]),
        },
        metric_definitions=[{"Name": "auc", "Regex": "auc=([0-9.]+)"}],
        max_jobs=4,
        max_parallel_jobs=2,
        warm_start_config=warm_start,
    )
    tuner.fit({"train": f"s3://{bucket}/data/"}, job_name=job_name, wait=True, logs=False)
    return tuner


parent = tune(name)
child = tune(
    f"{name}-child",
    WarmStartConfig(WarmStartTypes.IDENTICAL_DATA_AND_ALGORITHM, parents={name}),
)
estimator.sagemaker_session.logs_for_job(parent.best_training_job(), wait=True)
found = {
    "best": parent.best_training_job(),
    "values": list(parent.analytics().dataframe()["FinalObjectiveValue"]),
    "child": list(child.analytics().dataframe()["FinalObjectiveValue"]),
    "parents": list(child.warm_start_config.parents),
}
sys.stdout.write("\n" + json.dumps(found) + "\n")
