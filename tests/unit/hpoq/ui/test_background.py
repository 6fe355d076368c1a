from __future__ import annotations

import threading
from typing import Any

import pytest

from hpoq.errors import NotReachable
from hpoq.ui.background import Background, Report


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


SOON = 1e9  # a deadline that no test reaches


def test_an_answer_that_is_late_is_not_waited_for() -> None:
    background, go = Background(), threading.Event()

    def slow(report: Report[list[int]]) -> list[int]:
        report([1])
        go.wait()
        return [1, 2]

    pending = background.ask("numbers", slow, 1)
    assert not pending.by(0).complete
    go.set()
    assert pending.by(SOON).value == [1, 2]
    assert pending.by(0).complete


def test_a_part_of_the_first_answer_is_known() -> None:
    background, reported, go = Background(), threading.Event(), threading.Event()

    def slow(report: Report[str]) -> str:
        report("a part")
        reported.set()
        go.wait()
        return "all"

    pending = background.ask("text", slow, 1)
    reported.wait()
    known = pending.by(0)
    assert (known.value, known.complete) == ("a part", False)
    go.set()
    assert pending.by(SOON).value == "all"


def test_an_old_answer_is_known_until_the_next_one_is_there() -> None:
    clock, go = Clock(), threading.Event()
    background = Background(clock)
    assert background.ask("text", lambda _: "old", 2).by(SOON).value == "old"
    clock.now = 3

    def slow(report: Report[str]) -> str:
        report("a part of the new one")
        go.wait()
        return "new"

    known = background.ask("text", slow, 2).by(SOON)
    assert (known.value, known.complete) == ("old", True)
    go.set()


def test_equal_questions_share_one_fetch() -> None:
    background, asked, go = Background(), [], threading.Event()

    def slow(_: Report[int]) -> int:
        asked.append(1)
        go.wait()
        return len(asked)

    pending = [background.ask("number", slow, 60) for _ in range(5)]
    go.set()
    assert [each.by(SOON).value for each in pending] == [1] * 5
    assert background.ask("number", slow, 60).by(SOON).value == 1


def test_an_expected_error_is_a_note_beside_the_last_answer() -> None:
    clock = Clock()
    background = Background(clock)
    background.ask("text", lambda _: "old", 0).by(SOON)
    clock.now = 1

    def denied(_: Report[str]) -> str:
        raise NotReachable("you may not")

    pending = background.ask("text", denied, 5)
    while not pending.by(SOON).note:
        pass
    assert pending.by(SOON).value == "old"


def test_an_unexpected_error_reaches_the_page() -> None:
    def broken(_: Report[Any]) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Background().ask("text", broken, 5).by(SOON)
