"""What the SageMaker endpoint needs of the account around it, on ministack."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from hpoq.local.sagemaker.ports import Datum, Ports, StoredObject
from hpoq.local.server.internal_calls import Answer, Inside

_LOGS = "Logs_20140328"
_METRICS = "GraniteServiceVersion20100801"
_EVENTS_A_CALL = 1000  # AWS takes 10,000 events or 1 MiB at once
_DATA_A_CALL = 1000
_EXISTS = "ResourceAlreadyExistsException"


def ports(inside: Inside) -> Ports:
    """All of them."""
    return Ports(
        objects=S3(inside), events=Bus(inside), logs=Logs(inside), metrics=CloudWatch(inside)
    )


class S3:
    """``ObjectStore`` on ministack's S3."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside

    def objects(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        """See ``ObjectStore``."""
        query = {"list-type": "2", "prefix": prefix}
        while True:
            answer = self._inside.call("s3", "GET", f"/{bucket}", query=query)
            page = ElementTree.fromstring(_succeeded(answer, f"s3://{bucket}/{prefix}"))  # noqa: S314  our own
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
        """See ``ObjectStore``."""
        answer = self._inside.call("s3", "GET", f"/{bucket}/{key}")
        to.write_bytes(_succeeded(answer, f"s3://{bucket}/{key}"))

    def write(self, bucket: str, key: str, content: Path) -> None:
        """See ``ObjectStore``."""
        body = content.read_bytes()
        headers = {"content-length": str(len(body)), "content-type": "application/octet-stream"}
        answer = self._inside.call("s3", "PUT", f"/{bucket}/{key}", headers=headers, body=body)
        _succeeded(answer, f"s3://{bucket}/{key}")


class Bus:
    """``EventBus`` on ministack's EventBridge."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside

    def put(self, detail_type: str, detail: str, source: str, resources: Sequence[str]) -> None:
        """See ``EventBus``."""
        entry = {"Source": source, "DetailType": detail_type, "Detail": detail}
        self._inside.put_event({**entry, "Resources": list(resources)})


class Logs:
    """``LogSink`` on ministack's CloudWatch Logs."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside

    def write(self, group: str, stream: str, lines: Sequence[tuple[float, str]]) -> None:
        """See ``LogSink``."""
        where = {"logGroupName": group, "logStreamName": stream}
        for first in range(0, len(lines), _EVENTS_A_CALL):
            events = [
                {"timestamp": int(at * 1000), "message": text or " "}  # AWS refuses empty ones
                for at, text in lines[first : first + _EVENTS_A_CALL]
            ]
            self._append({**where, "logEvents": events})

    def _append(self, request: dict[str, object]) -> None:
        answer = self._inside.json("cloudwatch_logs", f"{_LOGS}.PutLogEvents", request)
        if answer.status == 400 and b"ResourceNotFound" in answer.body:
            group = {"logGroupName": request["logGroupName"]}
            self._make("CreateLogGroup", group)
            self._make("CreateLogStream", {**group, "logStreamName": request["logStreamName"]})
            answer = self._inside.json("cloudwatch_logs", f"{_LOGS}.PutLogEvents", request)
        _succeeded(answer, "logs:PutLogEvents")

    def _make(self, operation: str, request: dict[str, object]) -> None:
        answer = self._inside.json("cloudwatch_logs", f"{_LOGS}.{operation}", request)
        if _EXISTS.encode() not in answer.body:
            _succeeded(answer, f"logs:{operation}")


class CloudWatch:
    """``Metrics`` on ministack's CloudWatch."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside

    def put(self, data: Sequence[Datum]) -> None:
        """See ``Metrics``."""
        by_namespace: dict[str, list[Datum]] = defaultdict(list)
        for datum in data:
            by_namespace[datum.namespace].append(datum)
        for namespace, of_it in by_namespace.items():
            for first in range(0, len(of_it), _DATA_A_CALL):
                values = [_as_json(datum) for datum in of_it[first : first + _DATA_A_CALL]]
                request = {"Namespace": namespace, "MetricData": values}
                answer = self._inside.json("cloudwatch", f"{_METRICS}.PutMetricData", request)
                _succeeded(answer, "cloudwatch:PutMetricData")


def _as_json(datum: Datum) -> dict[str, object]:
    dimensions = [{"Name": name, "Value": value} for name, value in datum.dimensions.items()]
    return {
        "MetricName": datum.name,
        "Dimensions": dimensions,
        "Value": datum.value,
        "Timestamp": datum.at,
    }


def _succeeded(answer: Answer, what: str) -> bytes:
    match answer.status:
        case 403:
            raise PermissionError(f"{what}: access denied")
        case 404:
            raise FileNotFoundError(f"{what}: not found")
        case status if status >= 300:
            raise OSError(f"{what}: {answer.body.decode(errors='replace')}")
    return answer.body
