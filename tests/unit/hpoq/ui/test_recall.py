from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hpoq.ui.recall import Recall


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_is_asked_for_again_once_it_is_old() -> None:
    clock, asked = Clock(), iter(range(9))
    recall = Recall(clock)
    assert [recall.get("q", lambda: next(asked), 2) for _ in range(3)] == [0, 0, 0]
    clock.now = 2.0
    assert recall.get("q", lambda: next(asked), 2) == 1


def test_what_took_long_to_find_is_kept_longer() -> None:
    clock, asked = Clock(), iter(range(9))
    recall = Recall(clock)

    def slow() -> int:
        clock.now += 3.0
        return next(asked)

    assert recall.get("q", slow, 2) == 0
    clock.now += 29
    assert recall.get("q", slow, 2) == 0
    clock.now += 1
    assert recall.get("q", slow, 2) == 1


def test_a_settled_answer_is_never_asked_for_again() -> None:
    clock, asked = Clock(), iter(range(9))
    recall = Recall(clock)
    assert recall.get("q", lambda: next(asked), 2, settled=lambda n: n == 0) == 0
    clock.now = 1e9
    assert recall.get("q", lambda: next(asked), 2) == 0


def test_an_error_is_not_kept() -> None:
    recall = Recall()
    with pytest.raises(ZeroDivisionError):
        recall.get("q", lambda: 1 // 0, 2)
    assert recall.get("q", lambda: 1, 2) == 1


def test_many_who_ask_at_once_cost_one_look() -> None:
    recall, asked, everyone = Recall(), [], threading.Barrier(8)

    def look() -> int:
        asked.append(1)
        return len(asked)

    def ask(_: int) -> int:
        everyone.wait()
        return recall.get("q", look, 60)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {1}
