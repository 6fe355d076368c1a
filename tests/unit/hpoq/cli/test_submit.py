"""`hpoq submit` sends all requests or none, and none that it knows will be refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError

from hpoq.client import explanation
from tests.support.command_line import Run
from tests.support.dispatcher_account import RANGES, Account

REQUEST: dict[str, Any] = {"hyperparameter_ranges": RANGES}
MINE = REQUEST | {"request_id": "mine"}


def written(folder: Path, name: str, content: object) -> str:
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(file)


def test_yaml_reads_numbers_as_json_does(hpoq: Run, account: Account, tmp_path: Path) -> None:
    """`1e-4` is a number: https://yaml.org/spec/1.2.2/#103-core-schema."""
    text = "request_id: mine\nhyperparameter_ranges: {lr: {type: continuous, min: 1e-4, max: 1E-1}}"
    status, out, err = hpoq("submit", "--dry-run", written(tmp_path, "a.yaml", text))
    assert status == 0, err
    (made,) = json.loads(out)
    ranges = made["HyperParameterTuningJobConfig"]["ParameterRanges"]
    (lr,) = ranges["ContinuousParameterRanges"]
    assert (float(lr["MinValue"]), float(lr["MaxValue"])) == (0.0001, 0.1)


def test_a_bad_file_among_good_ones_sends_none_and_is_named(
    hpoq: Run, account: Account, tmp_path: Path
) -> None:
    good = written(tmp_path, "good.json", MINE)
    bad = written(tmp_path, "bad.yaml", "priority: 1\npriority: 2\n")
    status, out, err = hpoq("submit", good, bad)
    assert (status, out) == (1, "")
    assert err == f"hpoq: {bad}: 'priority' appears twice. Remove one of them\n"
    assert account.waiting("fraud") == 0


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_an_id_that_names_two_requests_is_refused(
    hpoq: Run, account: Account, tmp_path: Path, options: tuple[str, ...]
) -> None:
    a = written(tmp_path, "a.json", MINE)
    b = written(tmp_path, "b.json", MINE | {"priority": 1})
    status, out, err = hpoq("submit", *options, a, b)
    assert (status, out) == (1, "")
    assert err == (
        f"hpoq: {b}: request_id: 'mine' also names another request, in {a}. "
        "Send it under a new request id\n"
    )
    assert account.waiting("fraud") == 0


def test_an_id_of_the_ledger_is_refused_for_another_request(
    hpoq: Run, account: Account, tmp_path: Path
) -> None:
    hpoq("submit", written(tmp_path, "a.json", MINE))
    account.cycle()
    status, _, err = hpoq("submit", written(tmp_path, "b.json", MINE | {"priority": 1}))
    assert status == 1
    assert "request_id: 'mine' was already used, with different content. Send it under a" in err
    assert account.waiting("fraud") == 0
    status, _, err = hpoq("submit", written(tmp_path, "a.json", MINE))
    assert status == 0
    assert "'mine' is InProgress already and does not run again" in err


def test_an_unknown_parent_is_reported_when_sent_and_in_status(
    hpoq: Run, account: Account, tmp_path: Path
) -> None:
    child = REQUEST | {"request_id": "child", "after": ["mine", "misspelled"]}
    status, _, err = hpoq("submit", written(tmp_path, "a.json", [MINE, child]))
    assert status == 0
    assert "request 2: it waits for 'misspelled', which is not in the ledger." in err
    assert "'mine', which" not in err
    account.cycle()
    _, out, _ = hpoq("status", "child")
    assert "waits for mine (InProgress), misspelled (not in the ledger yet)" in out


def test_a_request_that_the_queue_would_refuse_for_its_size_is_not_sent(
    hpoq: Run, account: Account, tmp_path: Path
) -> None:
    large = REQUEST | {"overrides": {"x": "x" * 300_000}}
    status, _, err = hpoq("submit", "--no-check", written(tmp_path, "a.json", large))
    assert status == 1
    assert "body: 293 KB exceeds the limit of 256 KB" in err
    assert account.waiting("fraud") == 0


def test_a_request_that_never_fits_is_sent_with_a_warning(
    hpoq: Run, account: Account, tmp_path: Path
) -> None:
    account.configure(limits={"instances": {"ml.m5.large": 1}})
    account.cycle()
    limits = {"max_training_jobs": 4, "max_parallel_training_jobs": 3}
    file = written(tmp_path, "wide.json", MINE | {"resource_limits": limits})
    status, out, err = hpoq("submit", file)
    assert (status, out) == (0, "mine\n")
    assert (
        f"{file}: it will not start under the current limits: needs 3 ml.m5.large, the limit "
        "is 1: never fits\n" in err
    )
    assert "1 request sent" in err


def test_a_request_that_fits_gets_no_warning(hpoq: Run, tmp_path: Path) -> None:
    assert "will not start" not in hpoq("submit", written(tmp_path, "small.json", MINE))[2]


def test_an_action_is_not_compared_with_the_limits(hpoq: Run, tmp_path: Path) -> None:
    status, _, err = hpoq("submit", written(tmp_path, "hold.json", {"action": "hold"}))
    assert (status, err) == (0, "1 request sent as team fraud\n")


def test_the_queue_of_another_team_is_one_line_with_the_fix(hpoq: Run, tmp_path: Path) -> None:
    # As IAM answers: docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    message = (
        "User: arn:aws:iam::123456789012:user/ana is not authorized to perform: sqs:sendmessage "
        "on resource: arn:aws:sqs:eu-central-1:123456789012:hpoq-vision-requests because no "
        "identity-based policy allows the sqs:sendmessage action"
    )
    denied = ClientError(
        {"Error": {"Code": "AccessDenied", "Message": message}}, "SendMessageBatch"
    )
    with patch("hpoq.client.team_queues.TeamQueues.send", side_effect=explanation(denied, "queue")):
        status, _, err = hpoq("submit", written(tmp_path, "a.json", MINE))
    assert status == 1
    assert err.splitlines()[-1] == (
        "hpoq: queue: your credentials do not allow SendMessageBatch. Check --team, or ask your "
        "administrator for the team's policy"
    )
