"""Write the settings reference of docs/operations.md from the typed settings.

    python -m tools.settings_reference

A field's description is the comment above it or behind it, where the next reader of the code
looks as well.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "lambdas")]

from hpo_dispatcher.contract.settings import Guardrails, Limits, TeamSettings, Vpc  # noqa: E402
from infra.settings import Settings  # noqa: E402

PAGE = ROOT / "docs" / "operations.md"
BEGIN, END = "<!-- settings: made by tools/settings_reference.py -->", "<!-- end of settings -->"
SECTIONS: dict[str, type[BaseModel]] = {
    "": Settings,
    "teams.<team>.": TeamSettings,
    "limits.": Limits,
    "guardrails.": Guardrails,
    "guardrails.vpc.": Vpc,
}
_ANNOTATED = re.compile(r"^Annotated\[(.+?), Field\((.*)\)\](.*)$")


def rows(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    """One line of the table per field."""
    lines = inspect.getsource(model).splitlines()
    (definition,) = ast.parse("\n".join(lines)).body
    for node in definition.body:  # type: ignore[attr-defined]
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            if name in model.model_fields:
                kind = _kind(ast.unparse(node.annotation))
                default = _default(model.model_fields[name].default)
                comment = _comment(lines, node)
                yield f"| `{prefix}{name}` | {kind} | {default} | {comment} |"


def _kind(annotation: str) -> str:
    """The type as written, its bounds in words."""
    found = _ANNOTATED.match(annotation)
    if not found:
        return f"`{annotation}`".replace("|", "\\|")
    kind, bounds, rest = found.groups()
    words = re.sub(r"(\w+)=", lambda each: f"{_WORDS.get(each[1], each[1])} ", bounds)
    return f"`{kind}{rest}`, {words}".replace("|", "\\|").replace("`, pattern ", "`, like ")


_WORDS = {"ge": "at least", "le": "at most", "gt": "above", "min_length": "items at least",
          "max_length": "items at most"}  # fmt: skip


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return ""
    return f"`{json.dumps(value)}`"


def _comment(lines: list[str], node: ast.AnnAssign) -> str:
    behind = lines[(node.end_lineno or node.lineno) - 1].partition("  # ")[2]
    if behind:
        return behind
    above: list[str] = []
    for line in reversed(lines[: node.lineno - 1]):
        if not line.strip().startswith("# "):
            break
        above.insert(0, line.strip()[2:])
    return " ".join(above)


def reference() -> str:
    """The whole table."""
    head = ["| key | type | default | |", "|---|---|---|---|"]
    body = [row for prefix, model in SECTIONS.items() for row in rows(prefix, model)]
    return "\n".join([*head, *body])


def filled(page: str) -> str:
    """The page with its reference made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{reference()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
