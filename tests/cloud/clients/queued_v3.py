"""Tune with the SageMaker SDK 3 through a queue, as its example notebook does, and print JSON.

python queued_v3.py TEAM SOURCE_FOLDER DATA

v3-examples/ml-ops-examples/v3-hyperparameter-tuning-example in aws/sagemaker-python-sdk creates a
trainer and a tuner in this way. Comments show the lines before the change.
"""

import json
import sys

from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter
from sagemaker.core.training.configs import Compute, SourceCode
from sagemaker.train.model_trainer import ModelTrainer
from sagemaker.train.tuner import HyperparameterTuner

import hpoq

team, source, data = sys.argv[1:]
trainer = ModelTrainer(
    sagemaker_session=hpoq.TuningQueue(team).session(),  # was: Session()
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
job = hpoq.TuningQueue(team).submit(tuner, {"train": data})  # was: tuner.tune({"train": data})
job.wait(poll=1)

folder = job.download_model("model")
attached = job.tuner()
found = {
    "request_id": job.request_id,
    "status": job.status,
    "best": job.best_training_job,
    "values": list(job.results()["FinalObjectiveValue"]),
    "model": (folder / "model.txt").read_text(),
    "attached_best": str(attached.best_training_job()),
    "analytics": sorted(attached.analytics().dataframe()["FinalObjectiveValue"]),
}
sys.stdout.write("\n" + json.dumps(found) + "\n")
