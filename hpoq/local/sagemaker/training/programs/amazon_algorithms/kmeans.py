"""Amazon's k-means: mini-batches move many centers, which scikit-learn then reduces to k.

https://docs.aws.amazon.com/sagemaker/latest/dg/algo-kmeans-tech-notes.html
AWS does not publish what "auto" means; here, the constants below.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ClientFault
from .hyperparameters import AUTO
from .record_io import DataRows

Array = np.ndarray[Any, np.dtype[np.float64]]
Values = Mapping[str, Any]
Say = Callable[[str], None]
# What "auto" means here.
EXTRA_CENTERS, TRIALS = 10, 10


def train(values: Values, channels: Mapping[str, DataRows], say: Say, seed: int) -> Array:
    """Return the centers for the channel ``train``, and say their distances from ``test``.

    Args:
        values: of the hyperparameters.
        channels: ``train``, and ``test`` if there is one.
        say: writes a line to the log.
        seed: of the first centers.

    Raises:
        ClientFault: if there are fewer rows than centers.
    """
    features = channels["train"].features
    if len(features) < values["k"]:
        raise ClientFault(f"The channel train has {len(features)} rows, fewer than k={values['k']}")
    centers, counts = _many_centers(values, features, say, np.random.default_rng(seed))
    found = _reduced(values, centers, counts, seed)
    for name, rows in channels.items():
        squares = _nearest(rows.features, found)[1]
        measured = {"msd": float(squares.mean()), "ssd": float(squares.sum())}
        for metric in values["eval_metrics"]:
            say(f"#quality_metric: host=algo-1, {name} {metric} <loss>={measured[metric]!r}")
    return found


def save(centers: Array, file: Path) -> None:
    """Write the centers as JSON."""
    file.write_text(json.dumps({"centers": centers.tolist()}))


def _many_centers(
    values: Values, features: Array, say: Say, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Return centers that mini-batches have moved, and the weight of the rows at each."""
    factor, size = values["extra_center_factor"], values["mini_batch_size"]
    factor = EXTRA_CENTERS if factor == AUTO else factor
    count = min(values["k"] * factor, len(features))
    centers = _first_centers(features, count, values["init_method"], generator)
    weights = np.zeros(count)
    half_life = values["half_life_time_size"]
    for epoch in range(values["epochs"]):
        order = generator.permutation(len(features))
        for first in range(0, len(order), size):
            batch = features[order[first : first + size]]
            nearest, _ = _nearest(batch, centers)
            added = np.bincount(nearest, minlength=count).astype(float)
            sums = np.zeros_like(centers)
            np.add.at(sums, nearest, batch)
            if half_life:
                weights *= 0.5 ** (len(batch) / half_life)
            total = weights + added
            moved = total > 0
            centers[moved] = (centers * weights[:, None] + sums)[moved] / total[moved, None]
            weights = total
        done = 100 * (epoch + 1) / values["epochs"]
        say(f"#progress_metric: host=algo-1, completed {done:g} %")
    return centers, weights


def _first_centers(
    features: Array, count: int, method: str, generator: np.random.Generator
) -> Array:
    if method == "random":
        return features[generator.choice(len(features), count, replace=False)].copy()
    from sklearn.cluster import kmeans_plusplus

    centers, _ = kmeans_plusplus(features, count, random_state=int(generator.integers(2**31)))
    return np.array(centers, dtype=np.float64)


def _reduced(values: Values, centers: Array, weights: Array, seed: int) -> Array:
    """Return k centers of the centers, by Lloyd's algorithm."""
    from sklearn.cluster import KMeans

    used = weights > 0
    if used.sum() < values["k"]:
        used[:] = True
        weights = weights + 1e-12
    trials = values["local_lloyd_num_trials"]
    init = {"kmeans++": "k-means++"}.get(values["local_lloyd_init_method"], "random")
    reduced = KMeans(
        values["k"],
        init=init,
        n_init=TRIALS if trials == AUTO else trials,
        max_iter=values["local_lloyd_max_iter"],
        tol=values["local_lloyd_tol"],
        random_state=seed,
    ).fit(centers[used], sample_weight=weights[used])
    return np.asarray(reduced.cluster_centers_, dtype=np.float64)


def _nearest(features: Array, centers: Array) -> tuple[Any, Array]:
    """Return the number of the nearest center of each row, and the square of its distance."""
    from sklearn.metrics import pairwise_distances_argmin_min

    nearest, distances = pairwise_distances_argmin_min(features, centers, metric="sqeuclidean")
    return nearest, np.asarray(distances)
