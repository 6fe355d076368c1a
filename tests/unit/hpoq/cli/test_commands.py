from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jsonschema
import pytest

from hpo_dispatcher.contract.documents.capacity import CapacityDocument, MeasuredEstimates
from hpo_dispatcher.contract.entry import BestTrainingJob, Status
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from tests.support.command_line import Run
from tests.support.dispatcher_account import ENVIRONMENT, RANGES, Account
from tests.support.tuning_requests import api_request

REQUEST = {"hyperparameter_ranges": RANGES}
YAML = "hyperparameter_ranges: {n: {type: integer, min: 1, max: 2}}"


def written(folder: Path, name: str, text: str) -> str:
    file = folder / name
    file.write_text(text)
    return str(file)


# submit


def test_submit_prints_the_ids_alone_on_stdout(hpoq: Run, account: Account, tmp_path: Path) -> None:
    file = written(tmp_path, "a.json", json.dumps(REQUEST | {"request_id": "mine"}))
    status, out, err = hpoq("submit", file)
    assert (status, out) == (0, "mine\n")
    assert "1 request sent as team fraud" in err
    assert account.cycle().started == 1


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [
        ("one.json", json.dumps(REQUEST), 1),
        ("array.json", json.dumps([REQUEST, REQUEST]), 2),
        ("lines.jsonl", f"{json.dumps(REQUEST)}\n{json.dumps(REQUEST)}\n", 2),
        ("one.yaml", YAML, 1),
        ("many.yaml", "\n---\n".join([YAML] * 3), 3),
    ],
)  # fmt: skip
def test_submit_reads_json_lines_and_yaml(
    hpoq: Run, tmp_path: Path, name: str, text: str, count: int
) -> None:
    status, out, _ = hpoq("submit", written(tmp_path, name, text))
    assert status == 0
    assert len(out.split()) == count


API_REQUEST = api_request()


def test_submit_sends_requests_in_api_form(hpoq: Run, account: Account, tmp_path: Path) -> None:
    bucket = "s3://sagemaker-eu-central-1-111122223333/"
    account.configure(guardrails={"input_prefixes": [bucket], "output_prefixes": [bucket]})
    account.cycle()
    file = written(tmp_path, "request.json", json.dumps(API_REQUEST))
    status, out, err = hpoq("submit", "--no-check", "--api-request", file)
    assert (status, out.strip()) == (0, API_REQUEST["HyperParameterTuningJobName"]), err
    assert account.cycle().started == 1
    status, out, _ = hpoq("submit", "--dry-run", "--no-check", "--api-request", file)
    assert json.loads(out)[0]["TrainingJobDefinition"]["RoleArn"] == ENVIRONMENT[
        "HPOQ_TRAINING_ROLE_ARN"
    ]  # fmt: skip


def test_submit_names_every_wrong_field_of_an_api_request(hpoq: Run, tmp_path: Path) -> None:
    definition = API_REQUEST["TrainingJobDefinition"] | {"RoleArm": "x", "Environment": 5}
    request = API_REQUEST | {"TrainingJobDefinition": definition}
    file = written(tmp_path, "request.json", json.dumps(request))
    status, _, err = hpoq("submit", "--api-request", file)
    assert status == 1
    found = sorted(line.split(": ")[-2] for line in err.splitlines())
    assert len(found) == 2
    assert "RoleArm: the API has no such field. Did you mean RoleArn?" in err
    assert "TrainingJobDefinition.Environment: 5 has the wrong type" in err


def test_submit_without_a_file_says_so(hpoq: Run) -> None:
    status, _, err = hpoq("submit")
    assert status == 2
    assert "--api-request" in err


def test_submit_reads_stdin_and_more_than_one_batch(hpoq: Run, account: Account) -> None:
    lines = "\n".join(json.dumps(REQUEST) for _ in range(25))
    _, out, _ = hpoq("submit", "-", stdin=lines)
    assert len(set(out.split())) == 25
    assert account.waiting("fraud") == 25


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{]", "not valid JSON or YAML"),
        ("", "contains no request"),
        ("[1]", "not a JSON object"),
        (json.dumps({"hyperparameter_ranges": {}}), "hyperparameter_ranges: empty"),
    ],
)
def test_a_bad_file_is_one_line_and_nothing_is_sent(
    hpoq: Run, account: Account, tmp_path: Path, text: str, said: str
) -> None:
    status, out, err = hpoq("submit", written(tmp_path, "bad.json", text))
    assert (status, out) == (1, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert account.waiting("fraud") == 0


def test_one_bad_request_of_many_keeps_all_from_being_sent(
    hpoq: Run, account: Account, tmp_path: Path
) -> None:
    file = written(tmp_path, "two.json", json.dumps([REQUEST, {"stratgy": 1}]))
    status, _, err = hpoq("submit", file)
    assert status == 1
    assert "request 2: stratgy: unknown field. Did you mean strategy?" in err
    assert account.waiting("fraud") == 0


def test_a_dry_run_shows_the_api_request_and_sends_nothing(
    hpoq: Run, account: Account, tmp_path: Path
) -> None:
    file = written(tmp_path, "a.json", json.dumps(REQUEST | {"request_id": "mine"}))
    status, out, _ = hpoq("submit", "--dry-run", file)
    assert status == 0
    (shown,) = json.loads(out)
    assert shown["HyperParameterTuningJobConfig"]["Strategy"] == "Bayesian"
    assert account.waiting("fraud") == 0


def test_a_dry_run_knows_the_guardrails(hpoq: Run, account: Account, tmp_path: Path) -> None:
    account.configure(guardrails={"max_training_jobs": 3})
    account.cycle()
    status, _, err = hpoq("submit", "--dry-run", written(tmp_path, "a.json", json.dumps(REQUEST)))
    assert status == 1
    assert "resource_limits.max_training_jobs: 20, but the deployment allows at most 3" in err


def test_submit_tells_what_the_requests_cost_at_most_and_no_price_is_made_up(
    hpoq: Run, account: Account, tmp_path: Path
) -> None:
    mine = REQUEST | {"request_id": "mine"}
    _, _, err = hpoq("submit", written(tmp_path, "a.json", json.dumps(mine)))
    assert "mine: at most 10 instance-hours of ml.m5.large; no price is set for ml.m5.large" in err
    account.configure(prices={"ml.m5.large": 0.2})
    account.cycle()
    file = written(tmp_path, "b.json", json.dumps([REQUEST, mine]))
    status, out, err = hpoq("submit", "--json", file)
    assert status == 0
    estimates = [each["estimate"] for each in json.loads(out)]
    assert [each["cost"] for each in estimates] == [2.0, 2.0]
    assert json.loads(out)[1]["request_id"] == "mine"
    assert "2 requests together: at most 20 instance-hours of ml.m5.large, 4.00 USD" in err


def test_a_dry_run_tells_the_estimate_and_what_the_budget_makes_of_it(
    hpoq: Run, account: Account, tmp_path: Path
) -> None:
    account.configure(teams={"fraud": {"monthly_instance_hours": 15}, "vision": {}})
    account.cycle()
    file = written(tmp_path, "a.json", json.dumps([REQUEST, REQUEST]))
    status, out, err = hpoq("submit", "--dry-run", "--json", file)
    assert status == 0
    first = json.loads(out)[0]
    assert first["tuning_job"]["HyperParameterTuningJobConfig"]["Strategy"] == "Bayesian"
    assert first["estimate"]["instance_hours"] == 10
    assert "budget of team fraud: 15 of 15 instance-hours are left in 20" in err
    assert "requests beyond them will wait" in err


def test_many_requests_are_estimated_together(hpoq: Run, tmp_path: Path) -> None:
    many = written(tmp_path, "a.json", json.dumps([REQUEST] * 11))
    _, _, err = hpoq("submit", many)
    assert err.count("instance-hours") == 1
    assert "11 requests together: at most 110 instance-hours" in err


def test_what_cannot_be_estimated_is_sent_all_the_same(
    hpoq: Run, account: Account, tmp_path: Path
) -> None:
    file = written(tmp_path, "a.json", json.dumps(REQUEST | {"template": "no-such"}))
    status, out, err = hpoq("submit", "--no-check", "--json", file)
    assert status == 0
    assert json.loads(out)[0]["estimate"] is None
    assert "cannot estimate the cost: template: unknown template 'no-such'" in err
    assert account.waiting("fraud") == 1


BETWEEN = {"type": "continuous", "min": 0.1, "max": 0.2}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"template": "no-such"}, "template: unknown template 'no-such'"),
        ({"resource_limits": {"max_training_jobs": 4}}, "but the deployment allows at most 3"),
        (
            {"resource_limits": {"max_training_jobs": 3, "max_parallel_training_jobs": 3}},
            "'Number of parallel training jobs per hyperparameter tuning job'",
        ),
        ({"objective": {"metric": "nosuch", "type": "Maximize"}}, "nosuch"),
        (
            {"strategy": "Grid", "hyperparameter_ranges": {"lr": BETWEEN}},
            "Grid",
        ),
    ],
)
@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_what_the_dispatcher_would_reject_is_not_sent(
    hpoq: Run,
    account: Account,
    tmp_path: Path,
    changes: dict[str, Any],
    said: str,
    options: tuple[str, ...],
) -> None:
    account.configure(guardrails={"max_training_jobs": 3}, limits={"parallel_training_jobs": 2})
    account.cycle()
    jobs = {"resource_limits": {"max_training_jobs": 2, "max_parallel_training_jobs": 1}}
    file = written(tmp_path, "a.json", json.dumps(REQUEST | jobs | changes))
    status, out, err = hpoq("submit", *options, file)
    assert (status, out) == (1, "")
    assert err.startswith(f"hpoq: {file}: ")
    assert said in err
    assert account.waiting("fraud") == 0


def emptied(account: Account, channel: str) -> None:
    key = f"data/credit-default/{channel}/rows.npz"
    account.session.client("s3").delete_object(Bucket="artifacts", Key=key)


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_request_whose_channel_is_empty_is_not_sent(
    hpoq: Run, account: Account, tmp_path: Path, options: tuple[str, ...]
) -> None:
    emptied(account, "validation")
    s3 = account.session.client("s3")  # what the console leaves when it creates a folder
    s3.put_object(Bucket="artifacts", Key="data/credit-default/validation/", Body=b"")
    file = written(tmp_path, "a.json", json.dumps(REQUEST))
    status, out, err = hpoq("submit", *options, file)
    assert (status, out) == (1, "")
    assert err == (
        f"hpoq: {file}: the channel 'validation' has no data: "
        "s3://artifacts/data/credit-default/validation/ is empty. Upload it with `hpoq data push "
        "FOLDER`; --no-check sends the request all the same\n"
    )
    assert account.waiting("fraud") == 0


def test_without_the_check_a_request_is_sent_before_its_data(
    hpoq: Run, account: Account, tmp_path: Path
) -> None:
    emptied(account, "train")
    status, _, _ = hpoq("submit", "--no-check", written(tmp_path, "a.json", json.dumps(REQUEST)))
    assert status == 0
    assert account.waiting("fraud") == 1


def test_a_channel_in_no_bucket_is_named(hpoq: Run, account: Account, tmp_path: Path) -> None:
    account.configure(guardrails={"input_prefixes": ["s3://no-such-bucket/"]})
    account.cycle()
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://no-such-bucket/lake"}
    channel = {"ChannelName": "lake", "DataSource": {"S3DataSource": source}}
    overrides = {"TrainingJobDefinition": {"InputDataConfig": [channel]}}
    file = written(tmp_path, "a.json", json.dumps(REQUEST | {"overrides": overrides}))
    status, _, err = hpoq("submit", file)
    assert status == 1
    assert "s3://no-such-bucket/lake is in a bucket that does not exist" in err
    assert "`hpoq data push --prefix s3://no-such-bucket/lake FOLDER`" in err


# reading


@pytest.fixture
def ended(account: Account) -> None:
    """Two requests of fraud, one with a best training job, and one of vision."""
    for team, request_id in (("fraud", "a"), ("fraud", "b"), ("vision", "v")):
        account.request(team, request_id)
    account.cycle()
    best = BestTrainingJob(
        name="a-001", objective=0.78, metric="validation:auc", hyperparameters={"lr": "0.0123456"}
    )
    counters = {"Completed": 3, "NonRetryableError": 1}
    account.end("fraud", "a", Status.COMPLETED, counters=counters, best=best)


@pytest.mark.usefixtures("ended")
def test_list_shows_a_teams_requests(hpoq: Run) -> None:
    status, out, err = hpoq("list")
    assert status == 0
    assert "0.7800" in out
    assert "lr=0.01235" in out
    assert "3/20 (1 failed)" in out
    assert "2 of 2 requests" in err


@pytest.mark.usefixtures("ended")
def test_list_filters_and_speaks_json(hpoq: Run) -> None:
    _, out, _ = hpoq("list", "--all-teams", "--json")
    assert {(e["team"], e["request_id"]) for e in json.loads(out)} == {
        ("fraud", "a"), ("fraud", "b"), ("vision", "v")
    }  # fmt: skip
    _, out, _ = hpoq("list", "--status", "completed", "--json")
    assert "a" in {entry["request_id"] for entry in json.loads(out)}
    status, _, err = hpoq("list", "--status", "Done")
    assert status == 2
    assert "unknown status 'Done'; use one of Queued" in err


@pytest.mark.usefixtures("ended")
def test_status_and_best_say_what_was_found(hpoq: Run) -> None:
    _, out, _ = hpoq("status", "a")
    assert "validation:auc by a-001" in out
    _, out, _ = hpoq("status", "a", "--json")
    assert json.loads(out)["counters"] == {"Completed": 3, "NonRetryableError": 1}
    _, out, _ = hpoq("best", "a", "--json")
    assert json.loads(out)["hyperparameters"] == {"lr": "0.0123456"}
    _, out, _ = hpoq("best", "a")
    assert "0.0123456" in out


@pytest.mark.parametrize("command", ["status", "best"])
def test_an_unknown_request_is_one_line(hpoq: Run, command: str) -> None:
    status, _, err = hpoq(command, "nope")
    assert status == 1
    assert "no request 'nope' of team fraud" in err


@pytest.mark.usefixtures("ended")
def test_watch_ends_with_a_leaderboard_and_tells_success_by_its_status(hpoq: Run) -> None:
    status, out, err = hpoq("watch", "a")
    assert status == 0
    assert "lr=0.01235" in out
    assert "fraud/a Completed" in err
    assert "hpoq logs --team fraud --failed a" in err


def test_capacity_tells_what_is_in_use_and_who_waits(hpoq: Run, account: Account) -> None:
    account.configure(limits={"tuning_jobs": 1})
    account.request("fraud", "a")
    account.request("fraud", "b")
    account.cycle()
    _, out, err = hpoq("capacity")
    assert "tuning jobs" in out
    assert "1/1 in use, 1 needed; used by: fraud 1" in out
    assert "as of 20" in err
    _, out, _ = hpoq("capacity", "--json")
    assert json.loads(out)["tuning_jobs"]["by_team"] == {"fraud": 1}
    _, out, _ = hpoq("status", "b")
    assert "used by: fraud 1" in out


def test_capacity_says_how_many_estimates_have_held(hpoq: Run, account: Account) -> None:
    account.configure()
    account.cycle()
    assert "estimates" not in hpoq("capacity")[2]
    documents = account.dispatcher().documents
    document = CapacityDocument.parse(documents.get(CAPACITY_DOCUMENT))
    assert document is not None
    measured = document.model_copy(update={"estimates": MeasuredEstimates(starts=240, within=194)})
    documents.put(CAPACITY_DOCUMENT, measured.to_json())
    said = hpoq("capacity")[2]
    assert "estimates of the last 14 days: 81% of 240 starts within their range\n" in said


def test_capacity_and_status_show_a_budget_and_whom_it_holds(hpoq: Run, account: Account) -> None:
    account.configure(
        teams={"fraud": {"monthly_instance_hours": 15}, "vision": {}}, prices={"ml.m5.large": 0.1}
    )
    account.request("fraud", "a")
    account.request("fraud", "b")
    account.cycle()
    _, out, _ = hpoq("capacity")
    row = next(line for line in out.splitlines() if line.startswith("fraud"))
    assert row.split()[2:] == ["15.0", "0.0", "10.0", "5.0"]
    _, out, _ = hpoq("capacity", "--json")
    assert json.loads(out)["budgets"]["fraud"]["set_aside"] == 10
    waiting = json.loads(out)["waiting"][0]["request_id"]
    _, out, _ = hpoq("status", waiting)
    assert "the budget of team fraud is 15 instance-hours a month" in out
    assert "at most 10 instance-hours (1.00 USD)" in out
    account.cycle()  # moto's tuning jobs end at once
    _, out, _ = hpoq("status", "b" if waiting == "a" else "a")
    assert "instance-hours (0.00 USD) used, at most 10 instance-hours (1.00 USD)" in out


def test_templates_are_listed_and_shown(hpoq: Run) -> None:
    _, out, _ = hpoq("template", "list")
    assert "credit-default-cpu (default)" in out
    _, out, _ = hpoq("template", "list", "--json")
    assert "smoke" in json.loads(out)
    _, out, _ = hpoq("template", "show", "smoke")
    assert "entry_point: train_cpu.py" in out
    assert "no template 'x'" in hpoq("template", "show", "x")[2]


def test_the_schema_is_printed(hpoq: Run) -> None:
    _, out, _ = hpoq("schema")
    jsonschema.validate(REQUEST, json.loads(out))


# writing


def test_actions_go_over_the_teams_queue(hpoq: Run, account: Account) -> None:
    hpoq("cancel", "x", "y")
    assert account.waiting("fraud") == 2
    account.cycle()
    requests = account.dispatcher().requests
    for each in ("x", "y"):
        entry = requests.get("fraud", each)
        assert entry is not None
        assert entry.status is Status.CANCELLED
    for command in (["priority", "x", "5"], ["hold", "x"], ["release"]):
        assert hpoq(*command)[0] == 0
    assert account.waiting("fraud") == 3


def test_redrive_shows_why_and_sends_back(hpoq: Run, account: Account) -> None:
    account.request("fraud", "bad", template="gpu")
    account.cycle()
    account_visible(account)
    _, out, _ = hpoq("redrive", "--json")
    (letter,) = json.loads(out)
    assert (letter["field"], letter["team"]) == ("template", "fraud")
    account_visible(account)
    _, out, _ = hpoq("redrive")
    assert "unknown template 'gpu'" in out
    account_visible(account)
    assert "0 messages" in hpoq("redrive", "--send", "--filter", "other")[2]
    account_visible(account)
    editor = "python -c 'import sys,pathlib; p=pathlib.Path(sys.argv[1]); "
    editor += 'p.write_text(p.read_text().replace("gpu", "smoke"))\''
    with patch.dict(os.environ, {"EDITOR": editor}):
        assert "1 message resubmitted" in hpoq("redrive", "--edit")[2]
    assert account.cycle().started == 1
    assert account.dead_letters("fraud") == []


def test_what_others_wrote_is_shown_as_it_is(hpoq: Run, account: Account) -> None:
    account.request("fraud", "bad", template="[/b][red]gpu:smile:")
    account.cycle()
    account_visible(account)
    status, out, _ = hpoq("redrive")
    assert status == 0
    assert "unknown template '[/b][red]gpu:smile:'" in out


def test_redrive_deletes(hpoq: Run, account: Account) -> None:
    account.send("fraud", "not JSON")
    account.cycle()
    assert "1 message deleted" in hpoq("redrive", "--delete", "--yes")[2]
    account_visible(account)
    assert account.dead_letters("fraud") == []
    assert hpoq("redrive", "--delete", "--send")[0] == 2


def account_visible(account: Account) -> None:
    """Stands for the visibility timeout of letters that were looked at."""
    from moto.backends import get_backend

    backend: Any = get_backend("sqs")
    for queue in backend["123456789012"]["eu-central-1"].queues.values():
        for message in queue._messages:
            message.change_visibility(-1)  # the past: 0 is visible only after this millisecond


# whose, and where


def test_without_a_team_the_teams_are_named(hpoq: Run) -> None:
    with patch.dict(os.environ):
        del os.environ["HPOQ_TEAM"]
        status, _, err = hpoq("list")
    assert status == 1
    assert "Use --team or set HPOQ_TEAM; teams: fraud, vision" in err


def test_an_unknown_deployment_or_team_is_one_line(hpoq: Run, tmp_path: Path) -> None:
    status, _, err = hpoq("list", "--deployment", "other")
    assert status == 1
    assert "there is no ledger of other" in err
    file = written(tmp_path, "a.json", json.dumps(REQUEST))
    status, _, err = hpoq("submit", "--team", "sales", file)
    assert err.splitlines()[-1] == "hpoq: 'hpoq' has no team 'sales'. Teams: fraud, vision"
    _, _, err = hpoq("submit", "--team", "frau", file)
    assert "no team 'frau'. Did you mean fraud? Teams: fraud, vision" in err


def test_a_deployment_that_has_not_run_yet_says_so(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    from hpoq.cli import main

    with patch("sys.argv", ["hpoq", "template", "list"]), pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().err
    assert "has not run yet. It was asked to run now: repeat the command in half a minute" in said


def test_status_list_and_capacity_show_position_reason_and_estimate(
    hpoq: Run, account: Account
) -> None:
    account.request("fraud", "first")
    account.cycle()
    account.cycle()  # moto's tuning jobs end at once: now a run time is known
    account.configure(limits={"tuning_jobs": 1})
    for request_id in ("a", "b", "c"):
        account.request("fraud", request_id)
    account.cycle()
    waiting = json.loads(hpoq("capacity", "--json")[1])["waiting"]
    last = waiting[-1]["request_id"]
    assert [each["outlook"]["position"] for each in waiting] == [1, 2]
    assert waiting[-1]["outlook"]["overall"] == 2

    status = hpoq("status", last)[1]
    assert "1/1 in use, 1 needed; used by: fraud 1" in status
    assert "2 of 2, 2 of all teams'" in status
    assert "by 1 run times" in status
    forecast = json.loads(hpoq("status", last, "--json")[1])["waiting"]
    assert (forecast["position"], forecast["run_times"]) == (2, 1)
    assert forecast["earliest"] <= forecast["starts_in"] <= forecast["latest"]

    listed = {each["request_id"]: each for each in json.loads(hpoq("list", "--json")[1])}
    assert listed[last]["waiting"]["position"] == 2
    assert "waiting" not in listed["first"]
    for command in ("list", "capacity"):
        assert "2 of 2, 2 of all teams'" in " ".join(hpoq(command)[1].split())
