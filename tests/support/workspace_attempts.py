"""Attempts to reach what belongs to another team, made by a team's user and by its training code.

This file is also part of a training archive, so it imports nothing of this project. As a script,
it makes all attempts with the credentials of the training job, and prints one line for each.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

Client = Callable[[str], Any]
Attempt = Callable[[Client], object]


def on_objects(of: dict[str, Any]) -> Iterator[tuple[str, Attempt]]:
    """Yield attempts at the workspace of another team, and at its results of earlier versions."""
    bucket, team, own = of["bucket"], of["team"], of["own"]
    for key in (*of["keys"], f"teams/{team}/new.txt"):
        where = {"Bucket": bucket, "Key": key}
        for name in ("get_object", "head_object", "delete_object", "get_object_tagging",
                     "get_object_acl", "create_multipart_upload"):  # fmt: skip
            yield f"{name} {key}", lambda c, n=name, w=where: getattr(c("s3"), n)(**w)
        yield f"put_object {key}", lambda c, w=where: c("s3").put_object(**w, Body=b"forged")
        yield (
            f"copy_object {key}",
            lambda c, w=where: c("s3").copy_object(
                Bucket=bucket, Key=f"teams/{own}/stolen", CopySource=w
            ),
        )
        delete = {"Objects": [{"Key": key}], "Quiet": False}
        yield f"delete_objects {key}", lambda c, d=delete: _deleted(c("s3"), bucket, d)
    for prefix in (f"teams/{team}/", f"teams/{team}", f"output/{team}/", "teams/", "t", "", None):
        named = {} if prefix is None else {"Prefix": prefix}
        for name in ("list_objects_v2", "list_objects", "list_object_versions"):
            yield (
                f"{name} {prefix}",
                lambda c, n=name, p=named: getattr(c("s3"), n)(Bucket=bucket, **p),
            )
    yield "get_bucket_policy", lambda c: c("s3").get_bucket_policy(Bucket=bucket)
    yield "delete_bucket", lambda c: c("s3").delete_bucket(Bucket=bucket)


def _deleted(s3: Any, bucket: str, delete: dict[str, Any]) -> None:
    """Delete objects; the call succeeds and names the error of each object."""
    found = s3.delete_objects(Bucket=bucket, Delete=delete)
    for error in found.get("Errors", ()):
        raise ClientError({"Error": error}, "DeleteObjects")


def on_queues(of: dict[str, Any]) -> Iterator[tuple[str, Attempt]]:
    """Yield attempts at the queues of another team."""
    for name in ("requests", "dead_letters"):
        url = of[name]
        yield f"send {name}", lambda c, u=url: c("sqs").send_message(QueueUrl=u, MessageBody="{}")
        yield f"receive {name}", lambda c, u=url: c("sqs").receive_message(QueueUrl=u)
        yield f"purge {name}", lambda c, u=url: c("sqs").purge_queue(QueueUrl=u)
        yield f"delete {name}", lambda c, u=url: c("sqs").delete_queue(QueueUrl=u)


def on_ledger(of: dict[str, Any]) -> Iterator[tuple[str, Attempt]]:
    """Yield attempts at the ledger entries of another team."""
    table = {"TableName": of["table"]}
    key = {"team": {"S": of["team"]}, "id": {"S": of["request"]}}
    query = {
        "KeyConditionExpression": "team = :team",
        "ExpressionAttributeValues": {":team": {"S": of["team"]}},
    }
    row = {"Key": key}
    yield "query entries", lambda c: c("dynamodb").query(**table, **query)
    yield "get an entry", lambda c: c("dynamodb").get_item(**table, **row)
    yield "scan entries", lambda c: c("dynamodb").scan(**table)
    yield "delete an entry", lambda c: c("dynamodb").delete_item(**table, **row)
    yield "put an entry", lambda c: c("dynamodb").put_item(**table, Item=key)
    yield (
        "get entries",
        lambda c: c("dynamodb").batch_get_item(RequestItems={of["table"]: {"Keys": [key]}}),
    )


def on_jobs(of: dict[str, Any]) -> Iterator[tuple[str, Attempt]]:
    """Yield attempts at the tuning job, the training jobs and the logs of another team."""
    tuning = {"HyperParameterTuningJobName": of["tuning_job"]}
    training = {"TrainingJobName": of["training_job"]}
    for name in ("describe_hyper_parameter_tuning_job", "stop_hyper_parameter_tuning_job",
                 "delete_hyper_parameter_tuning_job",
                 "list_training_jobs_for_hyper_parameter_tuning_job"):  # fmt: skip
        yield name, lambda c, n=name: getattr(c("sagemaker"), n)(**tuning)
    for name in ("describe_training_job", "stop_training_job"):
        yield name, lambda c, n=name: getattr(c("sagemaker"), n)(**training)
    yield "list_training_jobs", lambda c: c("sagemaker").list_training_jobs()
    yield "list_tags", lambda c: c("sagemaker").list_tags(ResourceArn=of["tuning_job_arn"])
    tags = [{"Key": "hpoq:team", "Value": of["own"]}]
    yield (
        "add_tags",
        lambda c: c("sagemaker").add_tags(ResourceArn=of["tuning_job_arn"], Tags=tags),
    )
    yield (
        "assume the role",
        lambda c: c("sts").assume_role(RoleArn=of["role"], RoleSessionName="me"),
    )
    group, stream = "/aws/sagemaker/TrainingJobs", of["stream"]
    log = {"logGroupName": group, "logStreamName": stream}
    line = [{"timestamp": 1_700_000_000_000, "message": "forged"}]
    yield "get_log_events", lambda c: c("logs").get_log_events(**log)
    yield "put_log_events", lambda c: c("logs").put_log_events(**log, logEvents=line)
    yield "delete_log_stream", lambda c: c("logs").delete_log_stream(**log)
    yield "filter_log_events", lambda c: c("logs").filter_log_events(logGroupName=group)


def all_attempts(of: dict[str, Any]) -> dict[str, Attempt]:
    """Return the attempts at what belongs to a team, by name."""
    return {
        name: attempt
        for kind in (on_objects, on_queues, on_ledger, on_jobs)
        for name, attempt in kind(of)
    }


def outcomes(of: dict[str, Any], client: Client) -> dict[str, str]:
    """Make all attempts, and return the error code of each, or ``done``."""
    found = {}
    for name, attempt in all_attempts(of).items():
        try:
            attempt(client)
            found[name] = "done"
        except ClientError as error:
            found[name] = str(error.response["Error"]["Code"])
    return found


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")


def main() -> None:
    """Make all attempts that the channel describes, and print one line for each."""
    of = json.loads((Path(os.environ["SM_CHANNEL_TRAIN"]) / "attempts.json").read_text())
    say(f"I am {boto3.client('sts').get_caller_identity()['Arn']}")
    own = {"Bucket": of["bucket"], "Key": f"teams/{of['own']}/by-the-script.txt"}
    boto3.client("s3").put_object(**own, Body=b"mine")
    say(f"own object: {boto3.client('s3').get_object(**own)['Body'].read().decode()}")
    for name, code in outcomes(of, boto3.client).items():
        say(f"attempt: {name} -> {code}")
    (Path(os.environ["SM_MODEL_DIR"]) / "model.txt").write_text(f"model of {of['own']}")
    say("validation:auc=0.5")


if __name__ == "__main__":
    main()
