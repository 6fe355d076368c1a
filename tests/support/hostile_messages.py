"""More than two hundred hostile messages, each with the field that it attacks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hpoq.simulation.sagemaker import SimulatedRun
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Workload
from tests.support.unreliable_dispatcher import ample

LR = {"type": "continuous", "min": 0.001, "max": 0.1}
GOOD = {"hyperparameter_ranges": {"lr": LR}}
DEEP = 50_000  # levels
# Texts that break logs, queries, shells, pages, paths or terminals somewhere.
TEXTS = {
    "line break": "a\nlevel=ERROR forged",
    "terminal": "\x1b]0;owned\x07\x1b[2J",
    "null": "a\x00b",
    "right to left": "\u202egpj.exe",
    "half a pair": "\ud800",
    "markup": "<script>alert(1)</script>",
    "shell": "$(touch /tmp/owned); `id`",
    "query": "' OR '1'='1",
    "format": "{0.__class__} %s %n ${jndi:ldap://evil/x}",
    "path": "../../../etc/passwd",
    "formula": "=cmd|'/C calc'!A0",
    "zero width": "fra\u200bud",
    "long": "x" * 20_000,
}
# Values of another type than every field expects.
VALUES: dict[str, Any] = {
    "null": None, "true": True, "zero": 0, "negative": -1, "huge": 10**400, "float": 1e308,
    "text": "x", "empty text": "", "list": [[]], "object": {"a": {"b": {}}},
    "object of code": {"__class__": {"__init__": {"__globals__": {}}}},
    "reference": {"$ref": "#/definitions/x"},
}  # fmt: skip


OBJECTS = ("object", "object of code", "reference")


@dataclass(frozen=True)
class Hostile:
    """A message, and the field that its rejection has to name; none if it is harmless."""

    name: str
    body: str
    field: str | None


def message(**fields: Any) -> str:
    return json.dumps(GOOD | fields)


def malformed() -> Iterator[Hostile]:
    bodies = {
        "nothing": "", "blanks": " \n\t", "no JSON": "{", "two objects": "{}{}", "a number": "1",
        "a list": "[]", "a text": '"x"', "null": "null", "NaN": '{"version": NaN}',
        "Infinity": '{"version": -Infinity}', "deep lists": "[" * DEEP,
        "deep objects": '{"a":' * DEEP, "closed deep lists": "[" * DEEP + "]" * DEEP,
        "a million digits": '{"version": ' + "9" * 100_000 + "}",
        "an exponent": '{"version": 1e999999999}', "a comment": "/* */ {}",
        "single quotes": "{'version': 1}", "YAML": "a: &a [*a]",
        "an entity": "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><x>&a;</x>",
        "pickle": "\x80\x04cos\nsystem\n", "the mark of the byte order": "\ufeff{}",
    }  # fmt: skip
    for name, body in bodies.items():
        yield Hostile(f"body: {name}", body, "")  # the parser decides which field
    twice = '{"version": 1, "version": 1}'
    yield Hostile("body: a field twice", twice, "version")


def wrong_types() -> Iterator[Hostile]:
    # Of each field, the values that are right for it.
    right = {
        "hyperparameter_ranges": (), "objective": (), "resource_limits": (), "overrides": OBJECTS,
        "tags": ("reference",), "hyperparameters": ("reference",), "strategy": (),
        "template": (), "request_id": ("text",),
        "priority": ("zero", "negative"), "after": (), "warm_start_from": (),
        "version": ("true",), "expected_minutes": ("true",), "api_request": OBJECTS,
    }  # fmt: skip
    optional = {"null", "empty text"}
    for field, values in right.items():
        for name, value in VALUES.items():
            if name not in values and name not in optional:
                yield Hostile(f"{field}: {name}", message(**{field: value}), field)


def objects() -> Iterator[Hostile]:
    """Yield objects where the API's fields belong: what is wrong is inside."""
    for name in OBJECTS:
        (field,) = VALUES[name]
        yield Hostile(f"overrides: {name}", message(overrides=VALUES[name]), field)
        beside = message(api_request=VALUES[name])
        yield Hostile(f"api_request: {name}", beside, "hyperparameter_ranges")
        alone = json.dumps({"api_request": VALUES[name]})
        yield Hostile(f"api_request alone: {name}", alone, "api_request")
    tags = message(tags=VALUES["reference"])
    yield Hostile("tags: reference", tags, "Tags.0.Key")


def texts() -> Iterator[Hostile]:
    for name, text in TEXTS.items():
        if name == "half a pair":  # which UTF-8 cannot encode, wherever it is
            yield Hostile(name, message(request_id=text), "body")
            continue
        yield Hostile(f"request_id: {name}", message(request_id=text), "request_id")
        yield Hostile(f"template: {name}", message(template=text), "template")
        yield Hostile(f"after: {name}", message(after=[text]), "after")
        yield Hostile(f"warm start: {name}", message(warm_start_from=[text]), "warm_start_from")
        yield Hostile(f"action: {name}", json.dumps({"action": text}), "action")
        cancel = {"action": "cancel", "request_id": text}
        yield Hostile(f"cancel: {name}", json.dumps(cancel), "request_id")
        yield Hostile(f"unknown field: {name}", message(**{text: 1}), "")


HOSTILE = [*malformed(), *wrong_types(), *objects(), *texts()]


def after_one_cycle() -> Simulation:
    """Return an account after a cycle that took in every hostile message of one team."""
    account = Simulation(Workload(name="w", arrivals=[], teams={"loud": {}, "quiet": {}}))
    account.sagemaker.run_of = lambda _: SimulatedRun(seconds=100)
    for each in HOSTILE:
        account.queues.send("loud", each.body)
    account.queues.send("quiet", json.dumps(GOOD | {"request_id": "good"}))
    account.dispatcher.run(ample())
    return account
