"""Every job of the tuning engine ends, whatever its own code raises.

One call of one function of the engine raises. A tuning job and a training job then end, in this
process or after a restart, and the engine runs the next job.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hpoq.local import sagemaker
from tests.support.engine_scene import EngineScene, engine_scene
from tests.support.memory_endpoint import training_job, tuning_job

# The last line of defense, and the parts that other programs call.
EXEMPT = {"errors", "settings", "ports", "endpoint", "schema", "constraints", "engine"}
# Without threads or a way to end them there is no engine.
NO_ENGINE = {"TrainingJobs.open", "TrainingJobs.close", "Store.close", "TrainingRunner.close"}
UNUSED = ("xgboost_algorithm", "warm_parent")  # run by other interpreters


def modules() -> Iterator[Any]:
    for info in pkgutil.walk_packages(sagemaker.__path__, f"{sagemaker.__name__}."):
        last = info.name.rpartition(".")[2]
        if not info.ispkg and last not in EXEMPT and last not in UNUSED:
            yield importlib.import_module(info.name)


def callables() -> Iterator[tuple[str, str]]:
    """Yield module and qualified name of each public function and method of the engine."""
    for module in modules():
        for name, found in vars(module).items():
            if name.startswith("_") or getattr(found, "__module__", "") != module.__name__:
                continue
            if inspect.isfunction(found):
                yield module.__name__, name
            elif inspect.isclass(found):
                for method, function in vars(found).items():
                    is_public = inspect.isfunction(function) and not method.startswith("_")
                    if is_public and f"{name}.{method}" not in NO_ENGINE:
                        yield module.__name__, f"{name}.{method}"


class Raising:
    """A function whose ``number``-th call raises."""

    def __init__(self, original: Callable[..., Any], number: int) -> None:
        self._original = original
        self._left = number
        self.raised = False

    def __get__(self, instance: Any, owner: Any) -> Callable[..., Any]:
        return self if instance is None else lambda *a, **k: self(instance, *a, **k)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            self.raised = True
            raise RuntimeError("a fault of the engine")
        return self._original(*arguments, **named)


def install(patch: pytest.MonkeyPatch, module: str, name: str, number: int) -> Raising:
    """Replace a function wherever it was imported, or a method of a class."""
    owner, _, method = name.rpartition(".")
    if owner:
        class_ = getattr(sys.modules[module], owner)
        raising = Raising(vars(class_)[method], number)
        patch.setattr(class_, method, raising)
        return raising
    original = getattr(sys.modules[module], name)
    raising = Raising(original, number)
    for each in list(sys.modules.values()):
        if getattr(each, "__name__", "").startswith(sagemaker.__name__):
            for key in [key for key, value in vars(each).items() if value is original]:
                patch.setattr(each, key, raising)
    return raising


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineScene]:
    with engine_scene(tmp_path, monkeypatch) as made:
        yield made


def use(scene: EngineScene, number: int) -> None:
    """Create jobs that end and jobs that are held, and stop those; each call may fail."""
    ended = tuning_job(f"tune-{number}", jobs=3)
    held = tuning_job(
        f"held-{number}",
        Strategy="Bayesian",
        TrainingJobEarlyStoppingType="Auto",
        static={"hold": ""},
    )
    scene.ask("CreateHyperParameterTuningJob", **ended)
    scene.ask("CreateHyperParameterTuningJob", **held)
    scene.ask("CreateTrainingJob", **training_job(f"alone-{number}"))
    scene.ask("CreateTrainingJob", **training_job(f"kept-{number}", hold=""))
    scene.ask(
        "StopHyperParameterTuningJob",
        HyperParameterTuningJobName=held["HyperParameterTuningJobName"],
    )
    scene.ask("StopTrainingJob", TrainingJobName=f"kept-{number}")


@pytest.mark.parametrize(("module", "name"), list(callables()))
def test_every_job_ends_whatever_one_call_of_the_engine_raises(
    scene: EngineScene, monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    for number in (1, 2):
        with monkeypatch.context() as patch:
            raising = install(patch, module, name, number)
            use(scene, number)
            if not scene.all_end(0.3):  # the fault may have hit a call that stops a job
                scene.stop_all()
            if not scene.all_end(5):  # on a busy machine, one of those calls
                scene.stop_all()
                assert scene.all_end(60), scene.unfinished()
            scene.ask("DeleteHyperParameterTuningJob", HyperParameterTuningJobName=f"tune-{number}")
            scene.restart()
        assert scene.all_end(60), scene.unfinished()
        if not raising.raised:
            return
