"""Tune with version 3 of the SageMaker SDK, without a queue.

python tuning_v3.py SOURCE_FOLDER DATA

v3-examples/ml-ops-examples/v3-hyperparameter-tuning-example in aws/sagemaker-python-sdk creates a
trainer and a tuner in this way.
"""

import sys

from sagemaker.core.helper.session_helper import Session
from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter
from sagemaker.core.training.configs import Compute, SourceCode
from sagemaker.train.model_trainer import ModelTrainer
from sagemaker.train.tuner import HyperparameterTuner

source, data = sys.argv[1:]
trainer = ModelTrainer(
    sagemaker_session=Session(),
    role="arn:aws:iam::111122223333:role/SageMakerRole",
    base_job_name="example",
    training_image="763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10-cpu-py313",
    source_code=SourceCode(source_dir=source, entry_script="train.py"),
    compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=5),
    hyperparameters={"epochs": 1},
)
tuner = HyperparameterTuner(
    model_trainer=trainer,
    objective_metric_name="auc",
    hyperparameter_ranges={
        "lr": ContinuousParameter(0.01, 1.0),
        "optimizer": CategoricalParameter(["adam", "sgd"]),
    },
    metric_definitions=[{"Name": "auc", "Regex": "auc=([0-9.]+)"}],
    max_jobs=3,
    max_parallel_jobs=2,
    strategy="Random",
)
tuner.tune({"train": data})
