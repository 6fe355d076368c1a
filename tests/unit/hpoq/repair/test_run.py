"""A ledger restored from a backup an hour old, repaired and not repaired."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.contract.targets.resources import quotas_document
from hpoq.repair.decision import Facts, Repair, decide
from hpoq.repair.run import DispatcherAtWork, RepairResult, repair
from tests.support.dispatcher_account import (
    FAR_FUTURE,
    RANGES,
    Account,
    account,
    session,
    write_quotas,
)
from tests.support.killed_dispatcher import later

__all__ = ["account", "session"]

TABLE = "hpoq-ledger"
Items = list[dict[str, Any]]


def rows(account: Account) -> Items:
    return account.dynamodb.scan(TableName=TABLE)["Items"]


def restore(account: Account, backup: Items) -> None:
    """What a restore from a backup does: the table is as it was."""
    for item in rows(account):
        key = {name: item[name] for name in ("team", "id")}
        account.dynamodb.delete_item(TableName=TABLE, Key=key)
    for item in backup:
        account.dynamodb.put_item(TableName=TABLE, Item=item)


def statuses(account: Account) -> dict[str, Status]:
    requests = account.dispatcher().requests
    keys = [(i["team"]["S"], i["id"]["S"]) for i in rows(account)]
    ours = [key for key in keys if not key[0].startswith("#")]
    return {"/".join(key): entry.status for key, entry in requests.get_all(ours).items()}


def run(account: Account, *, apply: bool = True) -> RepairResult:
    return repair("hpoq", apply=apply, session=account.session)


@pytest.fixture
def hour(account: Account) -> Items:
    """The backup; since then, half of it has started, ended, come and been refused."""
    account.request("fraud", "ended-before")
    account.cycle()
    account.cycle()
    account.send("fraud", {"action": "hold"})
    account.request("fraud", "queued-then")
    account.request("fraud", "child", after=["queued-then"])
    account.request("fraud", "kept", after=["never-comes"])
    account.cycle()
    backup = rows(account)
    account.send("fraud", {"action": "release"})
    account.request("fraud", "came-since")
    account.request("vision", "came-since")
    account.request("vision", "refused-since", template="no-such-template")
    account.cycle()
    account.cycle()
    return backup


EXPECTED = {
    "fraud/ended-before": Status.COMPLETED,
    "fraud/queued-then": Status.COMPLETED,
    "fraud/child": Status.COMPLETED,
    "fraud/kept": Status.QUEUED,
    "fraud/came-since": Status.COMPLETED,
    "vision/came-since": Status.COMPLETED,
    "vision/refused-since": Status.REJECTED,
}


def test_a_restored_ledger_is_rebuilt_and_nothing_starts_twice(
    account: Account, hour: Items
) -> None:
    account.cycle()
    lived = statuses(account)
    assert lived == EXPECTED
    jobs = account.tuning_jobs()
    restore(account, hour)

    report = run(account)

    assert statuses(account) == EXPECTED
    assert {"/".join(each.key): str(each.kind) for each in report.repairs} == {
        "fraud/queued-then": "correct",
        "fraud/child": "correct",
        "fraud/came-since": "restore",
        "vision/came-since": "restore",
        "vision/refused-since": "restore",
    }
    account.send("fraud", {"action": "release"})
    for _ in range(3):
        assert later(account).started == 0
    assert account.tuning_jobs() == jobs
    requests = account.dispatcher().requests
    assert requests.running() == []
    assert requests.blocked() == []
    never_started = statuses(account)["fraud/kept"]
    assert never_started == Status.CANCELLED, "its dependency has not arrived within 14 days"
    restored = requests.get("vision", "came-since")
    assert restored is not None
    assert (restored.max_training_jobs, dict(restored.instances)) == (20, {"ml.m5.large": 2})
    assert restored.best == account_best(account, restored.tuning_job_name)


def account_best(account: Account, name: str) -> Any:
    detail = account.dispatcher().tuning.describe(name)
    assert detail is not None
    return detail.best


def test_a_stale_ledger_starts_nothing_twice_even_without_a_repair(
    account: Account, hour: Items
) -> None:
    account.cycle()
    jobs = account.tuning_jobs()
    restore(account, hour)
    account.send("fraud", {"action": "release"})

    for _ in range(5):
        later(account)

    assert account.tuning_jobs() == jobs
    now = statuses(account)
    assert {now[name] for name in hour_names(hour) if name != "fraud/kept"} == {Status.COMPLETED}
    assert account.dead_letters("fraud") == []


def hour_names(backup: Items) -> list[str]:
    return [
        f"{item['team']['S']}/{item['id']['S']}" for item in backup if item["team"]["S"][0] != "#"
    ]


def test_a_dry_run_writes_nothing_and_says_the_same(account: Account, hour: Items) -> None:
    account.cycle()
    restore(account, hour)
    before = sorted(map(json.dumps, rows(account)))

    report = run(account, apply=False)

    assert sorted(map(json.dumps, rows(account))) == before
    assert not report.written
    assert shape(report) == shape(run(account))
    assert run(account).repairs == [], "once is enough"


def shape(report: RepairResult) -> list[tuple[Any, ...]]:
    return [
        (each.kind, each.key, each.was, each.entry.status if each.entry else None)
        for each in report.repairs
    ]


def test_a_lost_ledger_is_rebuilt_from_nothing(account: Account) -> None:
    account.request("fraud", "a")
    account.request("vision", "b")
    account.cycle()
    account.cycle()
    restore(account, [item for item in rows(account) if item["team"]["S"] == "#deployment"])

    run(account)

    assert statuses(account) == {"fraud/a": Status.COMPLETED, "vision/b": Status.COMPLETED}
    account.request("fraud", "a")  # a team that sends its hour again, to be sure
    assert account.cycle().repeated == 1
    assert len(account.tuning_jobs()) == 2


def running(account: Account, name: str, status: str, region: str = "eu-central-1") -> None:
    """moto ends tuning jobs at once; this one has not."""
    from moto.backends import get_backend

    backend = get_backend("sagemaker")["123456789012"][region]
    backend.hyper_parameter_tuning_jobs[name].hyper_parameter_tuning_job_status = status


def test_what_still_runs_holds_its_capacity_again(account: Account) -> None:
    account.configure(limits={"tuning_jobs": 1})
    account.request("fraud", "a")
    account.cycle()
    (name,) = account.tuning_jobs()
    running(account, name, "InProgress")
    restore(account, [item for item in rows(account) if item["team"]["S"] == "#deployment"])
    account.request("fraud", "b")

    run(account)

    (active,) = account.dispatcher().requests.running()
    assert (active.tuning_job_name, active.request_id) == (name, "a")
    assert account.cycle().started == 0, "the account is full"
    running(account, name, "Completed")
    assert account.cycle().started == 1


def test_others_tuning_jobs_are_left_to_others(account: Account) -> None:
    builder = account.dispatcher().builder
    wanted = {"request_id": "x", "hyperparameter_ranges": RANGES}
    job = builder.api_request("fraud", TuningRequest.model_validate(wanted))
    tags = {tag["Key"]: tag["Value"] for tag in job["Tags"]}
    for name, changed in {
        job["HyperParameterTuningJobName"]: {"hpoq:deployment": "another"},
        "by-hand": {},
        "forged-aaaaaaaa": {"hpoq:request-id": "never-sent"},
    }.items():
        pairs = [{"Key": key, "Value": value} for key, value in (tags | changed).items()]
        account.sagemaker.create_hyper_parameter_tuning_job(
            **{**job, "HyperParameterTuningJobName": name, "Tags": pairs}
        )

    assert run(account, apply=False).repairs == []


def test_a_repair_waits_until_no_dispatcher_is_at_work(account: Account, hour: Items) -> None:
    account.cycle()
    restore(account, hour)
    now = datetime.now(UTC)
    leases = account.dispatcher().leases
    assert leases.acquire("a dispatcher", now, now + timedelta(minutes=15))
    before = sorted(map(json.dumps, rows(account)))

    with pytest.raises(DispatcherAtWork, match="Nothing was written"):
        run(account)
    assert sorted(map(json.dumps, rows(account))) == before

    assert run(account, apply=False).repairs, "looking needs no lease"
    leases.release("a dispatcher", None)
    run(account)
    assert account.cycle().skipped == "", "the lease was given back"


def test_a_dispatcher_that_comes_during_a_repair_starts_nothing(
    account: Account, hour: Items
) -> None:
    account.cycle()
    restore(account, hour)
    seen = []

    def cycle_and_decide(facts: Facts) -> list[Repair]:
        seen.append(account.cycle().skipped)
        return decide(facts)

    with patch("hpoq.repair.run.decide", cycle_and_decide):
        run(account)

    assert seen == ["another dispatcher is running, which will run another cycle"]


def test_the_command_shows_first_and_writes_with_the_option(
    account: Account, hour: Items, capsys: pytest.CaptureFixture[str]
) -> None:
    from hpoq.cli import main

    account.cycle()
    restore(account, hour)

    def hpoq(*arguments: str) -> tuple[str, str]:
        with (
            patch("sys.argv", ["hpoq", "repair", *arguments]),
            patch.dict(os.environ, {"COLUMNS": "160"}),
            pytest.raises(SystemExit) as ended,
        ):
            main()
        assert not ended.value.code
        said = capsys.readouterr()
        return said.out, said.err

    out, err = hpoq()
    assert "5 repairs needed; nothing was written" in err
    assert "vision/came-since" in out
    out, _ = hpoq("--json")
    assert [each["repair"] for each in json.loads(out)].count("restore") == 3
    assert "5 repairs written" in hpoq("--apply")[1]
    assert "nothing to repair" in hpoq()[1]


HOME_ACCOUNT = "123456789012"
TARGETS = {
    "home": {"account": HOME_ACCOUNT, "region": "eu-central-1"},
    "west": {"account": HOME_ACCOUNT, "region": "us-west-2"},
    "research": {"account": "222222222222", "region": "eu-central-1"},
}


@pytest.fixture
def targets(account: Account, tmp_path: Path) -> Iterator[Account]:
    """A deployment with two targets, of which the operator has no profile of one."""
    for name in ("west", "research"):
        write_quotas(account, {"ml.m5.large": 500}, FAR_FUTURE, quotas_document(name))
    account.configure(targets=TARGETS)
    account.wired().publish_settings()
    config = {"AWS_CONFIG_FILE": str(tmp_path / "config")}
    with patch.dict(os.environ, config):
        (tmp_path / "config").touch()
        yield account


def entry_of(account: Account, request_id: str) -> Entry:
    found = account.dispatcher().requests.get("fraud", request_id)
    assert found is not None
    return found


def test_requests_that_started_on_a_target_after_the_backup_are_found_there(
    targets: Account,
) -> None:
    targets.configure(targets=TARGETS, limits={"tuning_jobs": 1})
    targets.request("fraud", "at-home")
    targets.cycle()
    running(targets, targets.tuning_jobs()[0], "InProgress")
    targets.send("fraud", {"action": "hold"})
    targets.request("fraud", "queued-then", targets=["home", "west"])
    targets.cycle()
    backup = rows(targets)
    targets.send("fraud", {"action": "release"})
    targets.request("fraud", "came-since", targets=["west"])
    targets.cycle()
    restore(targets, backup)

    repaired = run(targets)

    assert {each.key[1]: str(each.kind) for each in repaired.repairs} == {
        "queued-then": "correct",
        "came-since": "restore",
    }
    for request_id in ("queued-then", "came-since"):
        found = entry_of(targets, request_id)
        assert (found.status, found.target) == (Status.COMPLETED, "west")
    targets.send("fraud", {"action": "release"})
    assert later(targets).started == 0
    assert len(targets.tuning_jobs()) == 1, "none of them runs at home, too"


def test_what_runs_on_a_target_counts_there_again(targets: Account) -> None:
    targets.request("fraud", "a", targets=["west"])
    targets.cycle()
    (name,) = west_jobs(targets)
    running(targets, name, "InProgress", "us-west-2")
    restore(targets, [item for item in rows(targets) if item["team"]["S"] == "#deployment"])

    run(targets)

    (active,) = targets.dispatcher().requests.running()
    assert (active.tuning_job_name, active.target) == (name, "west")
    assert run(targets).repairs == [], "once is enough"


def test_a_target_that_cannot_be_read_is_named_and_its_requests_are_left_alone(
    targets: Account, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    targets.request("fraud", "promised-then", targets=["home", "research"])
    targets.cycle()
    backup = rows(targets)
    targets.request("vision", "refused-since", template="no-such-template")
    targets.cycle()
    (name,) = targets.tuning_jobs()
    restore(targets, backup)
    targets.sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)

    repaired = run(targets)

    assert repaired.repairs == [], "a promise at home may have been given up for research"
    (warning,) = repaired.warnings
    assert "target research is in account 222222222222" in warning
    assert "Run `hpoq repair` again with access to it" in warning
    assert main_says(capsys, "repair").count("\n") == 2

    give_access(tmp_path / "config")
    again = run(targets)
    assert again.warnings == []
    assert {each.key[1]: str(each.kind) for each in again.repairs} == {
        "promised-then": "requeue",
        "refused-since": "restore",
    }


def test_a_second_tuning_job_of_a_request_is_named_and_left_to_people(targets: Account) -> None:
    targets.request("fraud", "a", targets=["home", "west"])
    targets.cycle()
    (name,) = targets.tuning_jobs()
    running(targets, name, "InProgress")
    request = entry_of(targets, "a").request
    assert request
    there = targets.session.client("sagemaker", region_name="us-west-2")
    builder = targets.dispatcher().builder
    there.create_hyper_parameter_tuning_job(**builder.on("west").api_request("fraud", request))

    repaired = run(targets)

    assert repaired.repairs == []
    assert (
        f"fraud/a has a second tuning job, {name} on west, which is Completed. The ledger keeps "
        "the other one. Stop this one if it runs"
    ) in repaired.warnings


def give_access(config: Path) -> None:
    """Add the profile of the target in the other account."""
    sts = boto3.client("sts", region_name="eu-central-1")
    role = "arn:aws:iam::222222222222:role/reader"
    made = sts.assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    config.write_text(
        f"[profile hpoq-research]\naws_access_key_id = {made['AccessKeyId']}\n"
        f"aws_secret_access_key = {made['SecretAccessKey']}\n"
        f"aws_session_token = {made['SessionToken']}\n"
    )


def main_says(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    from hpoq.cli import main

    with patch("sys.argv", ["hpoq", *arguments]), pytest.raises(SystemExit):
        main()
    return capsys.readouterr().err


def west_jobs(account: Account) -> list[str]:
    there = account.session.client("sagemaker", region_name="us-west-2")
    found = there.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"]
    return [each["HyperParameterTuningJobName"] for each in found]
