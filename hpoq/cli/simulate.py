"""``hpoq simulate``."""

from __future__ import annotations

from typing import Annotated

import typer

from hpoq.cli.options import AsJson
from hpoq.cli.output import duration, print_json, say, show

Name = Annotated[
    str,
    typer.Argument(help="burst, steady, noisy-neighbour, big-and-small, chain or multi-quota."),
]
Requests = Annotated[int, typer.Option("--requests", "-n", min=1, help="How many.")]
Seed = Annotated[int, typer.Option("--seed", help="Same seed, same workload.")]
Polling = Annotated[
    bool, typer.Option("--polling", help="Wake every ten minutes only, as a plain poller does.")
]


def simulate(
    workload: Name = "burst",
    requests: Requests = 1000,
    seed: Seed = 1,
    polling: Polling = False,
    as_json: AsJson = False,
) -> None:
    """Replay a workload through the real dispatcher in virtual time."""
    from hpoq.cli.tables import table
    from hpoq.simulation.simulate import Simulation
    from hpoq.simulation.workload import WORKLOADS

    if workload not in WORKLOADS:
        raise typer.BadParameter(f"{workload!r} is none of {', '.join(WORKLOADS)}")
    report = Simulation(WORKLOADS[workload](requests, seed), on_events=not polling).run()
    if as_json:
        print_json(report.as_dict())
        return
    made = table("measure", ">value")
    made.add_row("completed of requests", f"{report.completed} of {report.requests}")
    made.add_row("lost, doubled", f"{report.lost}, {report.doubled}")
    made.add_row("hours", f"{report.hours:.1f}")
    made.add_row("slots used while backlogged", f"{report.utilisation:.1%}")
    made.add_row("most at once, of", f"{report.peak}, {report.slots}")
    made.add_row("over an instance quota", str(report.over_a_limit))
    made.add_row("cycles", str(report.cycles))
    made.add_row("calls per job, SageMaker's", f"{report.calls_per_job:.1f}, {report.sagemaker_calls_per_job:.1f}")  # fmt: skip # noqa: E501
    show(made)
    waits = table("waited", ">p50", ">p90", ">p99", ">longest")
    for team, percentiles in report.waits.items():
        waits.add_row(team, *(duration(seconds) for seconds in percentiles.values()))
    show(waits)
    say(f"workload {report.workload}, seed {seed}")
