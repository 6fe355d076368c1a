"""Rules for the sizes of classes and folders."""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("lambdas", "hpoq", "infra", "training", "layers", "tools")


PACKAGE = ROOT / "lambdas" / "hpo_dispatcher"
MOST_MODULES = 12
MOST_LINES = 120  # of code; docstrings, comments and blank lines do not count
# Folders with more modules, each with the rule that decides what belongs in it.
LARGE_FOLDERS = {
    "hpoq/cli": "one command per file",
    "infra": "one construct per file",
    "hpoq/local/sagemaker/tuning": "one stage of a tuning job per file",
    "tools": "one command per file",
    "training/credit_default": "one part of a training run per file",
}
# Classes with more code, each with the reason. A docstring may state the reason instead, with the
# words "is long because".
LONG_CLASSES = {
    "Allocation": "all capacity rules change the same counts",
    "TrainingResources": "the logical ids of the bucket and the role follow from the construct",
}


def files() -> Iterator[Path]:
    """Yield the source files."""
    for folder in SOURCES:
        for file in sorted((ROOT / folder).rglob("*.py")):
            if not any(part.startswith(".") for part in file.relative_to(ROOT).parts):
                yield file


def test_the_dispatcher_has_few_entries_at_its_top() -> None:
    entries = [path.name for path in PACKAGE.iterdir() if not path.name.startswith("__pycache__")]
    assert len(entries) <= MOST_MODULES, sorted(entries)


def test_a_folder_has_few_modules_or_a_rule_for_them() -> None:
    modules: Counter[str] = Counter(
        str(file.parent.relative_to(ROOT)) for file in files() if file.name != "__init__.py"
    )
    large = {folder: count for folder, count in modules.items() if count > MOST_MODULES}
    assert large.keys() - LARGE_FOLDERS.keys() == set(), large
    assert LARGE_FOLDERS.keys() - modules.keys() == set(), "no such folder"


def lines_of_code(source: str) -> set[int]:
    """Return the numbers of the lines with code."""
    ignored = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in ignored:
            lines |= set(range(token.start[0], token.end[0] + 1))
    documented = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            lines -= set(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    return lines


def long_classes(source: str) -> Iterator[ast.ClassDef]:
    """Yield the classes with more code than the limit."""
    lines = lines_of_code(source)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            own = lines & set(range(node.lineno, (node.end_lineno or 0) + 1))
            if len(own) > MOST_LINES:
                yield node


def test_a_long_class_states_its_reason() -> None:
    found = {each.name: each for file in files() for each in long_classes(file.read_text())}
    stated = {
        name
        for name, each in found.items()
        if "is long because" in " ".join((ast.get_docstring(each) or "").split())
    }
    assert found.keys() - stated - LONG_CLASSES.keys() == set()


def test_docstrings_comments_and_blank_lines_are_not_code() -> None:
    source = 'class A:\n    """Doc."""\n\n    # why\n    x = """\n    y\n    """\n'
    assert lines_of_code(source) - {len(source.splitlines()) + 1} == {1, 5, 6, 7}
