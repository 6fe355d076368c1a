"""Rules for the source: names of classes, and ARNs."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("lambdas", "hpoq", "infra", "training", "layers", "tools")


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """Yield each node of the source with its place."""
    for folder in SOURCES:
        for file in sorted((ROOT / folder).rglob("*.py")):
            name = file.relative_to(ROOT)
            if any(part.startswith(".") for part in name.parts):
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                yield f"{name}:{getattr(node, 'lineno', 0)}", node


def test_an_arn_that_is_composed_has_the_partition_of_the_account() -> None:
    """Accounts in GovCloud and China have the partitions aws-us-gov and aws-cn."""
    found = {
        place
        for place, node in nodes()
        if isinstance(node, ast.JoinedStr)
        and any(isinstance(p, ast.Constant) and "arn:aws:" in p.value for p in node.values)
    }
    assert found == set()


def test_no_two_classes_share_a_name() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for place, node in nodes():
        if isinstance(node, ast.ClassDef):
            places[node.name.lstrip("_")].append(place)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
