"""Bad messages become dead letters and do not delay good ones, however many or bad they are.

A bad message is a good message with one random mistake.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from hpo_dispatcher.contract.errors import MAX_PART_LENGTH
from hpo_dispatcher.contract.message import parse_fields
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.ports import Refused, TuningService
from hpoq.simulation.deployment import TEMPLATE
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload
from infra.request_queue import MAX_MESSAGE_BYTES
from tests.support.dispatcher_account import RANGES, Account, account, ample_time, session

__all__ = ["account", "session"]

GOOD, BAD, TEAMS = 1_000, 10_000, ("a", "b")
SECRET = TEMPLATE.model_copy(update={"secret_hyperparameters": ("api-key",)})
LR = {"type": "continuous", "min": 0.001, "max": 0.1}
Message = dict[str, Any]


def good_message(draw: random.Random) -> Message:
    """Return a message with every field of the contract, so that each can have a mistake."""
    return {
        "version": 1,
        "hyperparameters": {"epochs": draw.randint(1, 99), "api-key": f"{draw.random()}"},
        "hyperparameter_ranges": {
            "lr": dict(LR),
            "batch-size": {"type": "integer", "min": 1, "max": draw.randint(2, 4096)},
            "optimizer": {"type": "categorical", "values": ["sgd", "adam"]},
        },
        "objective": {"metric": "m", "type": draw.choice(["Maximize", "Minimize"])},
        "strategy": draw.choice(["Random", "Bayesian"]),
        "resource_limits": {"max_training_jobs": draw.randint(5, 20)},
        "priority": draw.randint(-9, 9),
        "tags": {"project": f"p{draw.randint(0, 99)}"},
        "overrides": {"TrainingJobDefinition": {"StoppingCondition": {"MaxRuntimeInSeconds": 60}}},
    }


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of each value in a message."""
    inside = value.items() if isinstance(value, dict) else ()
    deeper = [place for key, each in inside for place in places(each, (*path, key))]
    return [path, *deeper] if path else deeper


def put(message: Message, path: tuple[Any, ...], value: object) -> str:
    here: Any = message
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    return json.dumps(message)


def word(draw: random.Random) -> str:
    """Return a random word that is not part of the contract."""
    odd = draw.choice(["é", "\x00", "\u2028", "\uffff", "🙂", "'", '"', "\\", "</x>", "%s", "x"])
    return f"{odd}{draw.randrange(10**9)}{odd * draw.randint(0, 300)}"


# Functions that put one mistake into a good message.
MISTAKES: dict[str, Callable[[random.Random, Message], str]] = {
    "cut off": lambda d, m: json.dumps(m)[: d.randint(1, len(json.dumps(m)) - 1)],
    "garbage in front": lambda d, m: word(d) + json.dumps(m),
    "garbage behind": lambda d, m: json.dumps(m) + word(d),
    "other JSON": lambda d, m: json.dumps(d.choice([[m], None, True, 3, "x", [], [[]]])),
    "wrong type": lambda d, m: put(m, d.choice(places(m)), [{word(d): None}]),
    "nothing": lambda d, m: put(m, (d.choice([f for f in m if f not in MAY_BE_NULL]),), None),
    "field unknown": lambda d, m: put(m, (word(d),), 1),
    "field unknown, inside": lambda d, m: put(m, ("resource_limits", word(d)), 1),
    "field of a range unknown": lambda d, m: put(m, ("hyperparameter_ranges", "lr", word(d)), 1),
    "field misspelt": lambda d, m: put(m, (d.choice(list(m))[:-1],), 1),
    "field twice": lambda d, m: json.dumps(m)[:-1] + f', "{d.choice(list(m))}": 1}}',
    "not a number": lambda d, m: put(m, ("priority",), d.choice([float("nan"), float("inf")])),
    "half a character": lambda d, m: put(m, ("hyperparameters", "x"), chr(d.randint(*HALVES))),
    "version": lambda d, m: put(m, ("version",), d.choice([2, 99, -1, "1", [1], None, 1.5])),
    "action": lambda d, m: put(m, ("action",), d.choice(["cancel", "stop", word(d), [], None])),
    "request id": lambda d, m: put(m, ("request_id",), d.choice([word(d) + " ", "", "a" * 65])),
    "template": lambda d, m: put(m, ("template",), word(d)),
    "strategy": lambda d, m: put(m, ("strategy",), word(d)),
    "objective": lambda d, m: put(m, ("objective", "type"), word(d)),
    "min above max": lambda d, m: put(m, ("hyperparameter_ranges", "lr", "min"), 1 + d.random()),
    "logarithm of nothing": lambda d, m: put(
        m, ("hyperparameter_ranges", "lr"), {**LR, "min": -d.random(), "scaling": "Logarithmic"}
    ),
    "value twice": lambda d, m: put(m, ("hyperparameter_ranges", "optimizer", "values"), [1, 1]),
    "too many ranges": lambda d, m: put(
        m, ("hyperparameter_ranges",), {f"p{n}": LR for n in range(d.randint(31, 60))}
    ),
    "too many hyperparameters": lambda d, m: put(
        m, ("hyperparameters",), {f"p{n}": n for n in range(d.randint(101, 200))}
    ),
    "too many tags": lambda d, m: put(
        m, ("tags",), {f"t{n}": "" for n in range(d.randint(48, 90))}
    ),
    "tag of ours": lambda d, m: put(m, ("tags", "hpoq:" + word(d)), "x"),
    "name in both": lambda d, m: put(m, ("hyperparameters", "lr"), d.random()),
    "reserved name": lambda d, m: put(m, ("hyperparameters", "_" + word(d)), 1),
    "too many training jobs": lambda d, m: put(
        m, ("resource_limits", "max_training_jobs"), d.choice([0, -1, 10_001, 10**400])
    ),
    "too many at once": lambda d, m: put(
        m, ("resource_limits", "max_parallel_training_jobs"), d.choice([0, 101, 10**30])
    ),
    "after itself": lambda _, m: json.dumps(m | {"request_id": "me", "after": ["me"]}),
    "no field of the API": lambda d, m: put(m, ("overrides", word(d)), {}),
    "no number of the API": lambda d, m: put(m, RUN_TIME, d.choice([10**10, 10**400, "60", 1e400])),
    "no instance type": lambda d, m: put(m, INSTANCE_TYPE, {"InstanceType": word(d)}),
    "role": lambda d, m: put(m, ROLE, "arn:aws:iam::123456789012:role/" + word(d)),
    "nested": lambda d, m: put(m, ("overrides", "Tags"), nested(d.randint(1, 500))),
    "id of another": lambda _, m: json.dumps(m | {"request_id": "first"}),
}
MAY_BE_NULL = ("objective", "strategy")
HALVES = (0xD800, 0xDFFF)
RUN_TIME = ("overrides", "TrainingJobDefinition", "StoppingCondition", "MaxRuntimeInSeconds")
INSTANCE_TYPE = ("overrides", "TrainingJobDefinition", "ResourceConfig")
ROLE = ("overrides", "TrainingJobDefinition", "RoleArn")


def nested(depth: int) -> object:
    return [nested(depth - 1)] if depth else 1


def world() -> Simulation:
    names = ["first", "first", *(f"r{n}" for n in range(2, GOOD))]
    arrivals = [
        Arrival(at=0, team=TEAMS[n % 2], request_id=name, seconds=60)
        for n, name in enumerate(names)
    ]
    made = Simulation(Workload(name="w", arrivals=arrivals, teams={t: {} for t in TEAMS}))
    builder = replace(made.dispatcher.builder, templates={"simulated": SECRET})
    made.dispatcher = replace(made.dispatcher, builder=builder, redactor=Redactor.of([SECRET]))
    return made


def test_each_of_ten_thousand_bad_messages_is_dead_lettered_and_every_good_one_runs() -> None:
    account, draw = world(), random.Random(2026)
    for first in account.workload.arrivals[:2]:  # accepted before the bad ones arrive
        account.send(first)
    account.dispatcher.run(ample_time())
    bad: list[tuple[str, str, str]] = []
    rest = iter(account.workload.arrivals[2:])
    for number in range(BAD):
        mistake = list(MISTAKES)[number % len(MISTAKES)]
        team, body = draw.choice(TEAMS), MISTAKES[mistake](draw, good_message(draw))
        account.queues.send(team, body)
        bad.append((mistake, team, body))
        if number % (BAD // GOOD) == 0 and (arrival := next(rest, None)):
            account.send(arrival)

    report = account.run_to_end()  # raises the errors of cycles

    assert (report.completed, report.lost, report.duplicated) == (GOOD, 0, 0)
    letters = account.queues.dead_letters
    assert sorted((team, body) for team, body, _ in letters) == sorted(
        (team, body) for _, team, body in bad
    )
    reasons = {body: error for _, body, error in letters}
    assert [m for m, _, body in bad if not all(has_short_parts(reasons[body]))] == []
    assert not any("internal error" in error.problem for error in reasons.values())


def has_short_parts(error: Any) -> list[bool]:
    return [0 < len(words) <= MAX_PART_LENGTH for words in (error.field, error.problem, error.fix)]


def of(**fields: object) -> str:
    return json.dumps({"hyperparameter_ranges": RANGES, **fields})


# Messages, and the field that each dead letter names. Most of these messages once took minutes to
# process or made a cycle fail.
WORST: dict[str, tuple[str, str]] = {
    "text of one letter": ("a" * 250_000, "body"),
    "words": ("a= " * 80_000, "body"),
    "a field of addresses": (of(**{"http://" * 35_000: 1}), "http://"),
    "a field of queries": (of(**{"http://a?" * 27_000: 1}), "http://a?"),
    "a field of a name": (of(**{"--api-key " * 24_000: 1}), "--api-key"),
    "a long field": (of(**{"x" * 250_000: 1}), "xxxx"),
    "the last field twice": (
        "{" + ",".join(f'"{n}":1' for n in range(26_000)) + ',"z":1,"z":1}', "z"),
    "many secrets": (of(stratgy={"api-key": [f"{n}" for n in range(25_000)]}), "stratgy"),
    "half a character": (of(hyperparameters={"a": "\ud800"}), "body"),
    "half a character's name": (of(overrides={"\udfff": 1}), "body"),
    "a number without end": (
        of(overrides={"TrainingJobDefinition": {"StoppingCondition": {
            "MaxRuntimeInSeconds": 10**400}}}),
        "TrainingJobDefinition.StoppingCondition.MaxRuntimeInSeconds"),
    "lists in lists": ("[" * 100_000, "body"),
    "as large as a queue takes": ("\u2028" * (MAX_MESSAGE_BYTES // 3), "body"),
}  # fmt: skip
PATIENCE = 10.0  # seconds; a cycle has 900, and the worst message once took longer


@pytest.fixture
def secretive(account: Account) -> Dispatcher:
    made = account.dispatcher()
    templates = {
        name: each.model_copy(update={"secret_hyperparameters": ("api-key",)})
        for name, each in made.builder.templates.items()
    }
    builder = replace(made.builder, templates=templates)
    return replace(made, builder=builder, redactor=Redactor.of(templates.values()))


@pytest.mark.parametrize("name", WORST)
def test_the_worst_messages_are_dead_lettered_without_delaying_others(
    account: Account, secretive: Dispatcher, name: str
) -> None:
    body, field = WORST[name]
    account.send("fraud", body)
    account.request("fraud", "neighbour")
    account.request("vision", "neighbour")

    began = time.monotonic()
    summary = secretive.run(ample_time())

    assert time.monotonic() - began < PATIENCE
    assert (summary.rejected, summary.started, summary.problems) == (1, 2, ())
    (letter,) = account.dead_letters("fraud")
    assert letter["body"] == body
    assert letter["hpoq-field"].startswith(field)
    assert "internal error" not in letter["hpoq-problem"]
    assert account.waiting("fraud") == 0


def test_a_message_that_triggers_a_bug_of_hpoq_is_dead_lettered_and_others_are_processed(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(fields: Mapping[str, Any], message_id: str) -> Any:
        if fields["request_id"] == "unlucky":
            raise ZeroDivisionError("api-key=hush")
        return parse_fields(fields, message_id)

    monkeypatch.setattr("hpo_dispatcher.cycle.intake.accounting.parse_fields", fails)
    account.request("fraud", "unlucky")
    account.request("fraud", "neighbour")

    assert account.cycle().started == 1
    (letter,) = account.dead_letters("fraud")
    assert "ZeroDivisionError" in letter["hpoq-problem"]
    assert "hush" not in json.dumps({k: v for k, v in letter.items() if k != "body"})


def test_characters_that_json_can_encode_and_sqs_cannot_store_are_rejected(
    account: Account,
) -> None:
    account.request("fraud", "a", hyperparameters={"note": "\uffff"})
    made = account.dispatcher()
    refusing = replace(made, tuning=RejectingSageMaker(made.tuning))

    assert refusing.run(ample_time()).rejected == 1
    (letter,) = account.dead_letters("fraud")
    assert "\uffff" not in letter["body"]
    assert json.loads(letter["body"])["hyperparameters"] == {"note": "\uffff"}


class RejectingSageMaker:
    """A SageMaker that rejects every tuning job."""

    def __init__(self, tuning: TuningService) -> None:
        self._tuning = tuning

    def create(self, api_request: Any) -> Refused:
        return Refused("no")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tuning, name)
