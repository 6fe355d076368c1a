"""The `hpoq` command as tests run it, against a moto account whose dispatcher is at hand."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable, Iterator
from unittest.mock import patch

import pytest
import typer.main

from tests.support.dispatcher_account import ENVIRONMENT, REGION, Account

Run = Callable[..., tuple[int, str, str]]

# The commands are built once per process, as in a shell. For each run, it would take as long as
# many commands themselves.
typer.main.get_command = functools.cache(typer.main.get_command)


def put_data(account: Account) -> None:
    """Put an object where each channel of the default template reads."""
    s3, bucket = account.session.client("s3"), ENVIRONMENT["HPOQ_ARTIFACT_BUCKET"]
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    for channel in ("train", "validation", "test"):
        s3.put_object(Bucket=bucket, Key=f"data/credit-default/{channel}/rows.npz", Body=b"rows")


@pytest.fixture
def hpoq(account: Account, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run ``hpoq ...``; exit status, stdout, stderr. The deployment has data and had one cycle."""
    from hpoq.cli import main

    put_data(account)
    account.cycle()

    def run(
        *arguments: str, stdin: str | None = None, status_only: bool = False
    ) -> tuple[int, str, str]:

        status = 0
        feed = patch("sys.stdin", io.StringIO(stdin))
        with patch("sys.argv", ["hpoq", *arguments]), feed:
            try:
                main()
            except SystemExit as ended:
                status = int(ended.code or 0)
        said = capsys.readouterr()
        return status, said.out, said.err

    with patch.dict(os.environ, {"HPOQ_TEAM": "fraud", "COLUMNS": "140"}):
        yield run
