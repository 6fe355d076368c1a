"""The set-up runs independent steps at the same time, says what it does, and reports failures."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tools.set_up import LOCK, SetUp, Step, packages, split, steps

SAY = [sys.executable, "-c", "print('said by the step')"]
FAIL = [sys.executable, "-c", "import sys; print('no index'); sys.exit(1)"]


def run(*planned: Step) -> tuple[dict[str, str], list[str]]:
    said: list[str] = []
    failed = SetUp(planned, said.append).run()
    return failed, [line.rsplit(" in ", 1)[0] for line in said]


def test_steps_start_after_those_that_they_need() -> None:
    last = Step(name="b", commands=[SAY], after=["a"])
    failed, said = run(last, Step(name="a", commands=[SAY]))
    assert not failed
    assert said == ["installing a", "installed a", "installing b", "installed b"]


def test_the_second_alternative_follows_a_failed_one_and_waits_for_its_own_steps() -> None:
    other = Step(name="packages", commands=[SAY])
    torch = Step(name="torch", commands=[FAIL, SAY], otherwise_after=["packages"])
    failed, said = run(torch, other)
    assert not failed
    assert said.index("installed packages") < said.index("installed torch")


def test_a_failure_is_reported_with_its_output_and_stops_what_needs_it() -> None:
    failed, said = run(
        Step(name="a", commands=[FAIL, FAIL]), Step(name="b", commands=[SAY], after=["a"])
    )
    assert failed == {"a": "no index"}
    assert said == ["installing a"]


def test_a_step_that_a_later_command_repeats_may_fail() -> None:
    assert run(Step(name="layer", commands=[FAIL], required=False))[0] == {}


def test_the_lock_is_split_into_whole_requirements_with_their_hashes() -> None:
    a, uv = (
        "a==1 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n",
        "uv==3 ; x \\\n    --hash=sha256:3\n",
    )
    pinned, rest = split(f"# made\n{a}{uv}b==2\n", ["uv"])
    assert pinned == {"uv": uv}
    assert rest == f"# made\n{a}b==2\n"


def test_every_file_but_those_of_pytorch_must_have_a_hash_of_the_lock() -> None:
    """pip: "--require-hashes: Require a hash to check each requirement against"."""
    pinned, rest = split(LOCK.read_text(), ["torch", "uv"])
    requirements = [each for each in re.split(r"\n(?=\S)", rest) if not each.startswith("#")]
    assert len(requirements) > 150
    assert all("--hash=sha256:" in each for each in [*requirements, pinned["uv"]])
    wanted = packages("lock.txt", demo=False)
    planned = {each.name: each for each in steps("torch==1", "uv.txt", wanted, "layer")}
    for command in (*planned["uv"].commands, *planned["packages"].commands):
        assert "--require-hashes" in command


def test_the_demo_installs_the_versions_of_the_lock() -> None:
    assert packages("lock.txt", demo=True)[-2:] == ["-c", "lock.txt"]


def test_the_cpu_build_of_pytorch_is_asked_for_before_pip_chooses_one() -> None:
    pinned, rest = split(LOCK.read_text(), ["torch", "uv"])
    assert pinned["torch"].startswith("torch==")
    assert "\ntorch==" not in rest
    planned = {s.name: s for s in steps("torch==1", "uv.txt", ["-r", "rest.txt"], "layer")}
    first, second = planned["PyTorch (CPU)"].commands
    assert "--torch-backend=cpu" in first
    assert "uv" in first
    assert Path(second[1]).name == "pytorch.py"
    assert {name for step in planned.values() for name in step.after} <= planned.keys()
