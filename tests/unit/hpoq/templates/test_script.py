"""The options, metrics and channels that a script's source names."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpoq.errors import UnreadableFile
from hpoq.templates.script import COMPUTED, Metric, Script, ScriptOption, read_script


def script(tmp_path: Path, text: str) -> Script:
    file = tmp_path / "train.py"
    file.write_text(text)
    return read_script(file)


@pytest.mark.parametrize(
    ("call", "option"),
    [
        ("'--lr', type=float, default=1e-3", ScriptOption(name="lr", type="float", default=0.001)),
        ("'-b', '--batch-size', type=int", ScriptOption(name="batch-size", type="int")),
        ("'-b', type=int, default=SIZE", ScriptOption(name="b", type="int", default=64)),
        ("'--opt', choices=['a', 'b']", ScriptOption(name="opt", choices=("a", "b"))),
        ("'--opt', choices=KINDS, required=True",
         ScriptOption(name="opt", choices=("x", "y"), required=True)),
        ("'--out', default=os.environ['SM_MODEL_DIR']", ScriptOption(name="out", default=COMPUTED)),
        ("'--flag', action='store_true'", ScriptOption(name="flag", takes_one_value=False)),
        ("'--many', type=int, nargs='+'",
         ScriptOption(name="many", type="int", takes_one_value=False)),
        ("'--odd', type=lambda text: text", ScriptOption(name="odd", type="other")),
    ],
)  # fmt: skip
def test_an_option_is_read_as_argparse_gets_it(
    tmp_path: Path, call: str, option: ScriptOption
) -> None:
    text = f"import os\nSIZE = 64\nKINDS = ('x', 'y')\nparser.add_argument({call}, help='...')\n"
    assert script(tmp_path, text).options == [option]


def test_positional_arguments_are_no_hyperparameters(tmp_path: Path) -> None:
    assert script(tmp_path, "parser.add_argument('folder')").options == []


@pytest.mark.parametrize(
    ("statement", "metrics"),
    [
        ('print(f"validation:auc={auc:.4f}")', [Metric("validation:auc", "validation:auc=")]),
        ('print("loss:", loss)', [Metric("loss", "loss: ")]),
        ('print("epoch %d loss=%.3f" % (e, l))', [Metric("loss", "loss=")]),
        ('logger.info("acc: %s", acc)', [Metric("acc", "acc: ")]),
        ('print("f1={:.2f} auc={}".format(f, a))', [Metric("f1", "f1="), Metric("auc", "auc=")]),
        ('print("rmse=" + str(value))', [Metric("rmse", "rmse=")]),
        ('sys.stdout.write(f"val_loss {x}\\n")', [Metric("val_loss", "val_loss ")]),
        ('print("done")', []),
        ('print(f"epoch {n}")', []),
    ],
)
def test_a_metric_is_a_name_before_a_printed_value(
    tmp_path: Path, statement: str, metrics: list[Metric]
) -> None:
    assert script(tmp_path, statement).metrics == metrics


def test_the_mnist_example_of_pytorch_names_its_test_metrics(tmp_path: Path) -> None:
    """The lines that https://github.com/pytorch/examples/blob/main/mnist/main.py prints."""
    text = """
print('Train Epoch: {} [{}/{} ({:.0f}%)]\\tLoss: {:.6f}'.format(a, b, c, d, e))
print('\\nTest set: Average loss: {:.4f}, Accuracy: {}/{} ({:.0f}%)\\n'.format(a, b, c, d))
"""
    found = script(tmp_path, text).metrics
    assert found == [
        Metric("Loss", "Loss: "), Metric("loss", "loss: "), Metric("Accuracy", "Accuracy: ")
    ]  # fmt: skip


def test_channels_imports_and_description(tmp_path: Path) -> None:
    text = '"""Train a tree.\n\nMore."""\nimport os, sklearn.tree\nfrom torch import nn\n'
    text += 'a = os.environ["SM_CHANNEL_TRAIN"], os.environ.get("SM_CHANNEL_TEST_SET")\n'
    found = script(tmp_path, text)
    assert found.description == "Train a tree."
    assert found.channels == ["train", "test_set"]
    assert {"sklearn", "torch"} <= found.imports


def test_a_file_that_is_no_python_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"train.py: not valid Python"):
        script(tmp_path, "def broken(:")
    with pytest.raises(UnreadableFile, match="No such file"):
        read_script(tmp_path / "missing.py")
