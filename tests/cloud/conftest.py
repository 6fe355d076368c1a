"""An embedded cloud for the whole session, and our stack in it.

Every test module that needs an AWS account uses these; ``HPOQ_TEST_HOME`` names a folder to
keep it in, which makes the second run of a test at the desk quicker.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from boto3 import Session

from hpoq.local import cloud as clouds
from hpoq.local.cloud import Cloud
from hpoq.local.lifecycle.launch import STARTUP

ROOT = Path(__file__).parents[2]
TEAMS = '{"fraud": {"notify": true}, "vision": {}}'


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in Path(item.path).parents:
            item.add_marker(pytest.mark.cloud)


MEASURE = """
import os, sys
sys.path.append({packages!r})  # last: what the process's own environment holds comes first
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
    """Under ``--cov``, the lines that the cloud's own process runs count, too."""
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
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A started embedded cloud, ended when the session ends."""
    kept = os.environ.get("HPOQ_TEST_HOME")
    home = Path(kept) if kept else tmp_path_factory.mktemp("cloud") / ".hpoq"
    started = clouds.start(home)
    try:
        yield started
    finally:
        started.stop()


@dataclass(frozen=True)
class Deployed:
    """Our stack in the embedded cloud."""

    cloud: Cloud
    outputs: dict[str, str]

    @property
    def session(self) -> Session:
        return self.cloud.session()

    def client(self, service: str, **options: Any) -> Any:
        return self.session.client(service, **options)

    def queue(self, team: str) -> str:
        """URL of a team's request queue."""
        return self.outputs[f"RequestQueueUrl{team.title()}"]

    def dead_letters(self, team: str) -> str:
        """URL of a team's dead-letter queue."""
        return self.outputs[f"DeadLetterQueueUrl{team.title()}"]


@pytest.fixture(scope="session")
def deployed(cloud: Cloud) -> Deployed:
    """The stack after `cdk bootstrap` and `cdk deploy`, unmodified."""
    outputs = cloud.deploy({"teams": TEAMS, "limits": '{"tuning_jobs": 10}'}, app=ROOT)
    return Deployed(cloud, outputs)
