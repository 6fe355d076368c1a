"""``hpoq simulate``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpoq.cli.options import AsJson
from hpoq.cli.output import print_json, say, show
from hpoq.presentation import duration
from hpoq.simulation.workload import WORKLOADS

if TYPE_CHECKING:
    from hpoq.simulation.result import SimulationResult
    from hpoq.simulation.workload import Workload

WAITING_SHOWN = 10  # requests that never start

Name = Annotated[
    str,
    typer.Argument(
        help=f"One of {', '.join(WORKLOADS)}, or a file with the output of "
        "`hpoq list --all-teams -n 100000 --json`."
    ),
]
Requests = Annotated[
    int, typer.Option("--requests", "-n", min=1, help="Number of requests; ignored for a file.")
]
Seed = Annotated[int, typer.Option("--seed", help="Same seed, same workload.")]
Slots = Annotated[int | None, typer.Option("--slots", min=1, max=100, help="Tuning jobs at once.")]
Quotas = Annotated[
    list[str] | None,
    typer.Option("--quota", help="Instances at once, e.g. --quota ml.m5.large=20."),
]
Targets = Annotated[
    int,
    typer.Option(
        "--targets", min=1, max=100,
        help="Accounts, each with these limits; every request may run on each of them.",
    ),
]  # fmt: skip
Polling = Annotated[
    bool,
    typer.Option("--polling", help="Run cycles only every ten minutes, as a plain poller."),
]
EventDelay = Annotated[
    float, typer.Option("--event-delay", min=0, help="Seconds from a job's end to its event.")
]
CreateRate = Annotated[
    float | None,
    typer.Option("--creates-per-second", min=0.01, help="Rate limit of creates. Default: none."),
]
ReadRate = Annotated[
    float | None,
    typer.Option(
        "--reads-per-second",
        min=0.01,
        help="Rate limit of SageMaker's list and describe calls. Default: none.",
    ),
]
SearchDelay = Annotated[
    float, typer.Option("--search-delay", min=0, help="Seconds until Search shows a change.")
]
Failing = Annotated[
    float, typer.Option("--failing", min=0, max=1, help="Share of tuning jobs that fail.")
]
Plot = Annotated[
    Path | None, typer.Option("--plot", dir_okay=False, help="Write plots to an HTML file.")
]


def simulate(
    workload: Name = "burst",
    requests: Requests = 1000,
    seed: Seed = 1,
    slots: Slots = None,
    quota: Quotas = None,
    targets: Targets = 1,
    polling: Polling = False,
    event_delay: EventDelay = 1.0,
    creates_per_second: CreateRate = None,
    reads_per_second: ReadRate = None,
    search_delay: SearchDelay = 0.0,
    failing: Failing = 0.0,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Replay a workload, or a recorded ledger, through the real dispatcher in virtual time."""
    from hpoq.simulation.simulate import Conditions, Simulation
    from hpoq.simulation.targets.services import on_targets

    asked = _workload(workload, requests, seed)
    instances = {**asked.instances, **dict(map(_quota, quota or []))}
    account = replace(asked, slots=slots or asked.slots, instances=instances)
    if targets > 1:
        account = on_targets(account, targets)
    conditions = Conditions(
        on_events=not polling,
        event_delay=event_delay,
        creates_per_second=creates_per_second,
        reads_per_second=reads_per_second,
        search_delay=search_delay,
        failing=failing,
        seed=seed,
    )
    with _progress() as advance:
        result = Simulation(account, conditions, record=plot is not None, progress=advance).run()
    if plot:
        from hpoq.simulation.plot import plot as write

        write(result, plot)
        say(f"wrote the plot to {plot}")
    if as_json:
        print_json(result.as_dict())
        return
    _show(result)
    say(f"workload {result.workload}, seed {seed}")


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show a line with the progress while a person waits at a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    from hpoq.cli.printable_console import PrintableConsole

    console = PrintableConsole(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("")
        yield lambda ended, all_: bar.update(task, completed=ended, total=all_)


def _workload(name: str, requests: int, seed: int) -> Workload:
    from hpoq.simulation.recorded import recorded

    if name in WORKLOADS:
        return WORKLOADS[name](requests, seed)
    if Path(name).exists():
        return recorded(Path(name))
    named = ", ".join(WORKLOADS)
    raise typer.BadParameter(f"unknown workload {name!r}; use one of {named}, or a file")


def _quota(text: str) -> tuple[str, int]:
    instance_type, _, count = text.partition("=")
    if not count.isdigit():
        raise typer.BadParameter(f"{text!r} must look like ml.m5.large=20", param_hint="--quota")
    return instance_type, int(count)


def _show(result: SimulationResult) -> None:
    from hpoq.cli.noted_table import table

    made = table("measure", ">value")
    made.add_row("completed of requests", f"{result.completed} of {result.requests}")
    if result.failed or result.cancelled:
        made.add_row("failed, cancelled", f"{result.failed}, {result.cancelled}")
    made.add_row("lost, duplicated", f"{result.lost}, {result.duplicated}")
    made.add_row("hours", f"{result.hours:.1f}")
    made.add_row("slots used while requests were queued", f"{result.utilization:.1%}")
    if len(result.utilization_on) > 1:
        for target, share in result.utilization_on.items():
            made.add_row(f"  on {target}", f"{share:.1%}")
    for instance_type, share in result.instance_utilization.items():
        made.add_row(f"{instance_type} used while requests were queued", f"{share:.1%}")
    made.add_row("most tuning jobs at once, limit", f"{result.peak}, {result.slots}")
    made.add_row("started beyond a quota", str(result.over_quota))
    made.add_row("largest shortfall of a team from its fair share", f"{result.fairness_gap:.1%}")
    made.add_row("cycles", str(result.cycles))
    calls = f"{result.calls_per_job:.1f}, {result.sagemaker_calls_per_job:.1f}"
    made.add_row("API calls per tuning job, of these to SageMaker", calls)
    show(made)
    for request, reason in list(result.waiting.items())[:WAITING_SHOWN]:
        say(f"{request} never starts: {reason}")
    if len(result.waiting) > WAITING_SHOWN:
        say(f"{len(result.waiting) - WAITING_SHOWN} more never start; --json lists them")
    waits = table("team waited", ">p50", ">p90", ">p99", ">longest")
    for team, percentiles in result.waits.items():
        waits.add_row(team, *(duration(seconds) for seconds in percentiles.values()))
    show(waits)
