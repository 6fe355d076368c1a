from __future__ import annotations

from tools import hostile_inputs


def rows(page: str) -> list[tuple[str, ...]]:
    """Return the rows of the tables, the last column by its first word.

    Python's own texts differ between its versions.
    """
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return [(*cells[:-1], cells[-1].split()[0]) for cells in lines if len(cells) == 2] + [
        tuple(cells[:-1]) for cells in lines if len(cells) > 2
    ]


def test_the_table_of_hostile_inputs_is_up_to_date() -> None:
    assert rows(hostile_inputs.PAGE.read_text()) == rows(hostile_inputs.page())


def test_it_has_two_hundred_messages_and_sixty_archives_and_names() -> None:
    page = hostile_inputs.PAGE.read_text()
    messages, archives = page.split(" archives of models")
    assert messages.count("\n| ") - 1 >= 200
    assert archives.count("\n| ") - 2 >= 60
