from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from hpoq.ui.log import READ_EVERY, TrainingLog


class Logs:
    """CloudWatch Logs with pages of two lines, whose last token repeats itself."""

    def __init__(self, **streams: list[str]) -> None:
        self.streams = {name.replace("_", "-"): lines for name, lines in streams.items()}
        self.calls = 0

    def describe_log_streams(self, **_: Any) -> Any:
        self.calls += 1
        if not self.streams:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "Describe")
        return {"logStreams": [{"logStreamName": f"job/{name}"} for name in self.streams]}

    def get_log_events(self, **asked: Any) -> Any:
        assert asked["startFromHead"]
        lines = self.streams[asked["logStreamName"].removeprefix("job/")]
        first = int(asked.get("nextToken", "0"))
        events = [
            {"timestamp": 1000 * n, "message": lines[n]}
            for n in range(first, min(len(lines), first + 2))
        ]
        return {"events": events, "nextForwardToken": str(first + len(events))}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_all_pages_are_read_and_then_what_is_new() -> None:
    logs: Any = Logs(algo_1_7=["a", "b", "c", "d", "e"])
    clock = Clock()
    log = TrainingLog(logs, "job", clock)
    assert [line.text for line in log.lines()] == ["a", "b", "c", "d", "e"]
    logs.streams["algo-1-7"] += ["f"]
    clock.now += READ_EVERY
    assert [line.text for line in log.lines(5)] == ["f"]
    assert [line.text for line in log.lines(4)] == ["e", "f"]


def test_readers_in_the_same_second_cost_one_call() -> None:
    logs: Any = Logs(algo_1_7=["a"])
    log = TrainingLog(logs, "job", Clock())
    for _ in range(5):
        log.lines()
    assert logs.calls == 1


def test_lines_of_several_instances_are_in_the_order_of_time() -> None:
    logs: Any = Logs(algo_1_7=["a", "b"], algo_2_8=["x", "y"])
    log = TrainingLog(logs, "job", Clock())
    assert sorted(line.host for line in log.lines()) == ["algo-1", "algo-1", "algo-2", "algo-2"]
    assert [line.at for line in log.lines()] == [0, 0, 1, 1]
    assert log.several_hosts


def test_a_job_that_has_said_nothing_has_no_lines() -> None:
    assert TrainingLog(Logs(), "job", Clock()).lines() == []  # type: ignore[arg-type]
