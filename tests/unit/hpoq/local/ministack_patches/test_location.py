"""Where ministack is patched."""

from __future__ import annotations

import ast
from pathlib import Path

import hpoq.local

LOCAL = Path(hpoq.local.__file__).parent
PATCHES = LOCAL / "ministack_patches"


def patches_in(file: Path) -> list[str]:
    """Return the assignments to attributes of modules that a file imports from ministack."""
    tree = ast.parse(file.read_text())
    modules = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if (getattr(node, "module", None) or alias.name).startswith("ministack")
    }
    targets = [
        target
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute)
    ]
    return [each for each in map(ast.unparse, targets) if each.partition(".")[0] in modules]


def test_ministack_is_patched_only_in_ministack_patches() -> None:
    found = {file: patches_in(file) for file in LOCAL.rglob("*.py")}

    assert any(found[file] for file in PATCHES.rglob("*.py"))
    elsewhere = {
        file: names for file, names in found.items() if names and PATCHES not in file.parents
    }
    assert elsewhere == {}
