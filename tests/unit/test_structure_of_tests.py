"""Rules for the tests themselves."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import support

TESTS = Path(__file__).parents[1]
PATCHING = ("patch", "patch.object", ".setattr", ".delattr")
FILES = sorted(TESTS.rglob("*.py"))
# PyTorch has no public function that says whether a CPU supports bfloat16.
ALLOWED = {"_is_avx512_bf16_supported"}


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted name of everything that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_test_module(imported: str) -> bool:
    """Return whether a dotted name leads into a test module or a conftest."""
    parts = imported.split(".")
    is_test = any(part == "conftest" or part.startswith("test_") for part in parts)
    return parts[0] == "tests" and is_test


def patched_names(tree: ast.AST) -> Iterator[str]:
    """Yield what a file patches: a dotted name, or the name of an attribute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(PATCHING):
            yield from (
                part.value
                for part in node.args[:2]
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            )


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TESTS)))
def test_no_file_imports_a_test_module_or_a_conftest(file: Path) -> None:
    imported = list(imported_modules(ast.parse(file.read_text())))
    assert [name for name in imported if is_test_module(name)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TESTS)))
def test_no_file_patches_a_private_name(file: Path) -> None:
    patched = list(patched_names(ast.parse(file.read_text())))
    private = [name for name in patched if any(is_private(part) for part in name.split("."))]
    assert set(private) - ALLOWED == set()


def is_private(name: str) -> bool:
    """Return whether a name is private to its module or class."""
    return name.startswith("_") and not name.endswith("__")


def test_the_layout_of_the_support_package_names_every_module() -> None:
    named = re.findall(r"^    (\w+) ", str(support.__doc__), re.MULTILINE)
    modules = [file.stem for file in (TESTS / "support").glob("*.py") if file.stem != "__init__"]
    assert sorted(named) == sorted(modules)
