"""Check that no modules import each other in a cycle: ``python -m tools.import_cycles``.

Counts imports at module level only: an import inside a function, or one for the type checker,
runs no code while a module loads.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hpo_dispatcher", "hpoq", "infra", "training")


def main() -> int:
    """Print each cycle; exit with status 1 if there is one."""
    imports = module_level_imports()
    found = list(cycles(imports))
    for each in found:
        sys.stdout.write(f"import cycle: {', '.join(sorted(each))}\n")
    sys.stdout.write(f"import cycles: {len(found)} among {len(imports)} modules\n")
    return int(bool(found))


def module_level_imports() -> dict[str, set[str]]:
    """Map each module to the modules it imports while it loads."""
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True)
    imports: dict[str, set[str]] = {}
    for module in sorted(graph.modules):
        deferred = lines_of_deferred_imports(source_file(module))
        imports[module] = {
            imported
            for imported in graph.find_modules_directly_imported_by(module)
            if any(
                detail["line_number"] not in deferred
                for detail in graph.get_import_details(importer=module, imported=imported)
            )
        }
    return imports


def source_file(module: str) -> Path:
    """Return the file that defines a module of the project."""
    folder = ROOT / "lambdas" if module.startswith("hpo_dispatcher") else ROOT
    path = folder.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def lines_of_deferred_imports(file: Path) -> set[int]:
    """Return the line numbers of the imports inside functions."""
    if not file.exists():  # a folder without __init__.py
        return set()
    return {
        node.lineno
        for function in ast.walk(ast.parse(file.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }


def cycles(imports: Mapping[str, Set[str]]) -> Iterator[set[str]]:
    """Find the strongly connected components of more than one module (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> Iterator[set[str]]:
        index[module] = lowest[module] = len(index)
        stack.append(module)
        for imported in sorted(imports.get(module, ())):
            if imported not in index:
                yield from visit(imported)
                lowest[module] = min(lowest[module], lowest[imported])
            elif imported in stack:
                lowest[module] = min(lowest[module], index[imported])
        if lowest[module] == index[module]:
            component = set(stack[stack.index(module) :])
            del stack[stack.index(module) :]
            if len(component) > 1:
                yield component

    for module in sorted(imports):
        if module not in index:
            yield from visit(module)


if __name__ == "__main__":
    sys.exit(main())
