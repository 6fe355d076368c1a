"""The local SageMaker endpoint with its ports in memory, driven by botocore's own client."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from pathlib import Path
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse

from hpoq.local.sagemaker import SageMakerEndpoint
from hpoq.local.sagemaker.ports import Datum, StoredObject


class Memory:
    """All four ports of the endpoint, in memory."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], bytes] = {}
        self.published: list[tuple[str, dict[str, Any]]] = []
        self.lines: dict[str, list[str]] = {}
        self.data: list[Datum] = []
        self.changed = threading.Condition()

    def objects(self, bucket: str, prefix: str) -> list[StoredObject]:
        return [
            StoredObject(key=key, size=len(content), etag=str(hash(content)))
            for (where, key), content in sorted(self.stored.items())
            if where == bucket and key.startswith(prefix)
        ]

    def read(self, bucket: str, key: str, to: Path) -> None:
        to.write_bytes(self.stored[bucket, key])

    def write(self, *arguments: Any) -> None:
        if isinstance(arguments[2], Path):
            bucket, key, content = arguments
            self.stored[bucket, key] = content.read_bytes()
        else:
            _, stream, lines = arguments
            self.lines.setdefault(stream, []).extend(text for _, text in lines)

    def put(self, *arguments: Any) -> None:
        if len(arguments) == 1:
            self.data += arguments[0]
            return
        detail_type, detail, _, _ = arguments
        with self.changed:
            self.published.append((detail_type, json.loads(detail)))
            self.changed.notify_all()

    def await_status(self, name: str, *statuses: str, seconds: float = 60) -> str:
        """Wait for the event of a status."""

        def said() -> str | None:
            for _, detail in self.published:
                status = str(detail.get("HyperParameterTuningJobStatus"))
                if detail.get("HyperParameterTuningJobName") == name and status in statuses:
                    return status
            return None

        with self.changed:
            assert self.changed.wait_for(lambda: said() is not None, seconds), self.published
        return said() or ""


def archive(files: dict[str, str]) -> bytes:
    """Return a .tar.gz archive of text files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            packed.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def client_of(endpoint: SageMakerEndpoint, session: boto3.Session) -> Any:
    """Return a real client whose requests go to the endpoint without a network."""
    client = session.client("sagemaker", endpoint_url="http://localhost:9")

    def answer(request: Any, **_: Any) -> AWSResponse:
        target = request.headers["X-Amz-Target"]
        name = target.decode() if isinstance(target, bytes) else target
        status, headers, body = endpoint.handle(name, request.body)
        raw: Any = io.BytesIO(body)
        raw.stream = lambda *_, **__: [raw.read()]
        return AWSResponse(request.url, status, dict(headers), raw)

    client.meta.events.register("before-send.sagemaker", answer)
    return client
