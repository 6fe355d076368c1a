"""What processes are started, and what they talk over."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

import train
from credit_default import launch
from credit_default.distributed import World, hosts
from credit_default.launch import backend, torchrun
from tests.support.training_scripts import command

TWO_HOSTS = {"SM_HOSTS": json.dumps(["algo-1", "algo-2"]), "SM_CURRENT_HOST": "algo-2"}
FITTING = {"SM_CURRENT_INSTANCE_TYPE": launch.SMDDP_INSTANCES[0]}


@pytest.fixture
def smddp(monkeypatch: pytest.MonkeyPatch) -> None:
    """SageMaker's library is installed."""
    names = launch.SMDDP.split(".")
    for depth in range(1, len(names) + 1):
        name = ".".join(names[:depth])
        module = types.ModuleType(name)
        module.__spec__ = types.SimpleNamespace(name=name)  # type: ignore[assignment]
        module.__path__ = []
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("smddp")
def test_smddp_is_used_on_instances_that_have_it_and_said_to_be() -> None:
    name, why = backend("cuda", 1, FITTING)
    assert (name, why) == ("smddp", "SageMaker's library for this instance type")


@pytest.mark.usefixtures("smddp")
def test_smddp_is_left_alone_on_any_other_instance() -> None:
    assert backend("cuda", 1, {"SM_CURRENT_INSTANCE_TYPE": "ml.g5.xlarge"})[0] == "nccl"


def test_nccl_takes_over_where_smddp_is_not_installed() -> None:
    assert backend("cuda", 1, FITTING) == ("nccl", "smddp is not at hand")


def test_processes_on_cpu_or_on_one_device_talk_over_gloo() -> None:
    assert backend("cpu", 1, FITTING)[0] == "gloo"
    assert backend("cuda", 2, FITTING)[0] == "gloo"


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two processes on GPUs, as torchrun starts them; the backend that they have joined over."""
    over: list[str] = []

    def join(name: str) -> World:
        over.append(name)
        return World(0, 2)

    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", **FITTING}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    monkeypatch.setattr(train, "join", join)
    monkeypatch.setattr(train, "run", lambda *_, **__: None)
    return over


@pytest.mark.usefixtures("smddp")
def test_train_says_in_one_line_that_it_uses_what_sagemaker_has(
    joined: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    train.main(["--data-dir", "nowhere"])
    said = "2 processes over smddp: SageMaker's library for this instance type\n"
    assert (joined, capsys.readouterr().err) == (["smddp"], said)


def test_train_says_in_one_line_that_nccl_takes_its_place(
    joined: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    train.main(["--data-dir", "nowhere"])
    said = "2 processes over nccl: smddp is not at hand\n"
    assert (joined, capsys.readouterr().err) == (["nccl"], said)


def test_processes_on_cpu_say_in_one_line_that_they_use_gloo(small: Path, tmp_path: Path) -> None:
    chosen = {"device": "cpu", "processes": 2, "epochs": 1, "precision": "float32"}
    ended = subprocess.run(
        command("train.py", small, tmp_path, **chosen), capture_output=True, text=True, check=True
    )
    said = [line for line in ended.stderr.splitlines() if " over " in line]
    assert said == ["2 processes over gloo: the processes are on CPU"]


def test_one_process_starts_no_other() -> None:
    assert torchrun("train.py", [], {}, 1) is None


def test_one_process_a_gpu_meets_on_one_host() -> None:
    started = torchrun("train.py", ["--lr", "1"], {}, 4)
    assert started is not None
    assert started[1:3] == ["-m", "torch.distributed.run"]
    assert started[3:] == ["--nproc-per-node=4", "--standalone", "train.py", "--lr", "1"]


def test_each_host_starts_its_own_and_meets_at_the_first() -> None:
    started = torchrun("train.py", [], TWO_HOSTS, 8)
    assert started is not None
    assert {
        "--nproc-per-node=8",
        "--nnodes=2",
        "--node-rank=1",
        "--master-addr=algo-1",
    } < set(started)


def test_hosts_are_ordered_by_their_number() -> None:
    names = [f"algo-{number}" for number in (10, 2, 1)]
    assert hosts({"SM_HOSTS": json.dumps(names)}) == ["algo-1", "algo-2", "algo-10"]
