"""Fixtures that start one embedded cloud per session and deploy hpoq in it.

If ``HPOQ_TEST_HOME`` names a folder, the cloud keeps its files there, and the next run starts
faster.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpoq.local.cloud import Cloud
from hpoq.local.lifecycle.launch import STARTUP
from tests.support.deployed_stack import ROOT, TEAMS, Deployed, cloud

__all__ = ["cloud"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in Path(item.path).parents:
            item.add_marker(pytest.mark.cloud)


MEASURE = """
import os, sys
sys.path.append({packages!r})  # last, so that the packages of the process's own environment win
import coverage
measured = coverage.Coverage(config_file={config!r}, data_file={data!r}, data_suffix=True)
measured.start()
end = os._exit
def save_and_end(status):
    measured.stop()
    measured.save()
    end(status)
os._exit = save_and_end
"""


@pytest.fixture(scope="session", autouse=True)
def _server_is_measured(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Measure the coverage of the cloud's server process, too, under ``--cov``."""
    if not request.config.pluginmanager.hasplugin("_cov"):
        yield
        return
    startup = tmp_path_factory.mktemp("measure") / "startup.py"
    packages, config = sysconfig.get_path("purelib"), str(ROOT / "pyproject.toml")
    startup.write_text(
        MEASURE.format(packages=packages, config=config, data=str(ROOT / ".coverage"))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STARTUP, str(startup))
        yield


@pytest.fixture(scope="session")
def deployed(cloud: Cloud) -> Deployed:
    """Deploy the unmodified project with `cdk bootstrap` and `cdk deploy`."""
    outputs = cloud.deploy({"teams": TEAMS, "limits": '{"tuning_jobs": 10}'}, app=ROOT)
    return Deployed(cloud, outputs)
