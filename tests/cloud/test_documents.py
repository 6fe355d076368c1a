"""The documentation is correct: commands run, links resolve, generated files are up to date."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hpo_dispatcher.contract.message import json_schema
from tests.support.aws_command import path_with_aws
from tests.support.deployed_stack import ROOT, Deployed

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"```sh\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
ROWS = 1_000  # per part of the data set
# Commands that cannot run in a test, each with the reason.
ELSEWHERE = {
    "make demo": "tests/cloud runs each of its steps",
    "make setup": "runs before any test",
    "make test": "runs this test",
    "aws service-quotas request-service-quota-increase": "changes the quotas of an account",
    "aws iam attach-role-policy": "names a role of the reader",
    "npx cdk bootstrap": "the fixture of the embedded cloud runs it",
    "npx cdk deploy": "the fixture of the embedded cloud runs it",
    "pip install .": "make setup installs the package",
    "make dist": "tests/cloud/test_wheel.py builds the wheel",
    "uvx --from dist": "tests/cloud/test_wheel.py runs the wheel without an installation",
    "hpoq local up": "tests/cloud/test_lifecycle.py starts clouds",
    'eval "$(hpoq local env)"': "the fixture sets the same variables",
    'eval "$(hpoq local env --account': "tests/cloud/test_targets.py is in other accounts",
    "hpoq local deploy": "the fixture of the embedded cloud deploys",
    "hpoq local status": "tests/cloud/test_lifecycle.py runs it",
    "hpoq local down": "tests/cloud/test_lifecycle.py runs it",
    "pip download -r training/requirements-ray.txt": "downloads hundreds of megabytes",
    "aws s3 cp --recursive wheels": "uploads what pip has downloaded",
    "uv venv --python 3.13 image": "downloads an interpreter",
    "uv pip install --python image": "downloads hundreds of megabytes",
    "HPOQ_TEST_IMAGE_PYTHON": "make test runs the same tests with the versions pinned here",
    "python training/": "tests/training_runs and tests/unit/training run the scripts",
}


def commands() -> Iterator[tuple[str, str]]:
    for document in DOCUMENTS:
        for block in FENCE.findall(document.read_text()):
            for command in re.sub(r"\\\n\s*", " ", block).splitlines():
                if command.strip() and not command.startswith("#"):
                    yield document.relative_to(ROOT).as_posix(), command.strip()


RUN = [
    pytest.param(document, command, id=f"{document}: {command[:60]}")
    for document, command in commands()
    if not command.startswith(tuple(ELSEWHERE))
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as training/prepare_data.py writes it."""
    folder = tmp_path_factory.mktemp("data")
    command = [sys.executable, "-m", "training.prepare_data", "--synthetic", "--out", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    for path in folder.rglob("*.npz"):  # less data, because commands are tested here and not models
        with np.load(path) as columns:
            few = {name: columns[name][:ROWS] for name in columns}
        np.savez(path, **few)
    return folder


@pytest.fixture(scope="module")
def with_data(deployed: Deployed, prepared: Path) -> Deployed:
    s3 = deployed.client("s3")
    for path in sorted(prepared.rglob("*.npz")):
        key = f"data/credit-default/{path.relative_to(prepared).as_posix()}"
        s3.upload_file(str(path), deployed.outputs["ArtifactBucketName"], key)
    function = deployed.outputs["DispatcherFunctionName"]
    deployed.client("lambda").invoke(FunctionName=function)  # publishes the settings
    return deployed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Path:
    """Link the project into a folder of its own, where the commands may write files."""
    made = tmp_path_factory.mktemp("reader")
    for each in ROOT.iterdir():
        if each.name not in (".git", ".hpoq"):
            (made / each.name).symlink_to(each)
    (made / "data").mkdir()
    (made / "data" / "credit-default").symlink_to(prepared)
    return made


@pytest.mark.parametrize(("document", "command"), RUN)
def test_a_documented_command_works_as_written(
    document: str, command: str, folder: Path, with_data: Deployed
) -> None:
    environment = with_data.cloud.environ()
    environment["PATH"] = path_with_aws(environment["PATH"])
    if command.startswith("aws "):  # the pip aws command ignores AWS_ENDPOINT_URL for SQS
        command = command.replace("aws sqs ", 'aws sqs --endpoint-url "$AWS_ENDPOINT_URL" ')
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, f"{document}: {ended.stderr}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_relative_links_resolve(document: Path) -> None:
    for link in LINK.findall(document.read_text()):
        if "://" not in link:
            assert (document.parent / link).exists(), link


def test_the_published_schema_matches_the_code() -> None:
    assert json.loads((ROOT / "docs" / "request.schema.json").read_text()) == json_schema()


def test_documented_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        named = set(re.findall(r"`make ([a-z-]+)`", document.read_text()))
        assert named <= targets, document
