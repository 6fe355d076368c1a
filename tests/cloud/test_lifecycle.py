"""The embedded cloud starts, stops, survives crashes and keeps its data."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpo_dispatcher.contract.aws_limits import TRAINING_LOG_GROUP
from hpoq.cli import main
from hpoq.local import cloud as clouds
from hpoq.local.cloud import Cloud
from hpoq.local.errors import LocalCloudError, NotRunning
from hpoq.local.lifecycle import launch, processes
from hpoq.local.lifecycle.home import Home
from tests.support.memory_endpoint import archive, training_job


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / ".hpoq"
    yield folder
    found = Home.find(folder)
    if found.last_run():
        Cloud(found, found.last_run()).stop()  # type: ignore[arg-type]


@dataclass(frozen=True)
class Done:
    """The result of a command."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def hpoq_local(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Return a function that runs `hpoq local ...` for ``home``."""

    def run(*arguments: str) -> Done:
        monkeypatch.setenv("HPOQ_HOME", str(home))
        monkeypatch.setattr(sys, "argv", ["hpoq", "local", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    return run


def test_up_status_env_and_down_from_the_command_line(
    home: Path, hpoq_local: Callable[..., Done]
) -> None:
    up = hpoq_local("up", "--quota", "tuning_jobs=7")
    assert up.returncode == 0, up.stderr
    assert "is up: https://127.0.0.1:" in up.stderr

    again = hpoq_local("up")
    assert again.returncode == 0
    assert "is already up" in again.stderr

    status = hpoq_local("status", "--json")
    found = json.loads(status.stdout)
    mark = json.loads((home / "cloud.json").read_text())["mark"]
    assert status.returncode == 0
    assert found["running"]
    assert found["endpoint"] in up.stderr
    assert found["tuning_jobs_in_progress"] == 0

    shell = f"set -eu; {hpoq_local('env').stdout}\n"
    asking = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    who = subprocess.run(
        ["sh", "-c", f'{shell} exec "$0" -c "{asking}"', sys.executable],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "AWS_PROFILE": "somebody-elses"},
    )
    assert who.stdout.strip() == found["account"]

    down = hpoq_local("down")
    assert down.returncode == 0, down.stderr
    assert not Home.find(home).is_alive()
    assert processes.marked(mark) == []
    assert hpoq_local("down").returncode == 0
    assert hpoq_local("status").returncode == 1


def test_commands_report_a_stopped_cloud_in_one_line(
    home: Path, hpoq_local: Callable[..., Done]
) -> None:
    answer = hpoq_local("env")

    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr.strip().endswith("Start it: hpoq local up")
    with pytest.raises(NotRunning, match="is not running"):
        clouds.find(home)


def test_ctrl_c_in_the_foreground_stops_the_cloud(home: Path) -> None:
    command = [sys.executable, "-m", "hpoq.cli", "local", "up", "--foreground"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "HPOQ_HOME": str(home)}
    ) as foreground:
        assert foreground.stderr is not None
        for line in foreground.stderr:
            if "Ctrl-C" in line:
                break
        running = Home.find(home).running()
        assert running is not None
        foreground.send_signal(signal.SIGINT)
        assert foreground.wait(30) == 0
    assert processes.marked(running.mark) == []
    assert not Home.find(home).is_alive()


def test_up_with_ui_serves_the_pages_until_ctrl_c(home: Path) -> None:
    command = [sys.executable, "-m", "hpoq.cli", "local", "up", "-f", "--ui", "--ui-port", "0"]
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]  # as a script's background processes do
    process = subprocess.Popen(
        [*ignoring, *command, "--no-browser", "--home", str(home)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    words = (word for line in process.stderr for word in line.split())
    address = next(word for word in words if word.startswith("http://"))
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with browser.open(address) as opened:  # sets the cookie, and names the first page
        first = re.search('http-equiv="refresh" content="0;url=([^"]+)"', opened.read().decode())
    assert first is not None
    with browser.open(urllib.parse.urljoin(address, first[1])) as page:
        assert "Tuning jobs" in page.read().decode()

    process.send_signal(signal.SIGINT)

    assert process.wait(20) == 0
    assert not Home.find(home).is_alive()


def test_a_client_that_stays_connected_does_not_delay_the_stop(home: Path) -> None:
    cloud = clouds.start(home)
    connected = cloud.session().client("sqs")
    connected.list_queues()

    began = time.monotonic()
    cloud.stop()

    assert time.monotonic() - began < 5


def test_the_error_names_a_port_in_use_and_the_fix(home: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(LocalCloudError, match=rf"Port {port} .*--port"):
            clouds.start(home, port=port)
    assert not Home.find(home).is_alive()


def test_stored_data_survives_a_stop(home: Path) -> None:
    with clouds.start(home) as cloud:
        _store(cloud, "before")
        endpoint = cloud.running.endpoint

    with clouds.start(home) as cloud:
        assert cloud.running.endpoint == endpoint
        assert _stored(cloud) == ["before"]


def test_the_profile_is_stored_until_another_one_replaces_it(home: Path) -> None:
    def quotas(cloud: Cloud) -> dict[str, float]:
        listed = (
            cloud.session().client("service-quotas").list_service_quotas(ServiceCode="sagemaker")
        )
        return {each["QuotaName"]: each["Value"] for each in listed["Quotas"]}

    total = "Number of instances across all training jobs"
    with clouds.start(home, profile="new-account", quotas={"spot_instances": 6}) as first:
        assert quotas(first)[total] == 4
    with clouds.start(home) as again:
        assert quotas(again)[total] == 4
        assert quotas(again)["Number of instances across all spot training jobs"] == 6
    with clouds.start(home, profile="standard") as standard:
        assert total not in quotas(standard)
        assert quotas(standard)["Number of instances across all spot training jobs"] == 6


def test_stored_data_survives_the_kill_of_every_process(
    home: Path, hpoq_local: Callable[..., Done]
) -> None:
    cloud = clouds.start(home)
    _store(cloud, "before")
    state = cloud.home.state / "dynamodb.json"
    assert processes.wait_until(lambda: state.exists() and "before" in state.read_text(), 10)
    os.kill(cloud.running.pid, signal.SIGKILL)
    assert processes.wait_until(lambda: not cloud.home.is_alive(), 5)

    assert hpoq_local("status", "--json").returncode == 1
    with pytest.raises(NotRunning, match="was killed"):
        clouds.find(home)
    with clouds.start(home) as again:
        assert again.running.mark != cloud.running.mark
        assert _stored(again) == ["before"]


def test_a_cloud_killed_in_a_flood_of_log_lines_loses_at_most_its_last_moments(home: Path) -> None:
    cloud = clouds.start(home)
    _flood(cloud)
    queue = _send(cloud, stored := "sent during the flood")
    state = cloud.home.state / "sqs.json"
    assert processes.wait_until(lambda: state.exists() and stored in state.read_text(), 10)
    printed = _last_line(cloud)
    os.kill(cloud.running.pid, signal.SIGKILL)
    assert processes.wait_until(lambda: not cloud.home.is_alive(), 5)

    with clouds.start(home) as again:
        assert _received(again, queue) == [stored]
        lines = _lines(again)
        assert lines == [f"line {number}" for number in range(len(lines))]
        assert len(lines) > printed, "each line that a client has seen is kept"


def test_a_normal_stop_in_a_flood_of_log_lines_loses_nothing(home: Path) -> None:
    """A message is sent and lines are printed until the moment of `down`; all are there after `up`.

    The job's process is killed, so that its last line may be incomplete.
    """
    cloud = clouds.start(home)
    _flood(cloud, most=200_000)
    queue = _send(cloud, "sent just before down")
    cloud.stop()
    printed = (home / "sagemaker" / "jobs" / "flood" / "output.log").read_text().splitlines()

    with clouds.start(home) as again:
        assert _received(again, queue) == ["sent just before down"]
        assert _lines(again) == printed
        assert printed[:-1] == [f"line {number}" for number in range(len(printed) - 1)]


def _send(cloud: Cloud, body: str) -> str:
    """Send a message to a new queue and return the queue's URL."""
    sqs = cloud.session().client("sqs")
    url: str = sqs.create_queue(QueueName="kept")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=body)
    return url


def _received(cloud: Cloud, queue: str) -> list[str]:
    messages = cloud.session().client("sqs").receive_message(QueueUrl=queue).get("Messages", [])
    return [each["Body"] for each in messages]


def _flood(cloud: Cloud, most: float = math.inf) -> None:
    """Start a training job that prints at most so many lines, and runs until it is stopped."""
    s3, iam = cloud.session().client("s3"), cloud.session().client("iam")
    s3.create_bucket(Bucket="bucket")
    script = (
        "import time\n"
        "number = 0\n"
        f"while number < float('{most}'):\n"
        "    print('line', number)\n"
        "    number += 1\n"
        "time.sleep(300)\n"
    )
    s3.put_object(Bucket="bucket", Key="source.tar.gz", Body=archive({"train.py": script}))
    principal = {"Service": "sagemaker.amazonaws.com"}
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    policies = [
        json.dumps({"Version": "2012-10-17", "Statement": [each]})
        for each in (trust, {"Effect": "Allow", "Action": ["s3:*"], "Resource": "*"})
    ]
    role = iam.create_role(RoleName="flood", AssumeRolePolicyDocument=policies[0])["Role"]["Arn"]
    iam.put_role_policy(RoleName="flood", PolicyName="all", PolicyDocument=policies[1])
    job = training_job("flood") | {"RoleArn": role}
    del job["InputDataConfig"]
    cloud.session().client("sagemaker").create_training_job(**job)
    assert processes.wait_until(lambda: _last_line(cloud) > 1000, 60)


def _last_line(cloud: Cloud) -> int:
    """Return the number of the last line in the log; -1 if there is none."""
    logs = cloud.session().client("logs")
    try:
        streams = logs.describe_log_streams(logGroupName=TRAINING_LOG_GROUP)["logStreams"]
    except logs.exceptions.ResourceNotFoundException:
        return -1
    names = [each["logStreamName"] for each in streams]
    if not names:
        return -1
    events = logs.get_log_events(
        logGroupName=TRAINING_LOG_GROUP, logStreamName=min(names), limit=1, startFromHead=False
    )["events"]
    return int(events[-1]["message"].split()[1]) if events else -1


def _lines(cloud: Cloud) -> list[str]:
    """Return the lines of the first log stream; the job that starts again has another one."""
    files = (cloud.home.state / "log_events").iterdir()
    first = min(files, key=lambda each: each.stat().st_mtime)
    return [json.loads(line)[2] for line in first.read_text().splitlines()]


def test_torn_files_are_replaced_by_the_ones_before_or_refused_by_name(
    home: Path, hpoq_local: Callable[..., Done]
) -> None:
    with ThreadPoolExecutor(2) as pool:  # two `up` in one home at once
        started, found = sorted(
            pool.map(clouds.start, [home] * 2), key=lambda c: not c.started_here
        )
    assert (started.started_here, found.started_here) == (True, False)
    assert found.running == started.running
    _store(started, "before")
    state = started.home.state / "dynamodb.json"
    assert processes.wait_until(lambda: state.exists() and "before" in state.read_text(), 10)
    started.stop()

    torn = state.read_text()[:-20]
    state.write_text(torn)
    up = hpoq_local("up")
    assert up.returncode == 0, up.stderr
    assert f"It is kept as {state}.damaged" in up.stderr
    assert _stored(clouds.find(home)) == ["before"]
    assert Path(f"{state}.damaged").read_text() == torn
    hpoq_local("down")

    (stored,) = started.home.objects.rglob("thing")
    stored.write_bytes(b"be")
    up = hpoq_local("up")
    aside = started.home.damaged_objects / stored.relative_to(started.home.objects)
    assert f"An object of S3 was damaged, and is no longer in its bucket: {aside}" in up.stderr
    assert aside.read_bytes() == b"be"
    objects = clouds.find(home).session().client("s3").list_objects_v2(Bucket="things")
    assert objects["KeyCount"] == 0
    hpoq_local("down")

    files = [state, state.parent / "previous" / state.name]
    for file in files:
        file.write_text(torn)
    refused = hpoq_local("up")
    assert refused.returncode == 1
    assert f"failed to start: {state} is damaged" in refused.stderr
    assert [file.read_text() for file in files] == [torn, torn]


def test_a_stale_record_never_ends_an_unrelated_process(
    home: Path, hpoq_local: Callable[..., Done]
) -> None:
    """Check this because the recorded process id can be reused after a reboot."""
    cloud = clouds.start(home)
    record = json.loads((home / "cloud.json").read_text())
    cloud.stop()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (home / "cloud.json").write_text(json.dumps({**record, "pid": stranger.pid}))

        assert hpoq_local("down").returncode == 0

        assert stranger.poll() is None
        stranger.kill()


def test_two_homes_are_two_accounts(cloud: Cloud, home: Path) -> None:
    with clouds.start(home) as other:
        assert other.running.account != cloud.running.account
        assert other.running.port != cloud.running.port
        other.session().client("sqs").create_queue(QueueName="only-there")

        here = cloud.session().client("sqs").list_queues(QueueNamePrefix="only-there")
        assert here.get("QueueUrls", []) == []

        keys_of_the_other = {
            "aws_access_key_id": other.running.access_key_id,
            "aws_secret_access_key": other.running.secret_access_key,
        }
        with pytest.raises(ClientError, match="invalid"):
            cloud.session().client("sts", **keys_of_the_other).get_caller_identity()


def test_only_the_owner_can_read_credentials(cloud: Cloud) -> None:
    for name in ("account.json", "cloud.json", "server.key"):
        assert stat.S_IMODE((cloud.home.path / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(cloud.home.path.stat().st_mode) == 0o700


def test_the_error_says_why_a_cloud_cannot_start(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    startup = tmp_path / "startup.py"
    startup.write_text("raise SystemExit('no such luck')")
    monkeypatch.setenv(launch.STARTUP, str(startup))

    with pytest.raises(LocalCloudError, match="failed to start: no such luck"):
        clouds.start(home)
    assert not (home / "cloud.json").exists()


def _store(cloud: Cloud, value: str) -> None:
    session = cloud.session()
    table: Any = session.client("dynamodb")
    table.create_table(
        TableName="things",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    table.put_item(TableName="things", Item={"id": {"S": value}})
    objects = session.client("s3")
    objects.create_bucket(Bucket="things")
    objects.put_object(Bucket="things", Key="thing", Body=value.encode())


def _stored(cloud: Cloud) -> list[str]:
    session = cloud.session()
    items = session.client("dynamodb").scan(TableName="things")["Items"]
    body = session.client("s3").get_object(Bucket="things", Key="thing")["Body"].read().decode()
    ids = [item["id"]["S"] for item in items]
    assert ids == [body]
    return ids
