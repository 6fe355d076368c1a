"""The last synthesis is deployed again only if nothing that it depends on has changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hpoq.local.lifecycle.synthesis import LastSynthesis, inputs

CONTEXT = {"name": "hpoq"}
ENVIRON = {"CDK_DEFAULT_ACCOUNT": "111122223333", "PATH": "/bin"}


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    for file in ("app.py", "infra/stack.py", "infra/__pycache__/stack.pyc", ".hpoq/cloud.json"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("1")
    (folder / "cdk.json").write_text(json.dumps({"context": {"limits": {"tuning_jobs": 3}}}))
    (folder / ".venv" / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    (folder / "node_modules").mkdir()
    return folder


@pytest.mark.parametrize(
    "change",
    [
        lambda app: (app / "infra" / "stack.py").write_text("22"),
        lambda app: (app / "infra" / "stack.py").unlink(),
        lambda app: (app / "infra" / "new.py").write_text("1"),
        lambda app: (app / "cdk.json").write_text("{}"),
        lambda app: (app / "cdk.context.json").write_text("{}"),
        lambda app: (app / ".venv/lib/python3.11/site-packages/aws_cdk").mkdir(),
        lambda app: (app / "node_modules" / "aws-cdk").mkdir(),
    ],
    ids=["changed", "deleted", "new", "settings", "looked up", "Python package", "npm package"],
)
def test_a_changed_file_or_package_changes_the_inputs(
    app: Path, change: Callable[[Path], object]
) -> None:
    before = inputs(app, CONTEXT, ENVIRON)
    change(app)
    assert inputs(app, CONTEXT, ENVIRON) != before


def test_settings_and_variables_of_the_cdk_are_inputs(app: Path) -> None:
    found = [
        inputs(app, CONTEXT, ENVIRON),
        inputs(app, {"name": "other"}, ENVIRON),
        inputs(app, CONTEXT, {**ENVIRON, "CDK_DEFAULT_ACCOUNT": "444455556666"}),
        inputs(app, CONTEXT, {**ENVIRON, "HPOQ_LAYER_PYTHON": "/usr/bin/python3.13"}),
    ]
    assert None not in found
    assert len(set(found)) == len(found)


def test_results_and_other_variables_are_not(app: Path) -> None:
    before = inputs(app, CONTEXT, ENVIRON)
    (app / ".hpoq" / "cloud.json").write_text("another")
    (app / "infra" / "__pycache__" / "more.pyc").write_text("1")
    (app / "cdk.out").mkdir()
    assert inputs(app, CONTEXT, {**ENVIRON, "AWS_REGION": "us-east-1"}) == before


def test_a_setting_that_names_a_folder_elsewhere_is_never_taken_for_unchanged(
    app: Path, tmp_path: Path
) -> None:
    (tmp_path / "templates").mkdir()
    assert inputs(app, {"templates": str(tmp_path / "templates")}, ENVIRON) is None
    assert inputs(app, {"templates": "infra"}, ENVIRON) is not None
    (app / "cdk.json").write_text(json.dumps({"context": {"templates": "../templates"}}))
    assert inputs(app, CONTEXT, ENVIRON) is None


@pytest.mark.parametrize("content", ["{", "[]"])
def test_what_cdk_refuses_is_left_to_cdk(app: Path, content: str) -> None:
    (app / "cdk.json").write_text(content)
    assert inputs(app, CONTEXT, ENVIRON) is None


def test_a_result_is_used_again_only_while_it_is_complete(tmp_path: Path) -> None:
    folder = tmp_path / "cdk.out"
    last = LastSynthesis(folder)
    assert last.inputs is None
    last.store("a")
    assert last.inputs is None  # no result
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    assert LastSynthesis(folder).inputs == "a"
    last.forget()
    last.store(None)
    assert last.inputs is None
