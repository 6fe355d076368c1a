"""The function runs under AWS's Lambda emulator and runtime client with an empty python3.13.

Only the zip file in /var/task and the layer in /opt are present. The embedded cloud stands for AWS.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cold_start import DEPLOYMENT
from benchmarks.emulator import PYTHON, cold_and_warm, prepare, running
from infra.source import write_function
from tests.support.deployed_stack import Deployed

pytestmark = pytest.mark.skipif(PYTHON is None, reason="no python3.13 on this machine")


def test_the_zip_file_and_its_layer_complete_a_cycle_under_awss_emulator(
    deployed: Deployed, tmp_path: Path
) -> None:
    name = deployed.outputs["DispatcherFunctionName"]
    function = deployed.client("lambda").get_function_configuration(FunctionName=name)
    environment = function["Environment"]["Variables"] | deployed.cloud.env
    write_function(tmp_path, DEPLOYMENT, str(PYTHON))

    with running(prepare(), tmp_path, "hpo_dispatcher.handler.handler", environment) as port:
        answers, _ = cold_and_warm(port)  # benchmarks/cold_start.py measures the times

    assert all("errorMessage" not in answer for answer in answers), answers
    assert any(answer["limit"] == 10 for answer in answers), answers
