"""Tune the script train.py on the file iris.csv through the queue of a team.

    python examples/own_model/tune.py TEAM

Prints the training jobs, and unpacks the best model into the folder ``model``.
"""

import os
import sys
from pathlib import Path

# The SDK would check whether the role has all permissions that any training job may need. The
# training role of the deployment has those of the team's training jobs only.
os.environ.setdefault("SAGEMAKER_VALIDATE_ROLE", "false")

from sagemaker.core import image_uris
from sagemaker.core.parameter import CategoricalParameter, IntegerParameter
from sagemaker.core.training.configs import Compute, SourceCode
from sagemaker.train.model_trainer import ModelTrainer
from sagemaker.train.tuner import HyperparameterTuner

import hpoq

HERE = Path(__file__).parent
queue = hpoq.TuningQueue(sys.argv[1])
session = queue.session()
trainer = ModelTrainer(
    sagemaker_session=session,
    role=queue.role,
    training_image=image_uris.retrieve("sklearn", session.boto_region_name, "1.4-2"),
    source_code=SourceCode(source_dir=str(HERE), entry_script="train.py"),
    compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=5),
)
tuner = HyperparameterTuner(
    model_trainer=trainer,
    objective_metric_name="validation:accuracy",
    metric_definitions=[{"Name": "validation:accuracy", "Regex": "validation:accuracy=([0-9.]+)"}],
    hyperparameter_ranges={
        "max-leaf-nodes": IntegerParameter(2, 12),
        "criterion": CategoricalParameter(["gini", "entropy"]),
    },
    max_jobs=4,
    max_parallel_jobs=2,
)
job = queue.submit(tuner, {"train": str(HERE / "iris.csv")})
job.wait(logs=False, poll=2)
print(job.results()[["max-leaf-nodes", "criterion", "FinalObjectiveValue"]])
print(f"best: {job.best_training_job}, model in {job.download_model('model')}")
