"""A deployment as its users see it: send requests and follow them.

The same on AWS and on the embedded cloud: boto3's own settings (``AWS_ENDPOINT_URL``, credentials,
Region) decide which of them a client calls. A team's policy permits all that a client needs: send
to the team's queue, read its ledger entries and the documents that the dispatcher publishes.
"""

from hpoq.client.client import Client
from hpoq.client.explained import explained, explanation
from hpoq.client.team_queues import DeadLetter

__all__ = ["Client", "DeadLetter", "explained", "explanation"]
