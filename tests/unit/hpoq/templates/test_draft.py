"""A first template for a script: valid as it is, and its regular expressions match."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from hpo_dispatcher.contract.templates import parse_template_text
from hpo_dispatcher.tuning_job.builder import check_template
from hpoq.errors import UnreadableFile
from hpoq.templates.draft import draft_of, objective_of
from hpoq.templates.script import Metric
from infra.source import ROOT

LR = "parser.add_argument('--lr', type=float, default=0.1)\n"


def draft(tmp_path: Path, text: str) -> dict[str, object]:
    file = tmp_path / "train.py"
    file.write_text(text)
    written = draft_of(file, "mine").text
    check_template("mine", parse_template_text("mine.yaml", written))
    fields: dict[str, object] = yaml.safe_load(written)
    return fields


def test_the_example_script_gets_a_complete_template() -> None:
    made = draft_of(ROOT / "examples" / "own_model" / "train.py", "tree")
    template = parse_template_text("tree.yaml", made.text)
    check_template("tree", template)
    assert template.image.framework == "sklearn"  # type: ignore[union-attr]
    assert (template.entry_point, template.source) == ("train.py", "train.py")
    assert set(template.request["hyperparameter_ranges"]) == {"max-leaf-nodes", "criterion"}
    assert template.request["objective"] == {"metric": "validation:accuracy", "type": "Maximize"}
    (channel,) = template.tuning_job["TrainingJobDefinition"]["InputDataConfig"]
    assert channel["ChannelName"] == "train"
    assert made.notes == ["objective: Maximize validation:accuracy"]


def test_each_metric_is_matched_by_its_own_regular_expression_only(tmp_path: Path) -> None:
    print_ = 'print(f"loss={a} test_loss={b}, acc: {c:.2f}")'
    made = draft(tmp_path, LR + print_)
    definition = made["tuning_job"]["TrainingJobDefinition"]  # type: ignore[index]
    definitions = definition["AlgorithmSpecification"]["MetricDefinitions"]
    line = "loss=1.5 test_loss=-2e-05, acc: 0.93"
    found = {each["Name"]: re.findall(each["Regex"], line) for each in definitions}
    assert found == {"loss": ["1.5"], "test_loss": ["-2e-05"], "acc": ["0.93"]}


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["train_loss", "val_loss", "val_acc"], "val_acc"),
        (["train:loss", "test:loss"], "test:loss"),
        (["loss"], "loss"),
        (["train:auc", "auc"], "auc"),
    ],
)
def test_the_objective_is_a_score_on_validation_data(names: list[str], chosen: str) -> None:
    assert objective_of([Metric(name, f"{name}=") for name in names]).name == chosen


def test_a_script_that_imports_modules_beside_it_is_sent_with_them(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("")
    assert draft(tmp_path, "import model\n" + LR + 'print(f"loss={x}")')["source"] == "."


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('print(f"loss={x}")', "no option with a number or choices"),
        (LR, "prints no metric"),
    ],
)
def test_a_script_without_options_or_metrics_is_one_line(
    tmp_path: Path, text: str, problem: str
) -> None:
    with pytest.raises(UnreadableFile, match=problem):
        draft(tmp_path, text)


def test_a_required_option_that_is_not_searched_is_a_note(tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text(LR + "parser.add_argument('--corpus', required=True)\nprint(f'loss={x}')")
    assert "--corpus is required: add it to request.hyperparameters" in draft_of(file, "m").notes
