"""The best model of a search so far, which trials on any host write to the first host."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import ray
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from credit_default.files import write_atomically


class BestModel:
    """The model file of the trial with the highest metric; an actor on the first host.

    A search that is killed leaves this file. At its end, a search replaces it.
    """

    def __init__(self, paths: Sequence[Path], metric: float) -> None:
        self.paths, self.metric = paths, metric

    def is_exceeded_by(self, metric: float) -> bool:
        """Return whether a model with this metric would be written."""
        return metric > self.metric

    def write(self, metric: float, model: bytes) -> None:
        """Write the content of a model file, unless a better one has been written."""
        if metric > self.metric:
            for path in self.paths:
                write_atomically(path, model)
            self.metric = metric

    def close(self) -> None:
        """Write no further model."""
        self.metric = float("inf")


def start_best_model(paths: Sequence[Path], metric: float) -> ActorHandle[BestModel]:
    """Start the actor on this host.

    Args:
        paths: the files to write.
        metric: the metric of the model that the files contain; minus infinity without one.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(BestModel).options(num_cpus=0, scheduling_strategy=here)
    return cast(ActorHandle[BestModel], actor.remote([path.resolve() for path in paths], metric))
