"""Reads files of requests in JSON, JSON Lines or YAML, as strictly as the dispatcher reads JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read_requests(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the requests of one file, each with its place in the file.

    Raises:
        UnreadableFile: the file is not JSON, JSON Lines or YAML, or contains no objects.
    """
    from hpoq.errors import UnreadableFile

    name = "stdin" if str(file) == "-" else str(file)
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
    except OSError as error:
        raise UnreadableFile(f"{name}: {error.strerror}. Name a file, or - for stdin") from None
    except UnicodeDecodeError:
        raise UnreadableFile(f"{name}: not UTF-8. Save the file as UTF-8 text") from None
    found = _parse(name, text)
    for number, message in enumerate(found, 1):
        where = name if len(found) == 1 else f"{name}, request {number}"
        if not isinstance(message, dict):
            raise UnreadableFile(f"{where}: not a JSON object. See `hpoq schema`")
        yield where, message
    if not found:
        raise UnreadableFile(f"{name}: contains no request. Write one JSON object for each request")


def _parse(name: str, text: str) -> list[Any]:
    from hpo_dispatcher.contract.validation.texts import NotFinite, Twice
    from hpoq.errors import UnreadableFile

    try:
        for read in (_json, _json_lines):
            try:
                return read(text)
            except (Twice, NotFinite):
                raise
            except ValueError:
                continue
        return _yaml(name, text)
    except (Twice, NotFinite) as error:
        raise UnreadableFile(f"{name}: {error}") from None
    except RecursionError:
        raise UnreadableFile(f"{name}: nested too deeply. See `hpoq schema`") from None


def _json(text: str) -> list[Any]:
    from hpo_dispatcher.contract.validation.texts import read_json

    return _as_list(read_json(text))


def _json_lines(text: str) -> list[Any]:
    from hpo_dispatcher.contract.validation.texts import read_json

    return [read_json(line) for line in text.splitlines() if line.strip()]


def _yaml(name: str, text: str) -> list[Any]:
    """Parse YAML, and what it contains as JSON, which has no dates, sets or bytes."""
    import yaml

    from hpo_dispatcher.contract.validation.texts import read_yaml
    from hpoq.errors import UnreadableFile

    try:
        documents = [each for each in read_yaml(text) if each is not None]
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise UnreadableFile(f"{name}: not valid JSON or YAML ({problem}). Fix the file") from None
    try:
        documents = json.loads(json.dumps(documents, allow_nan=False))
    except ValueError:
        raise UnreadableFile(f"{name}: {_why_not_json(documents)}") from None
    except TypeError as error:
        raise UnreadableFile(f"{name}: {error}. Use values that JSON has, text in quotes") from None
    return [each for document in documents for each in _as_list(document)]


def _why_not_json(documents: object) -> str:
    """Return why values cannot be JSON, which has no cycles, no infinity and no NaN."""
    try:
        json.dumps(documents)  # accepts infinity and NaN
    except ValueError:
        return "an alias refers to what contains it. Remove it"
    return "infinity and NaN are not valid JSON. Use finite numbers"


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
