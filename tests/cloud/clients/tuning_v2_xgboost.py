"""Tune the built-in XGBoost with version 2 of the SageMaker SDK, without a queue.

python tuning_v2_xgboost.py SOURCE_FOLDER DATA

hyperparameter_tuning/xgboost_direct_marketing in aws/amazon-sagemaker-examples creates an estimator
and a tuner in this way.
"""

import sys

from sagemaker import Session, image_uris
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.tuner import ContinuousParameter, HyperparameterTuner, IntegerParameter

_, data = sys.argv[1:]
session = Session()
estimator = Estimator(
    image_uris.retrieve("xgboost", session.boto_region_name, "1.7-1"),
    "arn:aws:iam::111122223333:role/SageMakerRole",
    instance_count=1,
    instance_type="ml.m5.large",
    sagemaker_session=session,
    hyperparameters={"objective": "binary:logistic", "eval_metric": "auc", "num_round": "4"},
)
tuner = HyperparameterTuner(
    estimator,
    "validation:auc",
    {"eta": ContinuousParameter(0.1, 0.5), "max_depth": IntegerParameter(1, 5)},
    max_jobs=3,
    max_parallel_jobs=2,
)
inputs = {name: TrainingInput(data, content_type="csv") for name in ("train", "validation")}
tuner.fit(inputs)
