"""Tune PyTorch and XGBoost with the SageMaker SDK 2 through a queue, and print JSON.

python queued_v2.py TEAM SOURCE_FOLDER DATA XGBOOST_DATA

hyperparameter_tuning/pytorch_mnist and hyperparameter_tuning/xgboost_direct_marketing in
aws/amazon-sagemaker-examples create an estimator and a tuner in this way. Comments show the lines
before the change.
"""

import json
import sys

from sagemaker import Session, image_uris
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.pytorch import PyTorch
from sagemaker.tuner import (
    CategoricalParameter,
    ContinuousParameter,
    HyperparameterTuner,
    IntegerParameter,
)

import hpoq

team, source, data, xgboost_data = sys.argv[1:]
role = "arn:aws:iam::111122223333:role/SageMakerRole"
session = Session()

pytorch = PyTorch(
    entry_point="train.py",
    source_dir=source,
    role=role,
    framework_version="2.3",
    py_version="py311",
    instance_type="ml.m5.large",
    instance_count=1,
    sagemaker_session=session,
    hyperparameters={"epochs": 1},
)
pytorch_tuner = HyperparameterTuner(
    pytorch,
    objective_metric_name="auc",
    hyperparameter_ranges={
        "lr": ContinuousParameter(0.01, 1.0),
        "optimizer": CategoricalParameter(["adam", "sgd"]),
    },
    metric_definitions=[{"Name": "auc", "Regex": "auc=([0-9.]+)"}],
    max_jobs=3,
    max_parallel_jobs=2,
)
first = hpoq.TuningQueue(team).submit(pytorch_tuner, {"train": data})  # was: pytorch_tuner.fit(...)

xgboost = Estimator(
    image_uris.retrieve("xgboost", session.boto_region_name, "1.7-1"),
    role,
    instance_count=1,
    instance_type="ml.m5.large",
    sagemaker_session=session,
    hyperparameters={"objective": "binary:logistic", "eval_metric": "auc", "num_round": "4"},
)
xgboost_tuner = HyperparameterTuner(
    xgboost,
    "validation:auc",
    {"eta": ContinuousParameter(0.1, 0.5), "max_depth": IntegerParameter(1, 5)},
    max_jobs=3,
    max_parallel_jobs=2,
)
second = hpoq.TuningQueue(team).submit(  # was: xgboost_tuner.fit(
    xgboost_tuner,
    {name: TrainingInput(xgboost_data, content_type="csv") for name in ("train", "validation")},
)

pytorch_tuner.wait()  # as before: the tuner follows its tuning job by itself
found = {}
for job, tuner in ((first, pytorch_tuner), (second, xgboost_tuner)):
    job.wait(poll=1, logs=False)
    folder = job.download_model(f"model-{job.request_id}")
    found[job.request_id] = {
        "status": job.status,
        "best": job.best_training_job,
        "by_tuner": tuner.best_training_job(),
        "attached": job.tuner().best_training_job(),
        "values": list(tuner.analytics().dataframe()["FinalObjectiveValue"]),
        "folder": str(folder.resolve()),
    }
sys.stdout.write("\n" + json.dumps(list(found.values())) + "\n")
