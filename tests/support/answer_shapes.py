"""Answers of an AWS API, checked against the shapes that botocore's service models give them.

An emulator that answers with members that AWS does not have, or without members that AWS always
sends, lets code pass that fails on AWS. botocore drops unknown members, so the body is checked.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore import xform_name
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

ROOT = Path(__file__).parents[2]
JSON_PROTOCOLS = ("json", "rest-json")
PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "character": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (int, float, str, datetime),
}
_CLIENT = re.compile(r"(?:client|\bservice)\(\s*\"([a-z0-9-]+)\"")
_MEMBER = re.compile(r"[A-Z][A-Za-z0-9]+")
# Methods of our own with the name of an operation.
OWN_METHODS = {
    "cloudformation:GetTemplate",  # of Jinja
    "lambda:GetPolicy",  # IAM's is called
    "lambda:ListTags",  # SageMaker's is called
    "sagemaker:CreateExperiment",  # of MLflow
    "sagemaker:CreateTrial",  # of Optuna
    "sns:Publish",  # of the dispatcher's port
}


@dataclass
class Answers:
    """The successful answers of all clients that a session creates within ``answers_of``."""

    operations: set[str] = field(default_factory=set)  # service:Operation
    problems: list[str] = field(default_factory=list)

    def after(self, http_response: Any, parsed: Any, model: OperationModel, **_: Any) -> None:
        """Check an answer."""
        if http_response.status_code >= 300:
            return
        name = f"{model.service_model.service_name}:{model.name}"
        self.operations.add(name)
        shape = model.output_shape
        if shape is None:
            return
        if model.service_model.metadata["protocol"] in JSON_PROTOCOLS:
            value = json.loads(http_response.content or b"{}")
        else:
            value = {key: each for key, each in parsed.items() if key != "ResponseMetadata"}
        self.problems += [f"{name}{problem}" for problem in mismatches(shape, value)]


@contextmanager
def answers_of(session: boto3.Session) -> Iterator[Answers]:
    """Check the answers to clients that are created from now on."""
    answers = Answers()
    session.events.register("after-call", answers.after)
    try:
        yield answers
    finally:
        session.events.unregister("after-call", answers.after)


def mismatches(shape: Shape, value: Any, path: str = "") -> Iterator[str]:
    """Yield where a value does not have a shape."""
    match shape:
        case StructureShape() if getattr(shape, "is_document_type", False):
            return
        case StructureShape():
            yield from _structure(shape, value, path)
        case ListShape():
            yield from _wrong_type(value, (list, tuple), path)
            for index, each in enumerate(value if isinstance(value, list) else ()):
                yield from mismatches(shape.member, each, f"{path}[{index}]")
        case MapShape():
            yield from _wrong_type(value, (dict,), path)
            for key, each in value.items() if isinstance(value, dict) else ():
                yield from mismatches(shape.key, key, f"{path}.{key}")
                yield from mismatches(shape.value, each, f"{path}.{key}")
        case _:
            yield from _scalar(shape, value, path)


def _structure(shape: StructureShape, value: Any, path: str) -> Iterator[str]:
    yield from _wrong_type(value, (dict,), path)
    if not isinstance(value, dict):
        return
    value = {name: each for name, each in value.items() if each is not None}  # null is absent
    members = {
        each.serialization.get("name", name): each
        for name, each in shape.members.items()
        if "location" not in each.serialization
    }
    for name in sorted(set(value) - set(shape.members) - set(members)):
        yield f"{path}.{name}: AWS has no such member"
    for name in sorted(set(shape.required_members) & set(shape.members) - set(value)):
        if "location" not in shape.members[name].serialization:
            yield f"{path}.{name}: AWS always has this member"
    for name, each in value.items():
        member = members.get(name) or shape.members.get(name)
        if member is not None:
            yield from mismatches(member, each, f"{path}.{name}")


def _scalar(shape: Shape, value: Any, path: str) -> Iterator[str]:
    types = PYTHON_TYPES.get(shape.type_name)
    if types is None or shape.serialization.get("jsonvalue"):
        return
    if isinstance(value, dict) and shape.type_name == "string":
        return  # botocore parses the policy documents of IAM
    yield from _wrong_type(value, types, path)
    allowed = getattr(shape, "enum", [])
    if allowed and isinstance(value, str) and value not in allowed:
        yield f"{path}: AWS never answers {value!r}"


def _wrong_type(value: Any, types: tuple[type, ...], path: str) -> Iterator[str]:
    wrong_boolean = isinstance(value, bool) and bool not in types
    if not isinstance(value, types) or wrong_boolean:
        yield f"{path}: {type(value).__name__} instead of {types[0].__name__}"


def product_sources() -> list[Path]:
    """Return the sources of the dispatcher and of the client, without the embedded cloud."""
    found = [*ROOT.glob("lambdas/hpo_dispatcher/**/*.py"), *ROOT.glob("hpoq/**/*.py")]
    return sorted(path for path in found if not path.is_relative_to(ROOT / "hpoq" / "local"))


def operations_called() -> dict[str, OperationModel]:
    """Return the operations that the product's sources call, by ``service:Operation``."""
    sources = [path.read_text() for path in product_sources()]
    methods = set().union(*(_methods(ast.parse(source)) for source in sources))
    services = set(_CLIENT.findall("\n".join(sources)))
    loader = botocore.session.get_session()
    models = [loader.get_service_model(service) for service in sorted(services)]
    return {
        f"{model.service_name}:{name}": model.operation_model(name)
        for model in models
        for name in model.operation_names
        if xform_name(name) in methods and f"{model.service_name}:{name}" not in OWN_METHODS
    }


def _methods(tree: ast.AST) -> set[str]:
    """Return the names of called methods; a paginator calls the operation that it names."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="get_paginator"), args=[ast.Constant(value)]):
                found.add(str(value))
            case ast.Call(func=ast.Attribute(attr=name)):
                found.add(name)
    return found


def members_read() -> dict[str, set[str]]:
    """Return the members in SageMaker's spelling that the sources read, with their files."""
    found: dict[str, set[str]] = {}
    for path in product_sources():
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Subscript(slice=ast.Constant(str(name)), ctx=ast.Load()):
                    pass
                case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(str(name)), *_]):
                    pass
                case _:
                    continue
            if _MEMBER.fullmatch(name):
                found.setdefault(name, set()).add(path.relative_to(ROOT).as_posix())
    return found


def members_of(operations: Iterable[OperationModel]) -> set[str]:
    """Return the names of all members of requests and answers of operations, at any depth."""
    seen: set[str] = set()
    names: set[str] = set()

    def visit(shape: Shape | None) -> None:
        if shape is None or (key := f"{id(type(shape))}{shape.name}") in seen:
            return
        seen.add(key)
        match shape:
            case StructureShape():
                names.update(shape.members)
                for member in shape.members.values():
                    visit(member)
            case ListShape():
                visit(shape.member)
            case MapShape():
                visit(shape.value)

    for operation in operations:
        seen.clear()
        visit(operation.input_shape)
        visit(operation.output_shape)
    return names
