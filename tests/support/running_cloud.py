"""A running cloud as tests describe it; no process belongs to it."""

from __future__ import annotations

from hpoq.local.lifecycle.home import CloudAccount, RunningCloud

ACCOUNT = CloudAccount(
    account="123456789012",
    region="us-east-1",
    access_key_id="AKIAJ7QXNMDW3PCT5KVA",
    secret_access_key="secret",
    port=4566,
    quotas={"tuning_jobs": 7},
)

RUNNING = RunningCloud(
    pid=1,
    port=4566,
    endpoint="https://127.0.0.1:4566",
    account="123456789012",
    region="us-east-1",
    access_key_id="AKIAJ7QXNMDW3PCT5KVA",
    secret_access_key="secret",
    mark="mark",
    ca="ca.pem",
    trust="trust.pem",
    scratch="/tmp/hpoq-x",
    interpreter="python3",
    function_interpreters={"python3.13": "python3.13"},
    started_at="2026-11-23T21:00:00+00:00",
)
