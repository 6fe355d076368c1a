"""What only a real process shows."""

from __future__ import annotations

import os
import subprocess
import sys
from unittest.mock import patch

import pytest

from hpoq.cli import main


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hpoq.cli", *arguments]
    clean = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HOME": "/nonexistent",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return subprocess.run(
        command, env=clean | environment, capture_output=True, text=True, check=False
    )


def test_help_is_on_stdout_and_lists_every_command() -> None:
    ended = run("--help")
    assert ended.returncode == 0
    for command in ("submit", "watch", "redrive", "template", "local", "ui"):
        assert command in ended.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['hpoq', '--help']\n"
        "from hpoq.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'boto3', 'botocore', 'pydantic', 'yaml', 'rich.console', 'pandas', 'torch'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_without_a_region_or_credentials_one_line_says_what_helps() -> None:
    ended = run("list", "--team", "fraud")
    assert ended.returncode == 1
    assert ended.stderr == "hpoq: no AWS Region. Set AWS_DEFAULT_REGION\n"
    ended = run("list", "--team", "fraud", AWS_DEFAULT_REGION="eu-central-1")
    assert ended.returncode == 1
    assert "no AWS credentials" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_wrong_option_is_status_2() -> None:
    assert run("list", "--nonsense").returncode == 2


def test_a_package_of_campaigns_that_is_missing_is_one_line_with_the_fix(
    capsys: pytest.CaptureFixture[str],
) -> None:
    missing = ModuleNotFoundError("No module named 'pandas'", name="pandas")
    with patch("hpoq.cli.app.app", side_effect=missing), pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        "hpoq: this command needs the package pandas. Run: pip install 'hpoq[campaign]'\n"
    )


def test_a_missing_module_of_hpoq_itself_keeps_its_traceback() -> None:
    missing = ModuleNotFoundError("No module named 'hpoq.x'", name="hpoq.x")
    with patch("hpoq.cli.app.app", side_effect=missing), pytest.raises(ModuleNotFoundError):
        main()
