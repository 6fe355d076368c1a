"""Scripts with a requirements.txt run in an environment that has its packages."""

from __future__ import annotations

import importlib.util
import socket
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.support.memory_endpoint import (
    MemoryPorts,
    Start,
    archive,
    client_of,
    ended,
    training_job,
    tuning_job,
)
from tests.support.sdk_drivers import model_trainer_job

# What a script prints that needs a package of its own, and one of the user's Python.
USES = "import answers, yaml; print(f'auc={answers.VALUE}')"


def write_wheel(folder: Path, version: int) -> None:
    """Write a version of a package whose VALUE is a tenth of its version."""
    information = f"answers-{version}.dist-info"
    files = {
        "answers.py": f"VALUE = 0.{version}\n",
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: answers\nVersion: {version}\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    recorded = "".join(f"{name},,\n" for name in [*files, f"{information}/RECORD"])
    with zipfile.ZipFile(folder / f"answers-{version}-py3-none-any.whl", "w") as wheel:
        for name, content in {**files, f"{information}/RECORD": recorded}.items():
            wheel.writestr(name, content)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    for version in (1, 2):
        write_wheel(folder, version)
    return folder


@pytest.fixture
def environments(tmp_path: Path) -> Path:
    return tmp_path / "environments"


@pytest.fixture
def settings(environments: Path, wheels: Path) -> dict[str, Any]:
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": "/dev/null"}
    return {"environments": environments, "pip": pip}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return this interpreter without torch, whose import takes most of a short job's time."""
    folder = tmp_path_factory.mktemp("python")
    (folder / "torch.py").write_text("raise ImportError\n")
    file = folder / "python"
    file.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n')
    file.chmod(0o755)
    return file


@pytest.fixture
def sagemaker(start: Start, session: boto3.Session, settings: dict[str, Any], python: Path) -> Any:
    return client_of(start(interpreter=python, behavior=settings), session)


def has(memory: MemoryPorts, script: str, requirements: str, **files: str) -> None:
    sources = {"train.py": script, "requirements.txt": requirements, **files}
    memory.stored["bucket", "source.tar.gz"] = archive(sources)


def patient(name: str) -> dict[str, Any]:
    """Return a training job whose time also suffices for an installation on a busy machine."""
    return training_job(name) | {"StoppingCondition": {"MaxRuntimeInSeconds": 600}}


def said(memory: MemoryPorts, name: str) -> list[str]:
    return [line for stream, lines in memory.lines.items() if name in stream for line in lines]


def test_a_script_imports_what_its_requirements_name(
    sagemaker: Any, memory: MemoryPorts, environments: Path
) -> None:
    has(memory, USES, "answers==1\n")
    sagemaker.create_training_job(**patient("first"))
    done = ended(sagemaker, "first")
    assert done["TrainingJobStatus"] == "Completed", done
    assert done["FinalMetricDataList"][0]["Value"] == pytest.approx(0.1)
    assert any("Successfully installed answers-1" in line for line in said(memory, "first"))
    assert importlib.util.find_spec("answers") is None  # the user's Python is as before

    has(memory, USES, "answers==2\n")
    sagemaker.create_training_job(**patient("second"))
    assert ended(sagemaker, "second")["FinalMetricDataList"][0]["Value"] == pytest.approx(0.2)
    assert len(list(environments.glob("training-*.lock"))) == 2


def test_training_jobs_that_run_at_once_share_one_installation(
    sagemaker: Any, memory: MemoryPorts, environments: Path
) -> None:
    has(memory, USES, "answers\n")
    request = tuning_job("shared", jobs=4, parallel=4)
    request["TrainingJobDefinition"]["StoppingCondition"] = {"MaxRuntimeInSeconds": 600}
    sagemaker.create_hyper_parameter_tuning_job(**request)
    assert memory.await_status("shared", "Completed", "Failed", seconds=300) == "Completed"
    installations = [line for line in said(memory, "shared") if "Successfully installed" in line]
    assert installations == ["Successfully installed answers-2"]
    assert len([each for each in environments.iterdir() if each.is_dir()]) == 1


def test_a_package_that_cannot_be_installed_is_the_failure_reason_in_one_line(
    sagemaker: Any, memory: MemoryPorts, environments: Path, wheels: Path
) -> None:
    has(memory, USES, "answers==3\n")
    sagemaker.create_training_job(**patient("missing"))
    done = ended(sagemaker, "missing")
    assert done["TrainingJobStatus"] == "Failed"
    assert done["FailureReason"] == (
        "AlgorithmError: InstallRequirementsError: requirements.txt: No matching distribution "
        "found for answers==3. Check the file, and that pip on this machine reaches a package index"
    )
    assert any("from versions: 1, 2" in line for line in said(memory, "missing"))

    write_wheel(wheels, 3)  # the next job tries again
    sagemaker.create_training_job(**patient("again"))
    assert ended(sagemaker, "again")["TrainingJobStatus"] == "Completed"


def test_requirements_may_refer_to_files_beside_the_script(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    has(memory, USES, "-r more/base.txt\n", **{"more/base.txt": "answers==1"})
    sagemaker.create_training_job(**patient("nested"))
    assert ended(sagemaker, "nested")["FinalMetricDataList"][0]["Value"] == pytest.approx(0.1)

    has(memory, USES, "-r more/base.txt\n", **{"more/base.txt": "answers==2"})
    sagemaker.create_training_job(**patient("changed"))
    assert ended(sagemaker, "changed")["FinalMetricDataList"][0]["Value"] == pytest.approx(0.2)


def test_a_job_with_network_isolation_has_no_package_index(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    has(memory, USES, "answers==1\n")
    sagemaker.create_training_job(**patient("open"))
    assert ended(sagemaker, "open")["TrainingJobStatus"] == "Completed"
    sagemaker.create_training_job(**patient("closed"), EnableNetworkIsolation=True)
    reason = ended(sagemaker, "closed")["FailureReason"]
    assert "network isolation cannot download packages" in reason


@pytest.fixture
def silent_index() -> Iterator[socket.socket]:
    """Return a package index that accepts a connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        yield listener


def test_a_job_can_be_stopped_while_packages_are_installed(
    start: Start, session: boto3.Session, memory: MemoryPorts, environments: Path,
    silent_index: socket.socket, python: Path,
) -> None:  # fmt: skip
    port = silent_index.getsockname()[1]
    pip = {"PIP_INDEX_URL": f"http://127.0.0.1:{port}/simple", "PIP_CONFIG_FILE": "/dev/null"}
    behavior = {"environments": environments, "pip": pip}
    sagemaker = client_of(start(interpreter=python, behavior=behavior), session)
    has(memory, USES, "answers\n")
    sagemaker.create_training_job(**patient("waits"))
    connection, _ = silent_index.accept()  # pip has asked
    with connection:
        sagemaker.create_training_job(**patient("waits-for-it"))
        for name in ("waits-for-it", "waits"):
            sagemaker.stop_training_job(TrainingJobName=name)
            assert ended(sagemaker, name)["TrainingJobStatus"] == "Stopped"


def test_the_scripts_of_the_sdk_install_nothing_into_the_users_python(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    job = model_trainer_job(memory, "by-sdk", USES, requirements={"needs.txt": "answers==2\n"})
    sagemaker.create_training_job(**job | {"StoppingCondition": {"MaxRuntimeInSeconds": 600}})
    done = ended(sagemaker, "by-sdk")
    assert done["TrainingJobStatus"] == "Completed", said(memory, "by-sdk")
    assert done["FinalMetricDataList"][0]["Value"] == pytest.approx(0.2)
    assert importlib.util.find_spec("answers") is None
