"""Send a tuning request with boto3 alone.

    python examples/send/boto3_send.py TEAM

Prints the SQS message id, which is also the id of the request.
"""

import json
import sys

import boto3

request = {
    "hyperparameter_ranges": {
        "lr": {"type": "continuous", "min": 0.001, "max": 0.1, "scaling": "Logarithmic"},
        "batch-size": {"type": "integer", "min": 128, "max": 1024},
    },
    "resource_limits": {"max_training_jobs": 4, "max_parallel_training_jobs": 2},
}

if len(sys.argv) != 2:
    sys.exit("name your team: python examples/send/boto3_send.py TEAM")
sqs = boto3.client("sqs")
queue = sqs.get_queue_url(QueueName=f"hpoq-{sys.argv[1]}-requests")["QueueUrl"]
sent = sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(request))
print(sent["MessageId"])
