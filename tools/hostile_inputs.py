"""Write what becomes of hostile messages, archives and names to docs/hostile-inputs.md.

python -m tools.hostile_inputs
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from hpoq.errors import NotReachable
from hpoq.results.models import download
from hpoq.unpacking import NotUnpacked, unpack
from tests.support.hostile_archives import KEYS, MODEL_OF, REFUSED, UNPACKED, from_s3
from tests.support.hostile_messages import HOSTILE, after_one_cycle

PAGE = Path(__file__).resolve().parent.parent / "docs" / "hostile-inputs.md"
LONGEST = 110  # characters of an answer
HEAD = """# What becomes of hostile inputs

`make docs` writes this page: it sends each input to the code that reads it, and notes the answer.
The tests try the same inputs, and that nothing is written elsewhere, no other team waits, and each
answer is one printable line. Long answers are cut here.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


def page() -> str:
    """Return the page."""
    messages, archives, keys = [*_messages()], [*_archives()], [*_keys()]
    return "\n".join(
        [
            HEAD,
            f"## {len(messages)} messages to a team's queue",
            "",
            "Each is moved to the team's dead-letter queue with this answer.",
            "",
            *_table(("message", "field", "problem"), messages),
            "",
            f"## {len(archives)} archives of models and of source code",
            "",
            "`hpoq best --download` and the training jobs of the embedded cloud unpack these.",
            "",
            *_table(("archive", "what becomes of it"), archives),
            "",
            f"## {len(keys)} names of objects in a model's folder",
            "",
            *_table(("key below `m/`", "what becomes of it"), keys),
            "",
        ]
    )


def _messages() -> Iterator[tuple[str, ...]]:
    account = after_one_cycle()
    errors = {body: error for _, body, error in account.queues.dead_letters}
    for each in HOSTILE:
        error = errors[each.body]
        yield each.name, _code(error.field), _code(error.problem)


def _archives() -> Iterator[tuple[str, ...]]:
    unpacked = {name: content for name, (content, _) in UNPACKED.items()}
    for name, content in (REFUSED | unpacked).items():
        with tempfile.TemporaryDirectory() as scratch:
            archive, folder = Path(scratch) / "model.tar.gz", Path(scratch) / "model"
            archive.write_bytes(content)
            folder.mkdir()
            try:
                unpack(archive, folder)
                found = sorted(each.name for each in folder.iterdir())
                yield name, f"unpacked: {_code(', '.join(found))}" if found else "unpacked: nothing"
            except NotUnpacked as error:
                problem = str(error)
                for place in (str(folder), scratch, str(Path(scratch).parent)):
                    problem = problem.replace(place, "...")
                yield name, f"refused: {_code(problem)}"


def _keys() -> Iterator[tuple[str, ...]]:
    for key in KEYS:
        with tempfile.TemporaryDirectory() as scratch:
            try:
                folder = download(
                    from_s3("s3://b/m/", {key: b"x"}), MODEL_OF, Path(scratch) / "model"
                )
                found = [each for each in folder.rglob("*") if each.is_file()]
                yield _code(key), "downloaded" if found else "not downloaded"
            except NotReachable as error:
                yield _code(key), f"refused: {_code(str(error))}"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _code(text: str) -> str:
    """Return a text as code of Markdown in a table: in one line, printable, and not too long."""
    if not text:
        return ""
    shown = json.dumps(text)[1:-1].replace('\\"', '"').replace("|", "\\|").replace("`", "'")
    return f"`{shown if len(shown) <= LONGEST else shown[: LONGEST - 3] + '...'}`"


if __name__ == "__main__":
    main()
