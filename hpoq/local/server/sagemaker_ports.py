"""The ports of the SageMaker endpoint, implemented on ministack."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from ministack.services import cloudwatch_logs

from hpoq.local.sagemaker.ports import MetricDatum, Ports, StoredObject
from hpoq.local.server.internal_calls import InternalCalls, InternalResponse
from hpoq.local.server.roles import MinistackRoles

_LOGS = "Logs_20140328"
_METRICS = "GraniteServiceVersion20100801"
_EVENTS_PER_CALL = 1000  # AWS accepts 10,000 events or 1 MiB
_DATA_PER_CALL = 1000
_EXISTS = "ResourceAlreadyExistsException"


def ministack_ports(calls: InternalCalls) -> Ports:
    """Return the ports, which call ministack's services."""
    return Ports(
        objects=MinistackS3(calls),
        roles=MinistackRoles(calls),
        events=MinistackEventBridge(calls),
        logs=MinistackLogs(calls),
        metrics=MinistackMetrics(calls),
    )


class MinistackS3:
    """An ``ObjectStore`` on ministack's S3."""

    def __init__(self, calls: InternalCalls) -> None:
        self._calls = calls

    def objects(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        """Yield every object under ``prefix``, in key order."""
        query = {"list-type": "2", "prefix": prefix}
        while True:
            response = self._calls.call("s3", "GET", f"/{bucket}", query=query)
            page = ElementTree.fromstring(_succeeded(response, f"s3://{bucket}/{prefix}"))  # noqa: S314  ministack's
            for entry in page.iterfind("{*}Contents"):
                yield StoredObject(
                    key=entry.findtext("{*}Key", ""),
                    size=int(entry.findtext("{*}Size", "0")),
                    etag=entry.findtext("{*}ETag", "").strip('"'),
                )
            token = page.findtext("{*}NextContinuationToken")
            if not token:
                return
            query["continuation-token"] = token

    def read(self, bucket: str, key: str, to: Path) -> None:
        """Write an object's bytes to the file ``to``."""
        response = self._calls.call("s3", "GET", f"/{bucket}/{key}")
        to.write_bytes(_succeeded(response, f"s3://{bucket}/{key}"))

    def write(self, bucket: str, key: str, content: Path) -> None:
        """Store the file ``content`` under ``key``."""
        body = content.read_bytes()
        headers = {"content-length": str(len(body)), "content-type": "application/octet-stream"}
        response = self._calls.call("s3", "PUT", f"/{bucket}/{key}", headers=headers, body=body)
        _succeeded(response, f"s3://{bucket}/{key}")


class MinistackEventBridge:
    """An ``EventBus`` on ministack's EventBridge."""

    def __init__(self, calls: InternalCalls) -> None:
        self._calls = calls

    def put(self, detail_type: str, detail: str, source: str, resources: Sequence[str]) -> None:
        """Publish one event."""
        entry = {"Source": source, "DetailType": detail_type, "Detail": detail}
        self._calls.put_event({**entry, "Resources": list(resources)})


class MinistackLogs:
    """A ``LogSink`` on ministack's CloudWatch Logs."""

    def __init__(self, calls: InternalCalls) -> None:
        self._calls = calls

    def write(self, group: str, stream: str, lines: Sequence[tuple[float, str]]) -> None:
        """Append lines to a stream, creating the group and the stream if they do not exist."""
        where = {"logGroupName": group, "logStreamName": stream}
        for first in range(0, len(lines), _EVENTS_PER_CALL):
            events = [
                {"timestamp": int(at * 1000), "message": text or " "}  # AWS rejects empty messages
                for at, text in lines[first : first + _EVENTS_PER_CALL]
            ]
            self._append({**where, "logEvents": events})

    def _append(self, request: dict[str, object]) -> None:
        status, body = self._put(request)
        if status == 400 and b"ResourceNotFound" in body:
            group = {"logGroupName": request["logGroupName"]}
            self._create("CreateLogGroup", group)
            self._create("CreateLogStream", {**group, "logStreamName": request["logStreamName"]})
            status, body = self._put(request)
        _succeeded(InternalResponse(status, body), "logs:PutLogEvents")

    def _put(self, request: dict[str, object]) -> tuple[int, bytes]:
        """Call PutLogEvents without a detour by JSON, which would double the time of a line."""
        status, _, body = self._calls.run(partial(cloudwatch_logs._put_log_events, request))
        return status, body if isinstance(body, bytes) else body.encode()

    def _create(self, operation: str, request: dict[str, object]) -> None:
        response = self._calls.json("cloudwatch_logs", f"{_LOGS}.{operation}", request)
        if _EXISTS.encode() not in response.body:
            _succeeded(response, f"logs:{operation}")


class MinistackMetrics:
    """A ``MetricSink`` on ministack's CloudWatch."""

    def __init__(self, calls: InternalCalls) -> None:
        self._calls = calls

    def put(self, data: Sequence[MetricDatum]) -> None:
        """Record values, which may belong to several namespaces."""
        by_namespace: dict[str, list[MetricDatum]] = defaultdict(list)
        for datum in data:
            by_namespace[datum.namespace].append(datum)
        for namespace, of_namespace in by_namespace.items():
            for first in range(0, len(of_namespace), _DATA_PER_CALL):
                values = [_as_json(datum) for datum in of_namespace[first : first + _DATA_PER_CALL]]
                request = {"Namespace": namespace, "MetricData": values}
                response = self._calls.json("cloudwatch", f"{_METRICS}.PutMetricData", request)
                _succeeded(response, "cloudwatch:PutMetricData")


def _as_json(datum: MetricDatum) -> dict[str, object]:
    dimensions = [{"Name": name, "Value": value} for name, value in datum.dimensions.items()]
    return {
        "MetricName": datum.name,
        "Dimensions": dimensions,
        "Value": datum.value,
        "Timestamp": datum.at,
    }


def _succeeded(response: InternalResponse, what: str) -> bytes:
    match response.status:
        case 403:
            raise PermissionError(f"{what}: access denied")
        case 404:
            raise FileNotFoundError(f"{what}: not found")
        case status if status >= 300:
            raise OSError(f"{what}: {response.body.decode(errors='replace')}")
    return response.body
