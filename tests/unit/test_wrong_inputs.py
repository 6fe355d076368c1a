"""Each wrong input of the table is refused with one line that names the fix."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml

from hpo_dispatcher.contract.errors import HpoqError
from hpo_dispatcher.contract.message import parse_message
from hpo_dispatcher.contract.templates import read_template
from hpo_dispatcher.tuning_job.builder import check_template
from hpoq.cli import main
from hpoq.cli.request_files import read_requests
from infra.settings import read_settings

TABLE = yaml.safe_load((Path(__file__).parents[1] / "fixtures" / "wrong_inputs.yaml").read_text())
TEAMS: dict[str, Any] = {"teams": {"fraud": {}, "vision": {}}}


def rows(*kinds: str) -> Iterator[Any]:
    for kind in kinds:
        for row in TABLE[kind]:
            yield pytest.param(kind, row["given"], row["answer"], id=f"{kind}: {row['given']}")


def settings(context: dict[str, Any], _folder: Path) -> None:
    read_settings(TEAMS | context)


def template(text: str, folder: Path) -> None:
    (folder / "x.yaml").write_text(text)
    check_template("x", read_template(folder / "x.yaml"))


def message(body: str, _folder: Path) -> None:
    parse_message(body, "message-1")


def file(text: str, folder: Path) -> None:
    (folder / "x").write_text(text)
    list(read_requests(folder / "x"))


READERS: dict[str, Callable[[Any, Path], None]] = {
    "settings": settings,
    "template": template,
    "message": message,
    "file": file,
}
ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "HPOQ_TEAM": "fraud",
    "PATH": os.environ["PATH"],
}


@pytest.mark.parametrize(("kind", "given", "answer"), list(rows(*READERS)))
def test_a_wrong_input_is_answered_by_one_line_with_the_fix(
    kind: str, given: Any, answer: str, tmp_path: Path
) -> None:
    with pytest.raises(HpoqError) as caught:
        READERS[kind](given, tmp_path)
    said = str(caught.value).replace(str(tmp_path / "x"), "{file}")
    assert said.startswith(answer) if answer.endswith("(") else said == answer
    assert "\n" not in said


@pytest.mark.parametrize(("_kind", "given", "answer"), list(rows("command")))
def test_a_wrong_command_or_environment_is_answered_without_a_traceback(
    _kind: str,
    given: str,
    answer: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = shlex.split(given)
    variables = {name: value for name, _, value in (each.partition("=") for each in words) if value}
    unset = {each[:-1] for each in words if each.endswith("=")}
    environment = {name: value for name, value in ACCOUNT.items() if name not in unset}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["hpoq", *(each for each in words if "=" not in each)])
    wanted = environment | variables | {"HOME": str(tmp_path)}
    with patch.dict(os.environ, wanted, clear=True), pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == answer
    assert ended.value.code in (1, 2)
    assert said.out == ""
    assert "Traceback" not in said.err


VERBS = (
    "did you mean|use|set|add|remove|write|swap|give|name|lower|check|see|fix|put|begin|log in|run"
)
FIX = re.compile(rf"(?:[.;:] |^)(?:{VERBS})\b|possible options|as in|should be|must", re.IGNORECASE)


@pytest.mark.parametrize(("kind", "given", "answer"), list(rows(*TABLE)))
def test_an_answer_of_the_table_names_a_fix(kind: str, given: Any, answer: str) -> None:
    assert FIX.search(answer) or answer.endswith("(")  # what a parser says follows


def test_the_table_has_sixty_rows_of_every_kind() -> None:
    assert sum(map(len, TABLE.values())) >= 60
    assert min(map(len, TABLE.values())) >= 10
