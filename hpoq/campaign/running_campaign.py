"""A campaign in hand: run it, steer it, read it. What the CLI and notebooks use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hpoq.campaign.model import Plan
from hpoq.campaign.planning.compare import extended
from hpoq.campaign.running.control import Control
from hpoq.campaign.running.runner import Progress, Runner

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from mypy_boto3_sagemaker import SageMakerClient

    from hpoq.campaign.backends.direct import Target
    from hpoq.campaign.backends.interface import Account


class RunningCampaign:
    """A plan file and the account it runs in.

    Args:
        file: the plan, as saved.
        account: where it runs; ``queued`` and ``direct`` make one.
    """

    def __init__(self, file: Path, account: Account) -> None:
        self.file = file
        self.account = account

    @classmethod
    def queued(
        cls,
        file: Path,
        team: str,
        *,
        deployment: str = "hpoq",
        session: boto3.Session | None = None,
    ) -> RunningCampaign:
        """Through a team's queue."""
        from hpoq.campaign.backends.queued import QueuedAccount
        from hpoq.client import Client

        client = Client(deployment, session)
        return cls(file, QueuedAccount(client, team, sagemaker(session)))

    @classmethod
    def direct(
        cls, file: Path, target: Target | None = None, *, session: boto3.Session | None = None
    ) -> RunningCampaign:
        """On the SageMaker API alone, no queue deployed.

        Args:
            file: the plan, as saved.
            target: what a deployment would supply; not needed to read results.
            session: of the account; default: boto3's own.
        """
        from hpoq.campaign.backends.direct import DirectAccount

        return cls(file, DirectAccount(sagemaker(session), target))

    @property
    def began(self) -> datetime | None:
        """When its first tuning job was created, as far as is known."""
        return self.account.jobs.began

    @property
    def plan(self) -> Plan:
        """As the file has it now."""
        return Plan.load(self.file)

    def run(self, every: float = 30.0, show: Callable[[Progress], None] | None = None) -> Progress:
        """See it through; may be ended and run again at any time.

        Args:
            every: seconds between looks.
            show: called after each look.

        Returns:
            The last look.
        """
        last: Progress | None = None
        for last in self.looks(every):
            if show:
                show(last)
        if last is None:
            raise RuntimeError("a run looks at least once")
        return last

    def looks(self, every: float = 30.0) -> Iterator[Progress]:
        """As ``run``, a progress at a time."""
        return Runner(self.plan, self.account, self.file).run(every)

    def detach(self) -> int:
        """Send the rest of the present wave to the queue, and leave it there.

        Returns:
            How many tuning jobs were sent.
        """
        return Runner(self.plan, self.account, self.file).send_wave()

    def pause(self) -> None:
        """Start nothing more; what runs goes on to its end."""
        Control(self.file).say("pause")

    def resume(self) -> None:
        """Undo a pause."""
        Control(self.file).say("run")

    def cancel(self) -> None:
        """Stop everything; a runner does so at its next look."""
        Control(self.file).say("cancel")

    def extend(self, trials: int) -> Plan:
        """Add trials; a runner takes them up at its next look."""
        longer = extended(self.plan, trials)
        longer.save(self.file)
        return longer

    def results(self) -> pd.DataFrame:
        """All trials so far as one table; see ``hpoq.campaign.results.table.frame``."""
        from hpoq.campaign.results.table import fetch

        return fetch(self.plan, self.account)

    def report(self, path: Path) -> Path:
        """Write the HTML report."""
        from hpoq.report import write

        return write(self.plan, self.results(), path)


def sagemaker(session: boto3.Session | None) -> SageMakerClient:
    """A client that keeps within the API's rate."""
    import boto3
    from botocore.config import Config

    config = Config(retries={"mode": "adaptive", "max_attempts": 10}, user_agent_extra="hpoq")
    return (session or boto3.Session()).client("sagemaker", config=config)
