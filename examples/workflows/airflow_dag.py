"""Tune in the queue of a team from Airflow, and use the best model.

Copy this file to the folder of DAGs. It needs apache-airflow-providers-amazon, and a connection
whose user or role has the managed policy hpoq-<team>-team.
"""

import json
from datetime import datetime, timedelta

import boto3
from airflow.decorators import dag, task
from airflow.providers.amazon.aws.operators.sqs import SqsPublishOperator
from airflow.providers.amazon.aws.sensors.dynamodb import DynamoDBValueSensor

TEAM = "fraud"
QUEUE = "https://sqs.eu-central-1.amazonaws.com/111122223333/hpoq-fraud-requests"
LEDGER = "hpoq-ledger"
REQUEST_ID = "airflow-{{ ds_nodash }}"  # the same for each attempt of a run
ENDED = ["Completed", "Failed", "Stopped", "Cancelled", "Rejected"]
REQUEST = {
    "request_id": REQUEST_ID,
    "template": "smoke",
    "hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}},
}


@task
def use_best(request_id: str) -> str:
    """Return the best training job of a request; fail if the request did not complete."""
    key = {"team": TEAM, "id": request_id}
    entry = boto3.resource("dynamodb").Table(LEDGER).get_item(Key=key)["Item"]
    if entry["status"] != "Completed":
        raise RuntimeError(f"{request_id} is {entry['status']}: {entry.get('reason', '')}")
    return entry["best"]["training_job_name"]


@dag(schedule="@weekly", start_date=datetime(2026, 1, 1), catchup=False)
def tune_weekly():
    """Queue a request each week, wait for its end, and use its best training job."""
    tune = SqsPublishOperator(
        task_id="tune",
        sqs_queue=QUEUE,
        message_content=json.dumps(REQUEST),
    )
    wait = DynamoDBValueSensor(
        task_id="wait",
        table_name=LEDGER,
        partition_key_name="team",
        partition_key_value=TEAM,
        sort_key_name="id",
        sort_key_value=REQUEST_ID,
        attribute_name="status",
        attribute_value=ENDED,
        mode="reschedule",  # the worker is free while the sensor waits
        poke_interval=300,
        timeout=timedelta(days=7).total_seconds(),
    )
    tune >> wait >> use_best(REQUEST_ID)


tune_weekly()
