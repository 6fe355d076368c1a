"""Which code `make mutants` changes, and how it counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.mutation.mutants import (
    PACKAGES,
    ROOT,
    MutationOutcome,
    Survivor,
    changes_of,
    chosen,
    differs_in_a_text,
    key_of,
    known_equivalents,
    measured,
    report,
    sources,
    survivors_in,
)

BY_NAME = {package.name: package for package in PACKAGES}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda each: each.name)
def test_each_package_has_sources_and_tests(package: object) -> None:
    found = BY_NAME[package.name]  # type: ignore[attr-defined]
    assert [*sources(found)]
    assert all((ROOT / path).exists() for path in found.tests)


def test_only_code_of_the_package_is_mutated() -> None:
    scheduling = "lambdas/hpo_dispatcher/scheduling"
    paths = [
        f"{scheduling}/plan.py",
        f"{scheduling}/history/usage.py",
        f"{scheduling}/__init__.py",
        f"{scheduling}/notes.md",
        "lambdas/hpo_dispatcher/cycle/act.py",
        "tests/unit/hpo_dispatcher/scheduling/test_plan.py",
    ]
    assert [*chosen(BY_NAME["scheduling"], paths)] == paths[:2]


@pytest.mark.parametrize(
    ("killed", "survivors", "equivalent", "score", "holds"),
    [(9, 1, 0, 0.9, True), (9, 1, 5, 0.9, True), (8, 1, 9, 8 / 9, False), (0, 0, 3, 1.0, True)],
)
def test_equivalent_mutants_count_neither_as_killed_nor_as_survivors(
    killed: int, survivors: int, equivalent: int, score: float, holds: bool
) -> None:
    survived = [Survivor("a.x_f__mutmut_1", "a", "b")] * survivors
    outcome = MutationOutcome(killed=killed, survivors=survived, equivalent=equivalent)
    assert outcome.score == score
    assert [each.holds for each in measured(PACKAGES[0], outcome)] == [holds, None]


def test_a_mutant_is_known_by_its_function_and_its_change() -> None:
    """Its number changes with every mutant before it."""
    first, renumbered = (Survivor(f"a.b.x_f__mutmut_{n}", "x > 1", "x >= 1") for n in (3, 7))
    assert key_of(first) == key_of(renumbered) == "a.b.x_f: x > 1 -> x >= 1"


@pytest.mark.parametrize(
    ("before", "after", "in_a_text"),
    [
        ('return Refused("it is gone")', 'return Refused("IT IS GONE")', True),
        ('return Refused("It is gone")', 'return Refused("XXIt is goneXX")', True),
        ('yield "a", "it is gone", fix', 'yield "a", "IT IS GONE", fix', True),
        ('yield "a", "it is gone", fix', 'yield "A", "it is gone", fix', False),
        ('return Refused("it is gone")', "return Refused(None)", False),
        ('found["team"]', 'found["TEAM"]', False),  # a name, which programs compare
        ('f(1, "it is gone")', 'f(2, "IT IS GONE")', False),
    ],
)
def test_another_case_of_a_text_for_people_is_equivalent(
    before: str, after: str, in_a_text: bool
) -> None:
    assert differs_in_a_text(Survivor("a.x_f__mutmut_1", before, after)) is in_a_text


MUTATED = """
class Rules:
    def xǁRulesǁfits__mutmut_orig(self, free: int) -> bool:
        return free > 1

    def xǁRulesǁfits__mutmut_1(self, free: int) -> bool:
        return free >= 1

async def x_read__mutmut_orig(where: str) -> str:
    return open(where).read()

async def x_read__mutmut_1(where: str) -> str:
    return open(None).read()
"""


def test_the_change_of_a_mutant_is_read_from_the_mutated_source(tmp_path: Path) -> None:
    for path in ("rules.py", "rest/__init__.py"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(MUTATED)
    found = changes_of(tmp_path, ["rules.xǁRulesǁfits__mutmut_1", "rest.x_read__mutmut_1"]).values()
    assert [(each.removed, each.added) for each in found] == [
        ("return free > 1", "return free >= 1"),
        ("return open(where).read()", "return open(None).read()"),
    ]


def test_the_changes_of_a_run_are_read_from_its_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    survivor = Survivor("rules.xǁRulesǁfits__mutmut_1", "return free > 1", "return free >= 1")
    report(PACKAGES[0], MutationOutcome(killed=3, survivors=[survivor]), seconds=90)
    assert survivors_in(capsys.readouterr().out) == {survivor.name}


def test_equivalent_mutants_are_of_lines_that_exist_and_have_a_reason() -> None:
    code = "\n".join(
        " ".join(line.strip() for line in Path(ROOT, path).read_text().splitlines())
        for package in PACKAGES
        for path in sources(package)
    )
    for key, reason in known_equivalents().items():
        removed = key.partition(": ")[2].partition(" -> ")[0]
        assert removed in code, key
        assert len(reason.split()) >= 3, key
