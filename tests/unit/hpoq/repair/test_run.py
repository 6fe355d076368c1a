"""A ledger restored from a backup an hour old, repaired and not repaired."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.request import TuningRequest
from hpoq.repair.decision import Facts, Repair, decide
from hpoq.repair.run import DispatcherAtWork, OtherTargets, RepairResult, repair
from tests.support.dispatcher_account import RANGES, Account, account, session
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


def running(account: Account, name: str, status: str) -> None:
    """moto ends tuning jobs at once; this one has not."""
    from moto.backends import get_backend

    backend = get_backend("sagemaker")["123456789012"]["eu-central-1"]
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


def test_a_deployment_with_other_targets_is_not_repaired(account: Account) -> None:
    """A request that runs on another target has no tuning job at home, and must not start again."""
    account.configure(
        targets={
            "home": {"account": "123456789012", "region": "eu-central-1"},
            "research": {"account": "222222222222", "region": "eu-central-1"},
        }
    )
    account.wired().publish_settings()
    before = rows(account)
    for apply in (False, True):
        with pytest.raises(OtherTargets, match="sees the tuning jobs of home only") as error:
            run(account, apply=apply)
        assert "\n" not in str(error.value)
    assert rows(account) == before
