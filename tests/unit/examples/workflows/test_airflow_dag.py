"""The example DAG runs against a deployment, with stand-ins for Airflow's classes.

Airflow is not installed. The stand-ins take the parameters that the Amazon provider's source names
(apache/airflow, providers/amazon: operators/sqs.py, sensors/dynamodb.py), and do what it does.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Status
from tests.support.dispatcher_account import Account, account, session

__all__ = ["account", "session"]

FILE = Path(__file__).parents[4] / "examples/workflows/airflow_dag.py"
RUN = "20261123"
ORDER: list[Any] = []


class Node:
    """A task of a DAG, which ``>>`` puts before another."""

    def __rshift__(self, other: Node) -> Node:
        ORDER.extend(each for each in (self, other) if each not in ORDER)
        return other


class SqsPublishOperator(Node):
    """Sends a message; the keyword-only parameters of the provider's class."""

    def __init__(self, *, task_id: str, sqs_queue: str, message_content: str) -> None:
        self.queue, self.content = sqs_queue, message_content


class DynamoDBValueSensor(Node):
    """Waits until an attribute has one of some values; the parameters of the provider's class."""

    def __init__(
        self,
        table_name: str,
        partition_key_name: str,
        partition_key_value: str,
        attribute_name: str,
        attribute_value: str | list[str],
        sort_key_name: str | None = None,
        sort_key_value: str | None = None,
        *,
        task_id: str,
        mode: str,
        poke_interval: float,
        timeout: float,
    ) -> None:
        assert mode in ("poke", "reschedule")
        assert poke_interval < timeout
        self.table = table_name
        self.key = {partition_key_name: partition_key_value, sort_key_name: sort_key_value}
        self.attribute, self.values = attribute_name, attribute_value

    def poke(self, account: Account) -> bool:
        table = account.session.resource("dynamodb").Table(self.table)
        key = {str(name): rendered(str(value)) for name, value in self.key.items()}
        item = table.get_item(Key=key).get("Item", {})
        return item.get(self.attribute) in self.values


class Called(Node):
    """A call of a function that ``@task`` decorates."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[str, ...]) -> None:
        self.function, self.arguments = function, arguments


def task(function: Callable[..., Any]) -> Callable[..., Called]:
    return lambda *arguments: Called(function, arguments)


def dag(**_: Any) -> Callable[[Callable[[], None]], Callable[[], None]]:
    return lambda function: function


def rendered(template: str) -> str:
    return template.replace("{{ ds_nodash }}", RUN)


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    names = {
        "airflow": {},
        "airflow.decorators": {"dag": dag, "task": task},
        "airflow.providers": {},
        "airflow.providers.amazon": {},
        "airflow.providers.amazon.aws": {},
        "airflow.providers.amazon.aws.operators": {},
        "airflow.providers.amazon.aws.operators.sqs": {"SqsPublishOperator": SqsPublishOperator},
        "airflow.providers.amazon.aws.sensors": {},
        "airflow.providers.amazon.aws.sensors.dynamodb": {
            "DynamoDBValueSensor": DynamoDBValueSensor
        },
    }
    for name, members in names.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    ORDER.clear()
    spec = importlib.util.spec_from_file_location("airflow_dag", FILE)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    yield list(ORDER)


def test_the_dag_sends_a_request_waits_for_its_end_and_uses_the_best_training_job(
    account: Account, nodes: list[Any]
) -> None:
    tune, wait, use = nodes
    assert isinstance(tune, SqsPublishOperator)
    assert not wait.poke(account)
    account.send("fraud", rendered(tune.content))
    account.cycle()
    assert not wait.poke(account)
    account.cycle()
    assert wait.poke(account)
    best = use.function(*map(rendered, use.arguments))
    entry = account.dispatcher().requests.get("fraud", f"airflow-{RUN}")
    assert entry is not None
    assert entry.best is not None
    assert best == entry.best.name


def test_the_dag_fails_with_the_reason_of_a_rejected_request(
    account: Account, nodes: list[Any]
) -> None:
    tune, wait, use = nodes
    message = json.loads(rendered(tune.content)) | {"template": "none"}
    account.send("fraud", message)
    account.cycle()
    assert wait.poke(account)
    with pytest.raises(RuntimeError, match="Rejected: template: unknown template 'none'"):
        use.function(*map(rendered, use.arguments))


def test_the_sensor_ends_with_every_final_status(nodes: list[Any]) -> None:
    _, wait, _ = nodes
    assert set(wait.values) == {str(status) for status in Status if status.ended}
