"""Run a tuning job with the SageMaker SDK 3 and print the results as JSON.

python sdk_v3.py ROLE_ARN BUCKET SOURCE_FOLDER NAME
"""

import json
import logging
import sys

import boto3
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter
from sagemaker.core.resources import TrainingJob
from sagemaker.core.training.configs import Compute, InputData, OutputDataConfig, SourceCode
from sagemaker.train.model_trainer import ModelTrainer
from sagemaker.train.tuner import HyperparameterTuner

logging.basicConfig(level=logging.INFO)
role, bucket, source, name = sys.argv[1:]
trainer = ModelTrainer(
    sagemaker_session=Session(boto_session=boto3.Session(), default_bucket=bucket),
    role=role,
    base_job_name=name,
    training_image="763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10-cpu-py313",
    source_code=SourceCode(source_dir=source, entry_script="train.py"),
    compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=5),
    output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/output"),
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
    max_jobs=4,
    max_parallel_jobs=2,
    strategy="Bayesian",
)
tuner.tune(
    inputs=[InputData(channel_name="train", data_source=f"s3://{bucket}/data/")],
    job_name=name,
    wait=True,
)
found = tuner.analytics().dataframe()
TrainingJob.get(tuner.best_training_job()).wait(logs=True)
best = {"best": str(tuner.best_training_job()), "values": list(found["FinalObjectiveValue"])}
sys.stdout.write("\n" + json.dumps(best) + "\n")
