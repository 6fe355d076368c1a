"""Tune a PyTorch script with version 2 of the SageMaker SDK, without a queue.

python tuning_v2_pytorch.py SOURCE_FOLDER DATA

hyperparameter_tuning/pytorch_mnist in aws/amazon-sagemaker-examples creates an estimator and a
tuner in this way.
"""

import sys

from sagemaker import Session
from sagemaker.pytorch import PyTorch
from sagemaker.tuner import CategoricalParameter, ContinuousParameter, HyperparameterTuner

source, data = sys.argv[1:]
estimator = PyTorch(
    entry_point="train.py",
    source_dir=source,
    role="arn:aws:iam::111122223333:role/SageMakerRole",
    framework_version="2.3",
    py_version="py311",
    instance_type="ml.m5.large",
    instance_count=1,
    sagemaker_session=Session(),
    hyperparameters={"epochs": 1},
)
tuner = HyperparameterTuner(
    estimator,
    objective_metric_name="auc",
    hyperparameter_ranges={
        "lr": ContinuousParameter(0.01, 1.0),
        "optimizer": CategoricalParameter(["adam", "sgd"]),
    },
    metric_definitions=[{"Name": "auc", "Regex": "auc=([0-9.]+)"}],
    max_jobs=3,
    max_parallel_jobs=2,
)
tuner.fit({"train": data})
