"""The templates of a deployment: bundled ones, and those of its own folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpo_dispatcher.contract.errors import HpoqError, InvalidSettings
from hpo_dispatcher.contract.templates import read_templates
from infra.settings import read_settings
from infra.source import ROOT, write_function
from infra.templates import MAX_BYTES, InvalidTemplates, deployed_templates, own_files
from tests.support.synthesized_stack import synthesize

TREE = """
description: A decision tree.
image: {framework: sklearn, version: "1.4-2"}
entry_point: train.py
source: "s3://{artifact_bucket}/shared/tree.tar.gz"
request:
  objective: {metric: accuracy, type: Maximize}
  hyperparameter_ranges: {depth: {type: integer, min: 1, max: 9}}
tuning_job:
  TrainingJobDefinition:
    AlgorithmSpecification: {MetricDefinitions: [{Name: accuracy, Regex: "accuracy=([0-9.]+)"}]}
    ResourceConfig: {InstanceType: ml.m5.large, InstanceCount: 1, VolumeSizeInGB: 5}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "templates"
    made.mkdir()
    (made / "tree.yaml").write_text(TREE)
    return made


def test_own_templates_are_deployed_beside_the_bundled_ones(folder: Path, tmp_path: Path) -> None:
    assert {"tree", "smoke", "credit-default-cpu"} <= set(deployed_templates(str(folder)))

    (folder / "smoke.yaml").write_text(TREE)
    assert deployed_templates(str(folder))["smoke"].description == "A decision tree."

    asset = tmp_path / "asset"
    write_function(asset, {"teams": {"fraud": {}}}, templates=own_files(str(folder)))
    deployed = read_templates(asset / "hpo_dispatcher" / "templates")
    assert not deployed.broken
    assert deployed["smoke"] == deployed["tree"]
    assert "credit-default-cpu" in deployed


def test_a_changed_template_changes_the_function(folder: Path) -> None:
    def code() -> object:
        settings = {"templates": str(folder), "oldest_request_hours": next(hours)}  # not cached
        (function,) = synthesize(**settings).find_resources("AWS::Lambda::Function").values()
        return function["Properties"]["Code"]

    hours = iter(range(1, 9))
    before = code()
    assert code() == before
    (folder / "tree.yaml").write_text(TREE.replace("max: 9", "max: 8"))
    assert code() != before


def test_a_template_may_be_the_default(folder: Path) -> None:
    context = {"teams": {"fraud": {}}, "templates": str(folder), "default_template": "tree"}
    assert read_settings(context).default_template == "tree"
    with pytest.raises(InvalidSettings, match="Did you mean tree"):
        read_settings(context | {"default_template": "three"})


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.yml", TREE, "templates: a.yml: not read. Rename it to a.yaml"),
        ("a.yaml", "description: x\n", "template a: image: missing. Add it"),
        (
            "a.yaml",
            TREE.replace("s3://{artifact_bucket}/shared/tree.tar.gz", "code"),
            "template a: source: code is not an S3 URI. Upload an archive, and name it: "
            "s3://{artifact_bucket}/shared/NAME.tar.gz",
        ),
        ("a.yaml", TREE.replace("entry_point: train.py", ""), "template a: entry_point: missing"),
        ("a.yaml", TREE.replace("max: 9", "max: 0"), "template a: request.hyperparameter_ranges"),
        ("a.yaml", "#" * MAX_BYTES, "templates: 200 KB in all exceed 200 KB. Remove templates"),
    ],
)
def test_each_fault_of_a_template_is_one_line(
    folder: Path, name: str, content: str, fault: str
) -> None:
    (folder / name).write_text(content)
    with pytest.raises(InvalidTemplates) as raised:
        read_settings({"teams": {"fraud": {}}, "templates": str(folder)})
    assert any(line.startswith(fault) for line in str(raised.value).splitlines()), raised.value


def test_the_folder_must_have_templates(tmp_path: Path) -> None:
    for place, fault in ((tmp_path, "contains no template"), (tmp_path / "no", "is no folder")):
        with pytest.raises(HpoqError, match=fault):
            deployed_templates(str(place))


def test_synth_prints_one_line_for_each_fault(folder: Path) -> None:
    (folder / "one.yaml").write_text(TREE.replace(', Regex: "accuracy=([0-9.]+)"', ""))
    (folder / "two.yaml").write_text(TREE.replace("    ResourceConfig", "    ResourcesConfig"))
    ended = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=os.environ
        | {"CDK_CONTEXT_JSON": json.dumps({"teams": {"a": {}}, "templates": str(folder)})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    lines = [line for line in ended.stderr.splitlines() if line.startswith("hpoq: template")]
    assert [line.split(": ")[1] for line in lines] == ["template one", "template two"]
