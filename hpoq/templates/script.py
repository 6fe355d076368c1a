"""What a training script says about itself: its options, channels and metrics. Runs nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpoq.errors import UnreadableFile


class Computed:
    """The value of an expression that only running the script would tell."""

    def __repr__(self) -> str:
        return "computed"


COMPUTED = Computed()


@dataclass(frozen=True, kw_only=True)
class ScriptOption:
    """One option of the script's ArgumentParser.

    Args:
        name: as SageMaker's hyperparameter, without dashes.
        type: the name of the function that converts its value; str if it has none.
        default: its default; None if it has none.
        choices: the values that it accepts; empty for any.
        required: whether the script needs it.
        takes_one_value: whether it has exactly one value, as hyperparameters do.
    """

    name: str
    type: str = "str"
    default: Any = None
    choices: tuple[Any, ...] = ()
    required: bool = False
    takes_one_value: bool = True


@dataclass(frozen=True)
class Metric:
    """A metric that the script prints, and the text before its value."""

    name: str
    prefix: str


@dataclass(frozen=True, kw_only=True)
class Script:
    """A training script as its source describes it."""

    name: str
    description: str
    options: Sequence[ScriptOption]
    metrics: Sequence[Metric]
    channels: Sequence[str]  # in lower case
    imports: frozenset[str]  # top-level packages


def read_script(path: Path) -> Script:
    """Read a Python script.

    Raises:
        UnreadableFile: it is missing or not valid Python.
    """
    try:
        text = path.read_text()
        tree = ast.parse(text)
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror}. Name a training script") from None
    except (SyntaxError, ValueError) as error:
        raise UnreadableFile(f"{path}: not valid Python ({error}). Fix the script") from None
    constants = dict(_constants(tree))
    summary = (ast.get_docstring(tree) or "").strip().splitlines()
    channels = dict.fromkeys(re.findall(r"SM_CHANNEL_([A-Z0-9_]+)", text))
    return Script(
        name=path.name,
        description=summary[0] if summary else f"Searches the hyperparameters of {path.name}.",
        options=list({each.name: each for each in _options(tree, constants)}.values()),
        metrics=list({each.name: each for each in _metrics(tree)}.values()),
        channels=[each.lower() for each in channels],
        imports=frozenset(_imports(tree)),
    )


def _constants(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    """Yield the module's names that have a literal value."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            value = _value(node.value, {})
            if value is not COMPUTED:
                yield node.targets[0].id, value


def _value(node: ast.expr, constants: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return constants.get(node.id, COMPUTED)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError):
        return COMPUTED


def _options(tree: ast.Module, constants: Mapping[str, Any]) -> Iterator[ScriptOption]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr == "add_argument" and (option := _option(node, constants)):
            yield option


def _option(call: ast.Call, constants: Mapping[str, Any]) -> ScriptOption | None:
    flags = [_value(each, constants) for each in call.args]
    flags = [each for each in flags if isinstance(each, str) and each.startswith("-")]
    if not flags:
        return None
    name = next((each for each in flags if each.startswith("--")), flags[0]).lstrip("-")
    given = {each.arg: each.value for each in call.keywords}
    values = {key: _value(node, constants) for key, node in given.items()}
    kind = given.get("type")
    choices = values.get("choices")
    return ScriptOption(
        name=name,
        type=kind.id if isinstance(kind, ast.Name) else "str" if kind is None else "other",
        default=values.get("default"),
        choices=tuple(choices) if isinstance(choices, (list, tuple)) else (),
        required=values.get("required") is True,
        takes_one_value="nargs" not in given and values.get("action", "store") == "store",
    )


# The placeholder of a value in a printed text.
_HOLE = "\0"
_PERCENT = re.compile(r"%[-+ #0]*\d*(?:\.\d+)?[sdfgeriu]")
_BRACES = re.compile(r"\{[^{}]*\}")
# A name, then a separator, then a value: "validation:auc=", "loss: ", "Accuracy ".
_NAMED = re.compile(r"([A-Za-z][\w:./@-]*?)(\s*[=:]\s*|\s+)\0")
_COUNTERS = re.compile(r"(?i)^(epochs?|steps?|iter|iteration|batch|round|fold|trial|of|in)$")
_OUTPUTS = {"print", "info", "warning", "log", "debug", "write", "echo"}


def _metrics(tree: ast.Module) -> Iterator[Metric]:
    """Yield what looks like a metric in the texts that the script prints or logs."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name not in _OUTPUTS:
            continue
        for found, separator in _NAMED.findall(_printed(node)):
            if not _COUNTERS.match(found):
                yield Metric(found.rstrip(":"), f"{found}{separator}")


def _printed(call: ast.Call) -> str:
    """Return the text that a call prints, with a placeholder for each value."""
    if not call.args:
        return ""
    first = call.args[0]
    is_logging = isinstance(call.func, ast.Attribute) and len(call.args) > 1
    if is_logging and isinstance(first, ast.Constant) and "%" in str(first.value):
        return _PERCENT.sub(_HOLE, str(first.value))
    return " ".join(_text(each) for each in call.args)


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text(each) for each in values)
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod()):
            return _PERCENT.sub(_HOLE, text)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left) + _text(right)
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
            return _BRACES.sub(_HOLE, text)
    return _HOLE


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
