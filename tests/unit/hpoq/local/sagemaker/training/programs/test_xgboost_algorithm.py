"""The built-in XGBoost algorithm: its hyperparameters, data and metrics."""

from __future__ import annotations

import io
import json
import random
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from boto3 import Session
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from hpoq.local.lifecycle.processes import wait_until
from hpoq.local.sagemaker import EngineSettings, SageMakerEndpoint
from hpoq.local.sagemaker.built_in_algorithms import ALGORITHMS, Algorithm
from hpoq.local.sagemaker.training.programs import xgboost_algorithm as algorithm
from hpoq.local.sagemaker.training.programs.xgboost_algorithm import CustomerError
from tests.support.memory_endpoint import MemoryPorts, client_of

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
FIXED = {"num_round": "4", "objective": "binary:logistic", "eval_metric": "auc,f1", "seed": "1"}


def rows(count: int, seed: int) -> list[list[float]]:
    """Return rows of a label and three features; the first feature mostly determines the label."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        features = [draw.random() for _ in range(3)]
        found.append([float(features[0] + draw.gauss(0, 0.3) > 0.5), *features])
    return found


def as_csv(table: list[list[float]]) -> bytes:
    return "".join(",".join(map(str, row)) + "\n" for row in table).encode()


def as_libsvm(table: list[list[float]]) -> bytes:
    lines = (
        f"{label:g} " + " ".join(f"{i}:{value}" for i, value in enumerate(features))
        for label, *features in table
    )
    return ("\n".join(lines) + "\n").encode()


@pytest.fixture(scope="module")
def memory() -> MemoryPorts:
    return MemoryPorts()


@pytest.fixture(scope="module")
def sagemaker(
    memory: MemoryPorts, session: Session, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """Return a client of one endpoint for all tests, whose first process imports XGBoost."""
    settings = EngineSettings(
        region="eu-central-1", account="123456789012", interpreter=Path(sys.executable)
    )
    endpoint = SageMakerEndpoint(tmp_path_factory.mktemp("home"), memory.ports(), settings)
    endpoint.start()
    yield client_of(endpoint, session)
    endpoint.close()


@pytest.fixture(scope="module")
def data(memory: MemoryPorts) -> dict[str, list[list[float]]]:
    tables = {"train": rows(200, 1), "validation": rows(100, 2)}
    for name, table in tables.items():
        memory.stored["bucket", f"csv/{name}/part-0.csv"] = as_csv(table)
        memory.stored["bucket", f"libsvm/{name}/part-0.libsvm"] = as_libsvm(table)
    return tables


def definition(kind: str, *channels: str) -> dict[str, Any]:
    return {
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": "arn:aws:iam::123456789012:role/training",
        "InputDataConfig": [
            {
                "ChannelName": name,
                "ContentType": f"text/{kind}",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"s3://bucket/{kind}/{name}",
                    }
                },
            }
            for name in channels
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/output"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }


def trained(sagemaker: Any, name: str, parameters: dict[str, str], **changes: Any) -> Any:
    request = {**definition("libsvm", "train", "validation"), **changes}
    sagemaker.create_training_job(TrainingJobName=name, HyperParameters=parameters, **request)

    def described() -> Any:
        return sagemaker.describe_training_job(TrainingJobName=name)

    assert wait_until(lambda: described()["TrainingJobStatus"] != "InProgress", 60)
    return described()


def booster(memory: MemoryPorts, uri: str) -> xgboost.Booster:
    packed = memory.stored["bucket", uri.removeprefix("s3://bucket/")]
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.getnames() == ["xgboost-model"]
        model = archive.extractfile("xgboost-model")
        assert model is not None
        return xgboost.Booster(model_file=bytearray(model.read()))


def metrics(job: Any) -> dict[str, float]:
    return {each["MetricName"]: each["Value"] for each in job["FinalMetricDataList"]}


def test_the_best_model_of_a_tuning_job_has_the_reported_score(
    sagemaker: Any, memory: MemoryPorts, data: dict[str, list[list[float]]]
) -> None:
    ranges = {
        "ContinuousParameterRanges": [{"Name": "eta", "MinValue": "0.01", "MaxValue": "0.5"}],
        "IntegerParameterRanges": [{"Name": "max_depth", "MinValue": "1", "MaxValue": "5"}],
    }
    sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="boosted",
        HyperParameterTuningJobConfig={
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {
                "Type": "Maximize",
                "MetricName": "validation:auc",
            },
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 1},
            "ParameterRanges": ranges,
        },
        TrainingJobDefinition={
            **definition("csv", "train", "validation"),
            "StaticHyperParameters": {"num_round": "4", "objective": "binary:logistic"},
        },
    )
    assert memory.await_status("boosted", "Completed", "Failed") == "Completed"

    found = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="boosted")
    best = found["BestTrainingJob"]
    job = sagemaker.describe_training_job(TrainingJobName=best["TrainingJobName"])
    table = np.array(data["validation"])
    model = booster(memory, job["ModelArtifacts"]["S3ModelArtifacts"])
    score = roc_auc_score(table[:, 0], model.predict(xgboost.DMatrix(table[:, 1:])))
    said = best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    assert said == pytest.approx(score, abs=1e-4)
    (stream,) = (s for s in memory.lines if s.startswith(best["TrainingJobName"] + "/algo-1-"))
    assert f"#011validation-auc:{said:.5f}" in memory.lines[stream][-1]


def test_libsvm_data_both_metrics_and_early_stopping_are_supported(
    sagemaker: Any, memory: MemoryPorts, data: dict[str, list[list[float]]]
) -> None:
    parameters = {
        **FIXED, "eval_metric": "rmse,precision", "num_round": "300", "early_stopping_rounds": "2"
    }  # fmt: skip
    job = trained(sagemaker, "libsvm", parameters)

    assert job["TrainingJobStatus"] == "Completed", job
    assert metrics(job).keys() == {
        f"{data}:{name}" for data in ("train", "validation") for name in ("rmse", "precision")
    }
    model = booster(memory, job["ModelArtifacts"]["S3ModelArtifacts"])
    assert model.num_features() == 3
    assert model.num_boosted_rounds() < 100


def test_several_instances_train_one_model(
    sagemaker: Any, memory: MemoryPorts, data: dict[str, list[list[float]]]
) -> None:
    request = definition("csv", "train")
    request["ResourceConfig"]["InstanceCount"] = 2
    source = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    source["S3DataDistributionType"] = "ShardedByS3Key"
    source["S3Uri"] = "s3://bucket/shards"
    memory.stored["bucket", "shards/part-0.csv"] = as_csv(data["train"])
    memory.stored["bucket", "shards/part-1.csv"] = as_csv(rows(50, 3))
    job = trained(sagemaker, "together", FIXED, **request)

    assert job["TrainingJobStatus"] == "Completed", job
    said = ["\n".join(lines) for name, lines in memory.lines.items() if "together" in name]
    assert sorted("200 rows" in text for text in said) == [False, True]
    assert sorted("50 rows" in text for text in said) == [False, True]
    model = booster(memory, job["ModelArtifacts"]["S3ModelArtifacts"])
    assert json.loads(model.get_dump(dump_format="json", with_stats=True)[0])["cover"] > 50


def test_an_unknown_hyperparameter_is_a_client_error(
    sagemaker: Any, data: dict[str, list[list[float]]]
) -> None:
    job = trained(sagemaker, "misspelt", {**FIXED, "max_dept": "3"})
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "ClientError: Extraneous hyperparameter found: max_dept"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"eta": "0.1"}, "num_round"),
        ({"num_round": "ten"}, "'ten' is not an integer"),
        ({"num_round": "1", "eta": "fast"}, "'fast' is not a number"),
        ({"num_round": "1", "objective": "multi:softmax"}, "num_class"),
    ],
)
def test_hyperparameters_are_checked_before_training(given: dict[str, str], problem: str) -> None:
    with pytest.raises(CustomerError, match=problem):
        algorithm.hyperparameters(given)


@pytest.mark.parametrize(
    ("content_type", "content", "problem"),
    [
        ("text/csv", "label,x\n1,2\n", "without a header"),
        ("text/libsvm", "1,2,3\n", "text/csv if it is CSV"),
        ("application/x-parquet", "", "not an accepted ContentType"),
    ],
)
def test_data_of_another_type_is_rejected_with_the_fix(
    tmp_path: Path, content_type: str, content: str, problem: str
) -> None:
    (tmp_path / "part-0").write_text(content)
    with pytest.raises(CustomerError, match=problem):
        algorithm.matrix(tmp_path, content_type, weights=False)


def test_weights_are_the_second_column_and_hidden_files_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1;0.5;3\n")
    (tmp_path / "b.csv").write_text("0;2;4\n")
    (tmp_path / "_SUCCESS").write_text("")
    found = algorithm.matrix(tmp_path, "text/csv; label_size=1", weights=True)
    assert (list(found.get_label()), list(found.get_weight())) == ([1.0, 0.0], [0.5, 2.0])
    assert algorithm.matrix(tmp_path / "nothing", "csv", weights=False) is None


def test_the_metrics_that_sagemaker_adds_match_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    labels, guesses = draw.integers(0, 3, 50), draw.random((50, 3))
    data = xgboost.DMatrix(guesses, label=labels)
    native, measure = algorithm.evaluation(["auc", "f1", "precision_macro", "recall_macro"])
    assert native == ["auc"]
    assert measure is not None
    said = dict(measure(guesses, data))
    of = {"average": "macro", "zero_division": 0}
    predicted = guesses.argmax(axis=1)
    assert said["f1"] == pytest.approx(f1_score(labels, predicted, **of))
    assert said["precision_macro"] == pytest.approx(precision_score(labels, predicted, **of))
    assert said["recall_macro"] == pytest.approx(recall_score(labels, predicted, **of))


def test_the_objective_of_a_tuning_job_is_always_a_metric() -> None:
    typed = {"eval_metric": "rmse", "_tuning_objective_metric": "validation:mae"}
    assert algorithm.metric_names(typed) == ["rmse", "mae"]


@pytest.mark.parametrize("each", ALGORITHMS, ids=lambda each: each.name)
def test_the_number_of_metric_definitions_is_within_the_limit_of_the_api(each: Algorithm) -> None:
    assert len(each.metrics) <= 40  # MetricDefinitions' upper bound
