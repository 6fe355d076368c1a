"""Tests of the processes that train.py starts and of their communication backend."""

from __future__ import annotations

import json
import sys
import types

import pytest
import torch

import train
from credit_default import launch
from credit_default.distributed import World
from credit_default.hosts import hosts
from credit_default.launch import choose_backend, torchrun_command

TWO_HOSTS = {"SM_HOSTS": json.dumps(["algo-1", "algo-2"]), "SM_CURRENT_HOST": "algo-2"}
FITTING = {"SM_CURRENT_INSTANCE_TYPE": launch.SMDDP_INSTANCES[0]}


@pytest.fixture
def smddp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that SageMaker's library is installed."""
    names = launch.SMDDP.split(".")
    for depth in range(1, len(names) + 1):
        name = ".".join(names[:depth])
        module = types.ModuleType(name)
        module.__spec__ = types.SimpleNamespace(name=name)  # type: ignore[assignment]
        module.__path__ = []
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("smddp")
def test_smddp_is_used_on_the_instance_types_it_supports() -> None:
    name, why = choose_backend("cuda", 1, FITTING)
    assert (name, why) == ("smddp", "SageMaker's library for this instance type")


@pytest.mark.usefixtures("smddp")
def test_smddp_is_not_used_on_any_other_instance_type() -> None:
    assert choose_backend("cuda", 1, {"SM_CURRENT_INSTANCE_TYPE": "ml.g5.xlarge"})[0] == "nccl"


def test_nccl_is_used_where_smddp_is_not_installed() -> None:
    assert choose_backend("cuda", 1, FITTING) == ("nccl", "smddp is not available")


def test_processes_on_cpu_or_on_one_device_use_gloo() -> None:
    assert choose_backend("cpu", 1, FITTING)[0] == "gloo"
    assert choose_backend("cuda", 2, FITTING)[0] == "gloo"


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Simulate two torchrun processes on GPUs and return the backends that they joined over."""
    backends: list[str] = []

    def join(name: str) -> World:
        backends.append(name)
        return World(0, 2)

    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", **FITTING}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    monkeypatch.setattr(train, "join", join)
    monkeypatch.setattr(train, "run", lambda *_, **__: None)
    return backends


@pytest.mark.usefixtures("smddp")
def test_train_prints_one_line_that_it_uses_smddp(
    joined: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    train.main(["--data-dir", "nowhere"])
    log = "2 processes over smddp: SageMaker's library for this instance type\n"
    assert (joined, capsys.readouterr().err) == (["smddp"], log)


def test_train_prints_one_line_that_it_uses_nccl(
    joined: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    train.main(["--data-dir", "nowhere"])
    log = "2 processes over nccl: smddp is not available\n"
    assert (joined, capsys.readouterr().err) == (["nccl"], log)


def test_one_process_does_not_start_torchrun() -> None:
    assert torchrun_command("train.py", [], {}, 1) is None


def test_one_host_starts_one_process_per_gpu() -> None:
    started = torchrun_command("train.py", ["--lr", "1"], {}, 4)
    assert started is not None
    assert started[1:3] == ["-m", "torch.distributed.run"]
    assert started[3:] == ["--nproc-per-node=4", "--standalone", "train.py", "--lr", "1"]


def test_each_of_several_hosts_starts_its_processes_and_joins_the_first_host() -> None:
    started = torchrun_command("train.py", [], TWO_HOSTS, 8)
    assert started is not None
    assert {
        "--nproc-per-node=8",
        "--nnodes=2",
        "--node-rank=1",
        "--master-addr=algo-1",
    } < set(started)


def test_hosts_are_sorted_by_their_number() -> None:
    names = [f"algo-{number}" for number in (10, 2, 1)]
    assert hosts({"SM_HOSTS": json.dumps(names)}) == ["algo-1", "algo-2", "algo-10"]
