"""Names in the source: each class has a name of its own, whatever its module."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("lambdas", "hpoq", "infra", "training", "layers", "tools")


def test_no_two_classes_share_a_name() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for folder in SOURCES:
        for file in sorted((ROOT / folder).rglob("*.py")):
            if any(part.startswith(".") for part in file.relative_to(ROOT).parts):
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ClassDef):
                    place = f"{file.relative_to(ROOT)}:{node.lineno}"
                    places[node.name.lstrip("_")].append(place)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
