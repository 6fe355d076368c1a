"""Checks of what keeps requests and scripts: ledger, queues and artifact bucket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from hpo_dispatcher.contract import names
from hpoq.doctor.checks.answers import MISSING, error_code
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import RESTORE, Finding, fault, ok, warning
from hpoq.presentation import left_behind


def ledger(examined: Examined) -> Iterator[Finding]:
    """Check the ledger's table, its index and its key."""
    name = names.ledger_table(examined.deployment)
    try:
        table = examined.client("dynamodb").describe_table(TableName=name)["Table"]
    except ClientError as error:
        if error_code(error) not in MISSING:
            raise
        fix = "Restore it from a backup; see docs/runbook.md#the-ledger-was-lost-or-restored"
        yield fault("ledger", f"the table {name} is gone", fix)
        return
    key = table.get("SSEDescription", {}).get("KMSMasterKeyArn")
    if key:
        yield from _key(examined, key)
    if table["TableStatus"] not in ("ACTIVE", "UPDATING"):
        yield fault("ledger", f"the table {name} is {table['TableStatus']}", "Wait, or restore it")
        return
    states = {
        each["IndexName"]: each.get("IndexStatus", "ACTIVE")
        for each in table.get("GlobalSecondaryIndexes", ())
    }
    state = states.get(names.LEDGER_INDEX, "gone")
    if state not in ("ACTIVE", "UPDATING"):
        text = f"the index {names.LEDGER_INDEX} of the table {name} is {state}"
        fix = "Wait until DynamoDB has filled it" if state == "CREATING" else RESTORE
        yield fault("ledger", text, fix)
        return
    yield ok("ledger", f"{name} is {table['TableStatus']}")


def _key(examined: Examined, arn: str) -> Iterator[Finding]:
    state = examined.client("kms").describe_key(KeyId=arn)["KeyMetadata"]["KeyState"]
    if state != "Enabled":
        fix = f"Run `aws kms enable-key --key-id {arn}`"
        yield fault("key", f"the customer managed key {arn} is {state}", fix)


def queues(examined: Examined) -> Iterator[Finding]:
    """Check each team's queues, and look for rejected messages."""
    sqs = examined.client("sqs")
    teams = sorted(examined.settings.deployment.teams)
    sound = True
    for team in teams:
        counts = []
        for make in (names.request_queue, names.dead_letter_queue):
            name = make(examined.deployment, team)
            try:
                url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
            except ClientError as error:
                if "NonExistentQueue" not in error_code(error):
                    raise
                sound = False
                yield fault("queues", f"the queue {name} is gone", RESTORE)
                break
            wanted = ["ApproximateNumberOfMessages"]
            answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)
            counts.append(int(answer["Attributes"][wanted[0]]))
        if len(counts) == 2 and counts[1]:
            sound = False
            messages = "message" if counts[1] == 1 else "messages"
            text = f"{counts[1]} rejected {messages} of team {team}"
            yield warning("queues", text, f"Run `hpoq redrive --team {team}` to see why")
    if sound:
        yield ok("queues", f"queues of {', '.join(teams)}: all there, no message was rejected")


def removed_teams(examined: Examined) -> Iterator[Finding]:
    """Look for queues of teams that are no longer in the settings."""
    name = "removed teams"
    left = examined.reader.left_behind()
    for each in left:
        if each.messages or each.dead_letters:
            yield warning(name, left_behind(each), "")
    if not any(each.messages or each.dead_letters for each in left):
        teams = ", ".join(each.team for each in left)
        yield ok(name, f"empty queues of {teams} remain" if left else "no queues remain")


def bucket(examined: Examined) -> Iterator[Finding]:
    """Check that the artifact bucket and the training scripts are there."""
    s3, name = examined.client("s3"), examined.settings.environment.artifact_bucket
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        if error_code(error) not in MISSING:
            raise
        yield fault("bucket", f"the artifact bucket {name} is gone", RESTORE)
        return
    yield ok("bucket", f"{name} is readable")
    source = urlsplit(examined.settings.environment.training_source)
    place, key = _place(source)
    try:
        s3.head_object(Bucket=place, Key=key)
    except ClientError as error:
        if error_code(error) not in MISSING:
            raise
        text = f"the training scripts s3://{place}/{key} are gone"
        yield fault("scripts", text, "Deploy again; `cdk gc` may have deleted them")
        return
    yield ok("scripts", f"s3://{place}/{key}")


def _place(source: Any) -> tuple[str, str]:
    """Return bucket and key of an S3 URL in any of its forms."""
    path = source.path.lstrip("/")
    if source.scheme == "s3":
        return source.netloc, path
    host = source.netloc.split(".")
    if host[0] == "s3" or host[0].startswith("s3-"):  # path style
        name, _, key = path.partition("/")
        return name, key
    return source.netloc.partition(".s3")[0], path
