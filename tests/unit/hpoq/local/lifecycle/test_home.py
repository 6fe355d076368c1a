"""The documents and the lock of a home."""

from __future__ import annotations

import multiprocessing
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from hpoq.local.errors import LocalCloudError
from hpoq.local.lifecycle.home import Home
from tests.support.running_cloud import ACCOUNT, RUNNING


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


def test_only_the_owner_can_read_credentials(home: Home) -> None:
    home.store_account(ACCOUNT)
    home.store_running(RUNNING)

    for path in (home.path / "account.json", home.path / "cloud.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_every_folder_of_a_home_is_closed_to_others_whatever_the_umask(tmp_path: Path) -> None:
    """Files in them need no mode of their own: state, S3 objects, logs, and what was before."""
    before = os.umask(0)
    try:
        home = Home(tmp_path / ".hpoq")
        home.create()
        for _ in range(2):  # the second one keeps the first in a folder of its own
            home.store_account(ACCOUNT)
    finally:
        os.umask(before)
    folders = [each for each in home.path.rglob("*") if each.is_dir()]
    assert {home.logs, home.state, home.objects, home.path / "previous"} <= set(folders)
    assert {stat.S_IMODE(each.stat().st_mode) for each in (home.path, *folders)} == {0o700}


def test_a_folder_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    folder = tmp_path / "existing"
    folder.mkdir(mode=0o755)
    Home(folder).create()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_of_another_user_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    folder = tmp_path / "existing"
    folder.mkdir(mode=0o755)
    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(LocalCloudError, match="belongs to another user"):
        Home(folder).create()


def test_only_the_owner_can_read_the_settings_of_pip(home: Home) -> None:
    home.store_settings({"pip": {"PIP_INDEX_URL": "https://user:password@example.com"}})
    assert stat.S_IMODE(home.settings.stat().st_mode) == 0o600


def test_a_record_without_a_process_is_not_a_running_cloud(home: Home) -> None:
    home.store_running(RUNNING)

    assert home.running() is None
    assert home.last_run() == RUNNING


def _hold_until_event(path: Path, held: object, finish: object) -> None:
    Home(path).hold()
    held.set()  # type: ignore[attr-defined]
    finish.wait(30)  # type: ignore[attr-defined]


def test_one_process_holds_the_lock_of_a_home_until_it_ends(home: Home) -> None:
    context = multiprocessing.get_context("spawn")
    held, finish = context.Event(), context.Event()
    holder = context.Process(target=_hold_until_event, args=(home.path, held, finish))
    holder.start()
    assert held.wait(30)

    assert home.is_alive()
    with pytest.raises(BlockingIOError):
        home.hold()

    holder.kill()
    holder.join(30)
    assert not home.is_alive()


def test_the_home_comes_from_the_argument_the_environment_or_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPOQ_HOME", raising=False)
    assert Home.find().path == tmp_path / ".hpoq"

    monkeypatch.setenv("HPOQ_HOME", str(tmp_path / "elsewhere"))
    assert Home.find().path == tmp_path / "elsewhere"
    assert Home.find(tmp_path / "named").path == tmp_path / "named"
