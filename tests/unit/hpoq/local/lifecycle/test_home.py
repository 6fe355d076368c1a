"""What is kept in a cloud's folder, and for whom."""

from __future__ import annotations

import multiprocessing
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from hpoq.local.lifecycle.home import CloudAccount, Home
from tests.support.running_cloud import RUNNING

ACCOUNT = CloudAccount(
    account="123456789012",
    region="us-east-1",
    access_key_id="AKIA",
    secret_access_key="secret",
    port=4566,
    quotas={"tuning_jobs": 7},
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / ".hpoq")
    home.create()
    return home


def test_stored_documents_can_be_read_again(home: Home) -> None:
    assert home.account() is None
    assert home.last_run() is None

    home.store_account(ACCOUNT)
    home.store_running(RUNNING)

    assert home.account() == ACCOUNT
    assert home.last_run() == RUNNING
    home.delete_running()
    assert home.last_run() is None
    assert home.account() == replace(ACCOUNT)


def test_credentials_are_for_their_owner_alone(home: Home) -> None:
    home.store_account(ACCOUNT)
    home.store_running(RUNNING)

    for path in (home.path / "account.json", home.path / "cloud.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_a_record_without_a_process_is_no_running_cloud(home: Home) -> None:
    home.store_running(RUNNING)

    assert home.running() is None
    assert home.last_run() == RUNNING


def _hold_until_told(path: Path, held: object, leave: object) -> None:
    Home(path).hold()
    held.set()  # type: ignore[attr-defined]
    leave.wait(30)  # type: ignore[attr-defined]


def test_a_home_is_held_by_one_process_until_it_ends(home: Home) -> None:
    context = multiprocessing.get_context("spawn")
    held, leave = context.Event(), context.Event()
    holder = context.Process(target=_hold_until_told, args=(home.path, held, leave))
    holder.start()
    assert held.wait(30)

    assert home.is_alive()
    with pytest.raises(BlockingIOError):
        home.hold()

    holder.kill()
    holder.join(30)
    assert not home.is_alive()


def test_the_folder_is_named_or_from_the_environment_or_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPOQ_HOME", raising=False)
    assert Home.find().path == tmp_path / ".hpoq"

    monkeypatch.setenv("HPOQ_HOME", str(tmp_path / "elsewhere"))
    assert Home.find().path == tmp_path / "elsewhere"
    assert Home.find(tmp_path / "named").path == tmp_path / "named"
