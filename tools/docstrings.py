"""Check how public docstrings begin: ``python -m tools.docstrings [PATH ...]``.

A function's docstring begins with an imperative verb. A class's or property's docstring is a
noun phrase; a property's may also begin with "Return" or "Whether". Prints the share of docstrings
that comply and exits with status 1 if it is below the threshold; names the others on request.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("app.py", "benchmarks", "hpoq", "infra", "lambdas", "layers", "tools", "training")
THRESHOLD = 0.90

# Verbs that begin a function's docstring. Add a verb here when a docstring needs a new one.
_VERBS = """
accept accumulate acknowledge acquire activate add adjust admit advance aggregate align allocate
allow
analyze answer append apply archive arrange ask assert assign attach authenticate authorize
await backfill batch begin bind block bootstrap bound build bundle calculate call cancel cap
capture change check choose clamp clean clear close collect combine compare compile complete
compress compute configure confirm connect construct consume continue convert copy correct
count cover create cut debit decide declare decode decompress decrease decrypt deduplicate
define delay delete deliver deny deploy derive describe deserialize detach detect determine
disable discard dispatch display distribute do divide download draw drain drop dump duplicate
emit empty enable encode encrypt end enforce enqueue ensure enter enumerate erase escape
establish estimate evaluate evict exclude execute exercise exit expand expect expire explain
export expose express extend extract fail fetch fill filter find finish fit flatten flush
follow forbid forecast forget fork form format forward free gather generate get give grant
group guard guess handle hash hide hold identify ignore import include increase increment
index infer inform initialize insert inspect install interpret interrupt invert invoke
iterate join keep kill label launch lay learn leave lend let limit link list listen load
locate lock log look lower make map mark match measure merge migrate model modify monitor
mount move multiply name narrow normalize notify offer omit open order override pack parse
partition pass patch pause perform persist pick place plan plot point poll pop predict
preempt prepare prevent print process produce project prompt propose protect provide prune
publish pull push put query queue quote raise rank rate read rebuild receive recognize
record recover redact redirect redrive reduce refer refresh refuse register reject release
reload remember remove rename render repair repeat replace replay reply report represent
request require reserve reset resolve respond restart restore restrict resubmit resume
retain retrieve retry return reuse reveal reverse revert rewrite rotate round route run
save scale scan schedule score search select send separate serialize serve set settle
share shorten show shrink shuffle shut sign simulate size skip sleep solve sort spawn split
start state stop store stream strip submit subscribe substitute subtract suggest sum
summarize supply suppress suspend switch synthesize tag take tell terminate test throttle
time tokenize total trace track train transfer transform translate trim truncate try tune
turn undo unpack unwrap update upgrade upload use validate verify visit wait wake walk warn
watch weigh withdraw wrap write yield
"""
# First words of a docstring that is not a noun phrase.
_NOT_NOUNS = """
as because both either every everything had has have how i if it its neither no nobody
none nor nothing of ours see she so some somebody someone something that their there these
they this those to we what whatever when where whether which who whoever whom whose why you
answers applies asks builds calls carries checks collects counts creates decides describes
does draws ends fills finds follows gets gives hands has hears hides holds is keeps knows
learns lets listens looks makes pauses plays prints puts reads receives refuses remembers
removes replaces reports returns runs says sends serves shows speaks stops suggests
takes tells trains turns waits watches writes
"""
VERBS = frozenset(_VERBS.split())
NOT_NOUNS = frozenset(_NOT_NOUNS.split())


@dataclass(frozen=True)
class Docstring:
    """A public definition and the first word of its docstring."""

    place: str
    first_word: str
    is_function: bool
    is_property: bool

    @property
    def complies(self) -> bool:
        """Whether the first word suits the definition."""
        word = self.first_word.casefold()
        if self.is_property and word in ("return", "whether"):
            return True
        if self.is_function and not self.is_property:
            return word in VERBS
        return word not in NOT_NOUNS


def docstrings(path: Path) -> Iterator[Docstring]:
    """Find the docstrings of a file's public classes, functions and methods."""
    tree = ast.parse(path.read_text(), str(path))
    for node in _public(tree):
        text = ast.get_docstring(node) or ""
        if text.split():
            decorators = [ast.unparse(each) for each in node.decorator_list]
            yield Docstring(
                place=f"{path.relative_to(ROOT)}:{node.lineno} {node.name}",
                first_word=text.split()[0].strip(".,:;`'\"()"),
                is_function=not isinstance(node, ast.ClassDef),
                is_property=any("property" in each for each in decorators),
            )


Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _public(node: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if child.name.startswith("_"):
                continue
            yield child
            if isinstance(child, ast.ClassDef):
                yield from _public(child)


def python_files(places: list[str]) -> Iterator[Path]:
    """List the Python files below some files and folders of the project."""
    for place in places:
        path = (ROOT / place).resolve()
        found = [path] if path.is_file() else sorted(path.rglob("*.py"))
        yield from (each for each in found if ".cache" not in each.parts)


def main() -> int:
    """Print the share of compliant docstrings."""
    parser = argparse.ArgumentParser(description="Check how public docstrings begin.")
    parser.add_argument("paths", nargs="*", default=list(SOURCES), help="files or folders")
    parser.add_argument("--list", action="store_true", help="name each docstring that fails")
    chosen = parser.parse_args()
    found = [each for file in python_files(chosen.paths) for each in docstrings(file)]
    failing = [each for each in found if not each.complies]
    if chosen.list:
        for each in failing:
            sys.stdout.write(f"{each.place}: {each.first_word!r}\n")
    share = 1 - len(failing) / len(found) if found else 1.0
    sys.stdout.write(
        f"docstrings: {share:.1%} of {len(found)} begin as they should "
        f"({THRESHOLD:.0%} required; `python -m tools.docstrings --list` names the others)\n"
    )
    return int(share < THRESHOLD)


if __name__ == "__main__":
    sys.exit(main())
