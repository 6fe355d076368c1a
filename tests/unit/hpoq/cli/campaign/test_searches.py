from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpo_dispatcher.contract.templates import Template
from hpoq.cli.campaign.searches import searches_of


@pytest.mark.parametrize(("template", "script"), [("script", True), ("algorithm", False)])
def test_a_template_of_the_deployment_tells_whether_ray_has_a_script(
    template: str, script: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates = {
        "script": Template(description="A script.", image="image", entry_point="train.py"),
        "algorithm": Template(description="An algorithm of SageMaker.", image="image"),
    }
    deployed = SimpleNamespace(settings=SimpleNamespace(templates=templates))
    monkeypatch.setattr("hpoq.cli.campaign.searches.client", lambda deployment: deployed)
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"template": template}))
    wanted = {"request": {"template": template}, "runs_script": script}
    assert searches_of(file, "fraud", "hpoq") == {"": wanted}


def test_a_request_of_the_api_needs_no_envelope(tmp_path: Path) -> None:
    """`hpoq submit --api-request` takes the same file."""
    api_request = {"HyperParameterTuningJobConfig": {"Strategy": "Random"}}
    found = []
    for name, content in (("bare", api_request), ("wrapped", {"api_request": api_request})):
        (tmp_path / name).with_suffix(".json").write_text(json.dumps(content))
        found.append(searches_of((tmp_path / name).with_suffix(".json"), "fraud", "hpoq"))
    assert found == [{"": {"request": {"api_request": api_request}}}] * 2
