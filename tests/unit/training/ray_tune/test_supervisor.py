"""Tests of the process that starts a killed search again."""

from __future__ import annotations

from pathlib import Path

from ray_tune.supervisor import RESTARTS, supervise

SCRIPT = """
import os, signal, sys
from pathlib import Path

starts = Path(__file__).with_suffix(".starts")
count = len(starts.read_text()) if starts.exists() else 0
starts.write_text("x" * (count + 1))
if count < int(sys.argv[1]):
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(int(sys.argv[2]))
"""


def ended(folder: Path, kills: int, status: int) -> tuple[int, int]:
    """Return the exit status and the number of starts of a script that is killed a few times."""
    script = folder / f"kills{kills}.py"
    script.write_text(SCRIPT)
    found = supervise([str(script), str(kills), str(status)])
    return found, len(script.with_suffix(".starts").read_text())


def test_a_killed_search_is_started_again_and_its_status_is_kept(tmp_path: Path) -> None:
    assert ended(tmp_path, kills=0, status=0) == (0, 1)
    assert ended(tmp_path, kills=2, status=7) == (7, 3)


def test_a_search_that_is_killed_again_and_again_fails(tmp_path: Path) -> None:
    assert ended(tmp_path, kills=9, status=0) == (137, RESTARTS + 1)
