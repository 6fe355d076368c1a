"""Tests of Ray's processes on a host, without Ray."""

from __future__ import annotations

import socket

import pytest

from credit_default.hosts import HostMissing
from ray_tune.node import NodeSettings, port_of, ray_node


def test_a_host_without_an_address_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: str) -> str:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("socket.gethostbyname", unknown)
    with (
        pytest.raises(HostMissing, match=r"the address of this host, algo-1, is unknown \(.*known"),
        ray_node("--head", host="algo-1", settings=NodeSettings(cpus=1)),
    ):
        pass


def test_all_hosts_of_a_training_job_know_a_port_that_other_jobs_do_not_use() -> None:
    jobs = [{"TRAINING_JOB_ARN": f"arn:aws:sagemaker:::training-job/{name}"} for name in "ab"]
    first, second = ({port_of({**job, "SM_CURRENT_HOST": h}) for h in "12"} for job in jobs)
    assert len(first) == len(second) == 1
    assert first != second
    assert port_of({}) == 6379
