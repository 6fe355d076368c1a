"""What processes are started, and what they talk over."""

from __future__ import annotations

import json
import sys
import types

import pytest

import launch
from distributed import hosts
from launch import backend, torchrun

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


def test_one_process_starts_no_other() -> None:
    assert torchrun("train.py", [], {}, 1) is None


def test_one_process_a_gpu_meets_on_one_host() -> None:
    command = torchrun("train.py", ["--lr", "1"], {}, 4)
    assert command is not None
    assert command[1:3] == ["-m", "torch.distributed.run"]
    assert command[3:] == ["--nproc-per-node=4", "--standalone", "train.py", "--lr", "1"]


def test_each_host_starts_its_own_and_meets_at_the_first() -> None:
    command = torchrun("train.py", [], TWO_HOSTS, 8)
    assert command is not None
    assert {
        "--nproc-per-node=8",
        "--nnodes=2",
        "--node-rank=1",
        "--master-addr=algo-1",
    } < set(command)


def test_hosts_are_ordered_by_their_number() -> None:
    names = [f"algo-{number}" for number in (10, 2, 1)]
    assert hosts({"SM_HOSTS": json.dumps(names)}) == ["algo-1", "algo-2", "algo-10"]
