"""Figures for several readers at once, when nothing has been imported yet."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from hpoq.ui.app import Application
from hpoq.ui.figures import loading
from tests.support.ui_jobs import several, trial, tuning_job

assert "optuna" not in sys.modules, "pages without figures need none of their packages"
assert "plotly" not in sys.modules
drawing = loading.drawing()
before = set(sys.modules)
trials = [*several([.5, .4, .7, .6, .9]), trial(7, None, "Failed"), trial(8, None, "InProgress")]
made = drawing.of_tuning_job(tuning_job(), trials)
assert len(made[""]) == 5
drawing.of_log([{"Name": "loss", "Regex": "loss=(.*)"}], ["loss=2", "loss=1"])
late = set(sys.modules) - before
assert not late, sorted(late)
"""


def test_no_thread_that_draws_imports_a_module() -> None:
    """Two threads that import modules which import each other can see half of one."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
