"""What becomes of more than two hundred hostile messages, each with the field that it attacks."""

from __future__ import annotations

from collections import Counter

import pytest

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.errors import MAX_PART_LENGTH
from hpoq.simulation.simulate import Simulation
from tests.support.hostile_messages import HOSTILE, after_one_cycle


@pytest.fixture(scope="module")
def after_all() -> Simulation:
    return after_one_cycle()


def test_there_are_two_hundred_of_them() -> None:
    assert len({each.name for each in HOSTILE}) == len(HOSTILE) >= 200


def test_each_is_rejected_with_the_field_that_it_attacks_in_one_printable_line(
    after_all: Simulation,
) -> None:
    letters = after_all.queues.dead_letters
    sent = Counter(each.body for each in HOSTILE)
    assert Counter(body for _, body, _ in letters) == sent
    errors = {body: error for _, body, error in letters}
    wrong = [
        f"{each.name}: {errors[each.body].field}"
        for each in HOSTILE
        if each.field and not errors[each.body].field.startswith(each.field)
    ]
    assert wrong == []
    for error in errors.values():
        assert "internal error" not in error.problem
        for part in (error.field, error.problem, error.fix):
            assert 0 < len(part) <= MAX_PART_LENGTH
            assert "\n" not in part


def test_none_of_them_delays_or_changes_the_request_of_another_team(after_all: Simulation) -> None:
    assert after_all.requests.entries["quiet", "good"].status is Status.IN_PROGRESS
    assert len(after_all.sagemaker.running) == 1
    assert after_all.queues.waiting() == 0
    of_loud = [entry for key, entry in after_all.requests.entries.items() if key[0] == "loud"]
    assert {entry.status for entry in of_loud} == {Status.REJECTED}
