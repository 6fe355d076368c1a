"""k-means finds the centers of clusters, and prints the distances from them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.metrics import pairwise_distances_argmin_min

from hpoq.local.sagemaker.built_in_algorithms import KMEANS as ALGORITHM
from hpoq.local.sagemaker.training.programs.amazon_algorithms.errors import ClientFault
from hpoq.local.sagemaker.training.programs.amazon_algorithms.hyperparameters import KMEANS, parsed
from hpoq.local.sagemaker.training.programs.amazon_algorithms.kmeans import train
from hpoq.local.sagemaker.training.programs.amazon_algorithms.record_io import DataRows

CENTERS = np.array([[-8.0, 0.0], [0.0, 8.0], [8.0, 0.0]])
POINTS, _ = make_blobs(600, centers=CENTERS, cluster_std=0.5, random_state=1)
CHANNELS = {
    "train": DataRows(POINTS[:500], np.empty(0)),
    "test": DataRows(POINTS[500:], np.empty(0)),
}


def trained(log: list[str] | None = None, **given: str) -> np.ndarray:  # type: ignore[type-arg]
    least = {"k": "3", "feature_dim": "2", "mini_batch_size": "100", "local_lloyd_num_trials": "2"}
    values = parsed(KMEANS, least | given)
    return train(values, CHANNELS, (log if log is not None else []).append, 1)


@pytest.mark.parametrize(
    "given",
    [
        {"init_method": "random"},
        {"init_method": "kmeans++", "extra_center_factor": "1"},
        {"half_life_time_size": "200", "epochs": "2"},
        {"local_lloyd_init_method": "random"},
    ],
)
def test_the_centers_of_separate_clusters_are_found(given: dict[str, str]) -> None:
    nearest, distances = pairwise_distances_argmin_min(CENTERS, trained(**given))
    assert set(nearest) == {0, 1, 2}
    assert distances.max() < 0.5


# k-means-tuning.html: mean and sum of the squared distances from the closest center.
def test_the_log_has_the_distances_of_the_test_channel() -> None:
    log: list[str] = []
    centers = trained(log, eval_metrics='["msd", "ssd"]')
    _, distances = pairwise_distances_argmin_min(POINTS[500:], centers)
    for name, expected in (("msd", (distances**2).mean()), ("ssd", (distances**2).sum())):
        pattern = re.compile(ALGORITHM.metrics[f"test:{name}"])
        (found,) = (match[1] for line in log if (match := pattern.search(line)))
        assert float(found) == pytest.approx(expected)


def test_fewer_rows_than_clusters_are_refused() -> None:
    with pytest.raises(ClientFault, match="has 500 rows, fewer than k=501"):
        trained(k="501")
