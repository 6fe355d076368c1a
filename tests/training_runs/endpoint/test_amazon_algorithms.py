"""Tuning jobs of Amazon's linear learner and k-means."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boto3 import Session
from sklearn.datasets import load_iris

from tests.support.memory_endpoint import (
    MemoryPorts,
    Start,
    channel,
    client_of,
    describe,
    ended,
    training_job,
    tuning_job,
)
from tests.support.protobuf_records import encoded

REGISTRY = "664544806723.dkr.ecr.eu-central-1.amazonaws.com"
FEATURES, CLASSES = load_iris(return_X_y=True)


@pytest.fixture
def sagemaker(start: Start, session: Session, memory: MemoryPorts) -> Any:
    for name, part in (("train", slice(0, None, 2)), ("test", slice(1, None, 2))):
        memory.stored["bucket", f"iris/{name}"] = encoded(FEATURES[part], CLASSES[part] > 0)
        rows = np.column_stack([CLASSES[part], FEATURES[part]])
        text = "".join(",".join(map(str, row)) + "\n" for row in rows)
        memory.stored["bucket", f"iris-csv/{name}.csv"] = text.encode()
    return client_of(start(interpreter=Path(sys.executable)), session)


def job(request: dict[str, Any], image: str, data: str, content_type: str = "") -> dict[str, Any]:
    """Return a request with an image of Amazon's and its channels."""
    definition = request.get("TrainingJobDefinition", request)
    definition["AlgorithmSpecification"] = {
        "TrainingImage": f"{REGISTRY}/{image}:1", "TrainingInputMode": "File",
    }  # fmt: skip
    more = {"ContentType": content_type} if content_type else {}
    definition["InputDataConfig"] = [
        channel(name, f"s3://bucket/{data}/{name}") | more for name in ("train", "test")
    ]
    for field in ("StaticHyperParameters", "HyperParameters"):
        for name in ("sagemaker_program", "sagemaker_submit_directory"):
            definition.get(field, {}).pop(name, None)
    return request


def model_of(memory: MemoryPorts, name: str) -> Any:
    content = memory.stored["bucket", f"output/{name}/output/model.tar.gz"]
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        file = archive.extractfile("model.json")
        assert file is not None
        return json.load(file)


@pytest.mark.timeout(120)
def test_k_means_is_tuned_by_its_distances(sagemaker: Any, memory: MemoryPorts) -> None:
    ranges = {"IntegerParameterRanges": [{"Name": "k", "MinValue": "2", "MaxValue": "6"}]}
    request = tuning_job("clusters", jobs=3, ranges=ranges, static={"feature_dim": "4"})
    objective = {"Type": "Minimize", "MetricName": "test:ssd"}
    request["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"] = objective
    sagemaker.create_hyper_parameter_tuning_job(**job(request, "kmeans", "iris"))
    assert memory.await_status("clusters", "Completed", "Failed") == "Completed", memory.lines
    best = describe(sagemaker, "clusters")["BestTrainingJob"]
    centers = np.array(model_of(memory, best["TrainingJobName"])["centers"])
    assert centers.shape == (int(best["TunedHyperParameters"]["k"]), 4)
    squares = ((FEATURES[1::2, None] - centers) ** 2).sum(2).min(1)
    found = best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    assert found == pytest.approx(squares.sum(), rel=1e-5)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind_of_data", ["records", "csv"])
def test_the_linear_learner_is_tuned(
    sagemaker: Any, memory: MemoryPorts, kind_of_data: str
) -> None:
    bounds = {"Name": "learning_rate", "MinValue": "0.01", "MaxValue": "0.3"}
    kind = "binary_classifier" if kind_of_data == "records" else "multiclass_classifier"
    static = {"predictor_type": kind, "mini_batch_size": "20", "epochs": "20"}
    static |= {"num_classes": "3"} if kind_of_data == "csv" else {"feature_dim": "4"}
    request = tuning_job(
        "linear", jobs=2, ranges={"ContinuousParameterRanges": [bounds]}, static=static
    )
    metric = "test:roc_auc_score" if kind_of_data == "records" else "test:multiclass_accuracy"
    objective = {"Type": "Maximize", "MetricName": metric}
    request["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"] = objective
    content = ("iris", "") if kind_of_data == "records" else ("iris-csv", "text/csv")
    sagemaker.create_hyper_parameter_tuning_job(**job(request, "linear-learner", *content))
    assert memory.await_status("linear", "Completed", "Failed") == "Completed", memory.lines
    best = describe(sagemaker, "linear")["BestTrainingJob"]
    assert best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] > 0.8
    model = model_of(memory, best["TrainingJobName"])
    scores = FEATURES @ np.array(model["weights"]) + model["bias"]
    right = (
        (scores[:, 0] > model["threshold"]) == (CLASSES > 0)
        if kind_of_data == "records"
        else scores.argmax(1) == CLASSES
    )
    assert right.mean() > 0.8


@pytest.mark.timeout(120)
def test_wrong_requests_fail_with_a_client_error(sagemaker: Any, memory: MemoryPorts) -> None:
    cases = {
        "missing": ("kmeans", {"k": "2"}, "No value(s) were specified for 'feature_dim' which are"),
        "value": ("kmeans", {"k": "two", "feature_dim": "4"}, "'two' is not a valid value"),
        "width": ("kmeans", {"k": "2", "feature_dim": "7"}, "has 4 features, not 7"),
        "unknown": (
            "linear-learner", {"predictor_type": "regressor", "eta": "1"},
            "Additional hyperparameters are not allowed ('eta' was unexpected)",
        ),
    }  # fmt: skip
    for name, (image, hyperparameters, _) in cases.items():
        request = job(training_job(name), image, "iris")
        request["HyperParameters"] = hyperparameters
        sagemaker.create_training_job(**request)
    instances = job(training_job("instances", k="2", feature_dim="4"), "kmeans", "iris")
    instances["HyperParameters"].pop("lr")
    instances["ResourceConfig"]["InstanceCount"] = 2
    sagemaker.create_training_job(**instances)
    expected = {name: said for name, (_, _, said) in cases.items()}
    for name, said in (expected | {"instances": "runs kmeans on one instance"}).items():
        reason = ended(sagemaker, name)["FailureReason"]
        assert reason.startswith("ClientError: ")
        assert said in reason


@pytest.mark.timeout(60)
def test_an_interpreter_without_numpy_is_named(
    start: Start, session: Session, memory: MemoryPorts
) -> None:
    memory.stored["bucket", "iris/train"] = memory.stored["bucket", "iris/test"] = b""
    client = client_of(start(), session)  # an interpreter without packages
    request = job(training_job("without"), "linear-learner", "iris")
    request["HyperParameters"] = {"predictor_type": "regressor"}
    client.create_training_job(**request)
    reason = ended(client, "without")["FailureReason"]
    assert reason.endswith("has no numpy; install it: pip install numpy")
