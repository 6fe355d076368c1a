from __future__ import annotations

from pathlib import Path

import pytest

from tools import docstrings
from tools.import_cycles import cycles

MODULE = '''
def good():
    """Return the rows that exist."""
def bad():
    """Those rows that there are."""
class Good:
    """A team's request queue."""
    @property
    def rows(self):
        """The rows."""
class Bad:
    """Holds the rows."""
def _private():
    """Whatever."""
'''


def test_functions_begin_with_a_verb_and_classes_with_a_noun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docstrings, "ROOT", tmp_path)
    file = tmp_path / "module.py"
    file.write_text(MODULE)
    found = {each.place.split()[1]: each.complies for each in docstrings.docstrings(file)}
    assert found == {"good": True, "bad": False, "Good": True, "rows": True, "Bad": False}


def test_modules_that_import_each_other_are_a_cycle() -> None:
    imports = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set[str]()}
    assert list(cycles(imports)) == [{"a", "b", "c"}]
    assert not list(cycles({"a": {"b"}, "b": set[str]()}))
