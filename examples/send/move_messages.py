"""Move all messages of one SQS queue to another.

    python examples/send/move_messages.py SOURCE TARGET    # names of queues

SQS itself moves messages of dead-letter queues only. This uses boto3 alone. It deletes a message
once the other queue has it, so none is lost if it is interrupted; start it again.
"""

import sys

import boto3

WAIT_SECONDS = 5  # without a message, until the source counts as empty

if len(sys.argv) != 3:
    sys.exit("name two queues: python examples/send/move_messages.py SOURCE TARGET")
sqs = boto3.client("sqs")
try:
    source, target = (sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in sys.argv[1:])
except sqs.exceptions.QueueDoesNotExist:
    names = " or ".join(sys.argv[1:])
    sys.exit(f"no queue {names} in this account and Region; see `aws sqs list-queues`")
moved = 0
while messages := sqs.receive_message(
    QueueUrl=source, MaxNumberOfMessages=10, WaitTimeSeconds=WAIT_SECONDS
).get("Messages"):
    for message in messages:
        sqs.send_message(QueueUrl=target, MessageBody=message["Body"])
        sqs.delete_message(QueueUrl=source, ReceiptHandle=message["ReceiptHandle"])
        moved += 1
print(f"messages moved: {moved}")
