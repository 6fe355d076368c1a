"""``hpoq simulate``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpoq.cli.options import AsJson
from hpoq.cli.output import duration, print_json, say, show

if TYPE_CHECKING:
    from hpoq.simulation.simulate import Report
    from hpoq.simulation.workload import Workload

Name = Annotated[
    str,
    typer.Argument(
        help="burst, steady, noisy-neighbour, big-and-small, chain or multi-quota; "
        "or a file: what `hpoq list --all-teams -n 100000 --json` printed."
    ),
]
Requests = Annotated[
    int, typer.Option("--requests", "-n", min=1, help="How many; a file has its own.")
]
Seed = Annotated[int, typer.Option("--seed", help="Same seed, same workload.")]
Slots = Annotated[int | None, typer.Option("--slots", min=1, max=100, help="Tuning jobs at once.")]
Quotas = Annotated[
    list[str] | None,
    typer.Option("--quota", help="Instances at once, e.g. --quota ml.m5.large=20."),
]
Polling = Annotated[
    bool, typer.Option("--polling", help="Wake every ten minutes only, as a plain poller does.")
]
EventDelay = Annotated[
    float, typer.Option("--event-delay", min=0, help="Seconds from a job's end to its event.")
]
CreateRate = Annotated[
    float | None,
    typer.Option("--creates-per-second", min=0.01, help="No limit unless given."),
]
ReadRate = Annotated[
    float | None,
    typer.Option(
        "--reads-per-second",
        min=0.01,
        help="SageMaker's lists and descriptions.",
    ),
]
SearchDelay = Annotated[
    float, typer.Option("--search-delay", min=0, help="Seconds that SageMaker's Search is behind.")
]
Failing = Annotated[
    float, typer.Option("--failing", min=0, max=1, help="Share of tuning jobs that fail.")
]
Plot = Annotated[
    Path | None, typer.Option("--plot", dir_okay=False, help="Write a page with plots (HTML).")
]


def simulate(
    workload: Name = "burst",
    requests: Requests = 1000,
    seed: Seed = 1,
    slots: Slots = None,
    quota: Quotas = None,
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

    asked = _workload(workload, requests, seed)
    instances = {**asked.instances, **dict(map(_quota, quota or []))}
    account = replace(asked, slots=slots or asked.slots, instances=instances)
    conditions = Conditions(
        on_events=not polling,
        event_delay=event_delay,
        creates_per_second=creates_per_second,
        reads_per_second=reads_per_second,
        search_delay=search_delay,
        failing=failing,
        seed=seed,
    )
    report = Simulation(account, conditions, record=plot is not None).run()
    if plot:
        from hpoq.simulation.plot import plot as write

        write(report, plot)
        say(f"plotted to {plot}")
    if as_json:
        print_json(report.as_dict())
        return
    _show(report)
    say(f"workload {report.workload}, seed {seed}")


def _workload(name: str, requests: int, seed: int) -> Workload:
    from hpoq.simulation.recorded import recorded
    from hpoq.simulation.workload import WORKLOADS

    if name in WORKLOADS:
        return WORKLOADS[name](requests, seed)
    if Path(name).exists():
        return recorded(Path(name))
    raise typer.BadParameter(f"{name!r} is none of {', '.join(WORKLOADS)}, and no file")


def _quota(text: str) -> tuple[str, int]:
    instance_type, _, count = text.partition("=")
    if not count.isdigit():
        raise typer.BadParameter(f"{text!r} is not like ml.m5.large=20", param_hint="--quota")
    return instance_type, int(count)


def _show(report: Report) -> None:
    from hpoq.cli.tables import table

    made = table("measure", ">value")
    made.add_row("completed of requests", f"{report.completed} of {report.requests}")
    if report.failed or report.cancelled:
        made.add_row("failed, cancelled", f"{report.failed}, {report.cancelled}")
    made.add_row("lost, doubled", f"{report.lost}, {report.doubled}")
    made.add_row("hours", f"{report.hours:.1f}")
    made.add_row("slots used while backlogged", f"{report.utilisation:.1%}")
    for instance_type, share in report.instance_utilisation.items():
        made.add_row(f"{instance_type} used while backlogged", f"{share:.1%}")
    made.add_row("most at once, of", f"{report.peak}, {report.slots}")
    made.add_row("started beyond a quota", str(report.over_a_limit))
    made.add_row("largest shortfall of a team from its fair share", f"{report.fairness_gap:.1%}")
    made.add_row("cycles", str(report.cycles))
    calls = f"{report.calls_per_job:.1f}, {report.sagemaker_calls_per_job:.1f}"
    made.add_row("calls per job, SageMaker's", calls)
    show(made)
    waits = table("waited", ">p50", ">p90", ">p99", ">longest")
    for team, percentiles in report.waits.items():
        waits.add_row(team, *(duration(seconds) for seconds in percentiles.values()))
    show(waits)
