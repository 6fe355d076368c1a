"""Each wrong input of the table is refused with one line that names the fix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hpo_dispatcher.contract.errors import HpoqError
from hpo_dispatcher.contract.message import parse_message
from hpo_dispatcher.contract.templates import read_template
from hpo_dispatcher.tuning_job.builder import check_template
from infra.settings import read_settings

TABLE = yaml.safe_load((Path(__file__).parents[1] / "fixtures" / "wrong_inputs.yaml").read_text())
TEAMS: dict[str, Any] = {"teams": {"fraud": {}, "vision": {}}}


def rows() -> Iterator[Any]:
    for kind, found in TABLE.items():
        for row in found:
            yield pytest.param(kind, row["given"], row["answer"], id=f"{kind}: {row['given']}")


def settings(context: dict[str, Any], _folder: Path) -> None:
    read_settings(TEAMS | context)


def template(text: str, folder: Path) -> None:
    (folder / "x.yaml").write_text(text)
    check_template("x", read_template(folder / "x.yaml"))


def message(body: str, _folder: Path) -> None:
    parse_message(body, "message-1")


READERS: dict[str, Callable[[Any, Path], None]] = {
    "settings": settings,
    "template": template,
    "message": message,
}


@pytest.mark.parametrize(("kind", "given", "answer"), list(rows()))
def test_a_wrong_input_is_answered_by_one_line_with_the_fix(
    kind: str, given: Any, answer: str, tmp_path: Path
) -> None:
    with pytest.raises(HpoqError) as caught:
        READERS[kind](given, tmp_path)
    said = str(caught.value)
    assert said.startswith(answer) if answer.endswith("(") else said == answer
    assert "\n" not in said
