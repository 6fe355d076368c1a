"""`hpoq data push`: data goes to where the templates read it, once, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from credit_default.dataset.sources import synthesize, write_csv
from tests.support.command_line import Run
from tests.support.dispatcher_account import Account

PARTS = ("train", "validation", "test")
HOME = "s3://artifacts/data/credit-default"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "credit"
    for part in PARTS:
        (made / part).mkdir(parents=True)
        (made / part / f"{part}.npz").write_bytes(part.encode())
    (made / "train" / ".DS_Store").write_text("not data")
    (made / "manifest.json").write_text("{}")
    return made


def objects(account: Account, prefix: str = "") -> dict[str, bytes]:
    s3 = account.session.client("s3")
    listed = s3.list_objects_v2(Bucket="artifacts", Prefix=prefix).get("Contents", ())
    return {
        each["Key"]: s3.get_object(Bucket="artifacts", Key=each["Key"])["Body"].read()
        for each in listed
        if not each["Key"].endswith("rows.npz")  # of the fixture
    }


def test_a_prepared_folder_goes_to_the_channels_of_the_default_template(
    hpoq: Run, account: Account, folder: Path
) -> None:
    status, out, err = hpoq("data", "push", str(folder))
    assert status == 0
    assert out.splitlines() == [f"{HOME}/{part}/" for part in PARTS]
    assert "train: 1 file sent (0.0 MB), 0 unchanged" in err
    assert objects(account) == {
        f"data/credit-default/{part}/{part}.npz": part.encode() for part in PARTS
    }


def test_what_is_there_already_is_not_sent_again(hpoq: Run, account: Account, folder: Path) -> None:
    hpoq("data", "push", str(folder))
    (folder / "test" / "test.npz").write_bytes(b"tset")  # the same size
    (folder / "train" / "more.npz").write_bytes(b"more")
    _, _, err = hpoq("data", "push", str(folder))
    assert "train: 1 file sent (0.0 MB), 1 unchanged" in err
    assert "validation: 0 files sent (0.0 MB), 1 unchanged" in err
    assert "test: 1 file sent (0.0 MB), 0 unchanged" in err
    assert objects(account)["data/credit-default/test/test.npz"] == b"tset"


def test_an_object_that_another_program_wrote_is_replaced(
    hpoq: Run, account: Account, folder: Path
) -> None:
    key = "data/credit-default/test/test.npz"
    account.session.client("s3").put_object(Bucket="artifacts", Key=key, Body=b"test")
    _, _, err = hpoq("data", "push", str(folder))
    assert "test: 1 file sent" in err


def test_objects_of_earlier_data_are_named(hpoq: Run, folder: Path) -> None:
    _, _, err = hpoq("data", "push", str(folder))
    assert (
        f"train: training jobs also read 1 other object there, such as {HOME}/train/rows.npz"
    ) in err


def test_the_credit_data_is_prepared_first(hpoq: Run, account: Account, tmp_path: Path) -> None:
    file = tmp_path / "credit.csv"
    write_csv(file, synthesize(200, np.random.default_rng(1)))
    status, out, _ = hpoq("data", "push", str(file))
    assert status == 0
    assert len(out.splitlines()) == 3
    assert {Path(key).name for key in objects(account)} == {f"{part}.npz" for part in PARTS}


def test_a_channel_takes_a_file_a_folder_or_its_subfolder(
    hpoq: Run, account: Account, folder: Path
) -> None:
    for source in (folder, folder / "train", folder / "train" / "train.npz"):
        status, out, _ = hpoq("data", "push", "--channel", "train", str(source))
        assert (status, out) == (0, f"{HOME}/train/\n")
    assert objects(account) == {"data/credit-default/train/train.npz": b"train"}


@pytest.mark.parametrize(
    ("prefix", "place"),
    [
        ("mine", "teams/fraud/mine"),
        ("data/mine", "teams/fraud/data/mine"),
        ("shared/mine", "shared/mine"),
        ("s3://artifacts/data/mine/", "data/mine"),
    ],
)
def test_a_prefix_takes_the_folder_as_it_is(
    hpoq: Run, account: Account, folder: Path, prefix: str, place: str
) -> None:
    status, _, _ = hpoq("data", "push", "--prefix", prefix, str(folder))
    assert status == 0
    names = ["manifest.json", *(f"{part}/{part}.npz" for part in PARTS)]
    assert set(objects(account)) == {f"{place}/{name}" for name in names}


def test_without_a_team_a_prefix_is_a_folder_of_the_bucket(
    hpoq: Run, account: Account, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HPOQ_TEAM")
    assert hpoq("data", "push", "--prefix", "data/mine", str(folder / "train"))[0] == 0
    assert set(objects(account)) == {"data/mine/train.npz"}


def test_with_a_team_a_prefix_is_a_folder_of_its_workspace(
    hpoq: Run, account: Account, folder: Path
) -> None:
    options = ("--team", "fraud", "--prefix", "churn")
    status, out, _ = hpoq("data", "push", *options, str(folder / "train"))
    assert (status, out) == (0, "s3://artifacts/teams/fraud/churn\n")
    assert set(objects(account)) == {"teams/fraud/churn/train.npz"}


def test_the_data_of_a_team_does_not_go_where_its_training_jobs_cannot_read(
    hpoq: Run, account: Account, folder: Path
) -> None:
    elsewhere = "s3://artifacts/teams/vision/churn/"
    status, _, err = hpoq("data", "push", "--team", "fraud", "--prefix", elsewhere, str(folder))
    assert status == 1
    assert f"{elsewhere} is outside the locations that training jobs of fraud may read" in err
    assert objects(account) == {}


def test_an_allowed_input_prefix_is_a_place_for_data(
    hpoq: Run, account: Account, folder: Path
) -> None:
    s3 = account.session.client("s3")
    s3.create_bucket(
        Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    account.configure(guardrails={"input_prefixes": ["s3://lake/credit/", "s3://artifacts/data/"]})
    account.cycle()
    assert hpoq("data", "push", "--prefix", "s3://lake/credit/a", str(folder))[0] == 0
    status, _, err = hpoq("data", "push", "--prefix", "s3://lake/credits", str(folder))
    assert status == 1
    assert "s3://lake/credits is outside the locations that training jobs of fraud may" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nosuch",), "nosuch: no such file or folder. Name one that exists"),
        (("empty",), "empty: has no folder train. The template reads the folders train, validati"),
        (("empty", "--channel", "train"), "empty: contains no files. Name a folder with data"),
        (("empty", "--channel", "x"), "has no channel 'x'. Channels: train, validation, test"),
        (("empty", "--template", "x"), "template: unknown template 'x'"),
        (("empty", "--prefix", "s3://lake/x"), "s3://lake/x is outside the locations that"),
        (("empty", "--prefix", "/"), "--prefix /: not a folder in S3. Name one, such as s3://arti"),
        (("empty", "--prefix", "gs://x/y"), "--prefix gs://x/y: not a folder in S3"),
        (("empty", "--prefix", "x", "--channel", "y"), "--prefix excludes --template and --chann"),
        (("note.csv",), "hpoq: note.csv, column LIMIT_BAL, row 1: is missing"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_sent(
    hpoq: Run,
    account: Account,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.csv").write_text("not,the,data\n1,2,3\n")
    monkeypatch.chdir(tmp_path)
    status, out, err = hpoq("data", "push", *arguments)
    assert (status, out) == (1, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert objects(account) == {}


def denied(account: Account, action: str) -> None:
    statement: Any = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": "*"}
    s3 = account.session.client("s3")
    s3.put_bucket_policy(Bucket="artifacts", Policy=json.dumps({"Statement": [statement]}))


def test_a_missing_permission_is_one_line_that_says_who_has_it(
    hpoq: Run, account: Account, folder: Path
) -> None:
    denied(account, "s3:PutObject")
    status, _, err = hpoq("data", "push", str(folder))
    assert status == 1
    (line,) = err.splitlines()
    assert line.startswith("hpoq: not permitted: ")
    assert line.endswith(
        f"on {HOME}/train/. Data is uploaded by whoever operates hpoq; "
        "docs/first-deployment.md#data lists the permissions"
    )


def test_a_missing_bucket_is_one_line(hpoq: Run, account: Account, folder: Path) -> None:
    s3 = account.session.client("s3")
    for part in PARTS:
        s3.delete_object(Bucket="artifacts", Key=f"data/credit-default/{part}/rows.npz")
    s3.delete_bucket(Bucket="artifacts")
    status, _, err = hpoq("data", "push", str(folder))
    assert (status, err) == (
        1,
        "hpoq: the bucket artifacts does not exist. Deploy again, or check the account and the "
        "Region\n",
    )
