"""The replay of a workload through the real dispatch cycle, in virtual time."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hpo_dispatcher.contract.documents.capacity import CapacityDocument
from hpo_dispatcher.contract.entry import Key, Status
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.cycle.lease import CycleIncomplete
from hpo_dispatcher.cycle.pacing import Deadline, TokenBucket
from hpo_dispatcher.cycle.targets.services import TargetServices
from hpoq.simulation.deployment import simulated_builder, simulated_deployment
from hpoq.simulation.fairness import Shares
from hpoq.simulation.in_memory_ledger import MemoryDocuments, MemoryLeases, MemoryRequests
from hpoq.simulation.in_memory_ports import MemoryEvents, MemoryQueues
from hpoq.simulation.in_memory_workflows import MemoryOwedAnswers, MemoryWorkflows
from hpoq.simulation.measures import duplicated, started, waits
from hpoq.simulation.result import Moment, SimulationResult
from hpoq.simulation.sagemaker import SimulatedRun, SimulatedSageMaker
from hpoq.simulation.targets.services import SimulatedTargets, target_names
from hpoq.simulation.workload import Arrival, Workload, message
from hpoq.wait_reasons import why

START = datetime(2026, 1, 1, tzinfo=UTC)
HEARTBEAT = timedelta(minutes=10)
CYCLE = timedelta(seconds=2)  # duration of a cycle; events during it wait for its end


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The behavior of the services around the dispatcher."""

    on_events: bool = True  # False: only the schedule invokes it, as in a plain poller
    event_delay: float = 1.0  # seconds from a job's end to the dispatcher's invocation
    # Calls per second; None: calls take no time. A cycle with more calls takes longer.
    creates_per_second: float | None = None
    reads_per_second: float | None = None  # SageMaker's list and describe calls
    search_delay: float = 0.0  # seconds until SageMaker's Search shows a change
    failing: float = 0.0  # share of the tuning jobs that fail, in addition to the workload's
    seed: int = 1  # determines which ones fail


IDEAL = Conditions()
# Longer than any reservation or repetition of the dispatcher takes to come into effect.
STANDSTILL = timedelta(hours=26)


class Clock:
    """A clock of virtual time."""

    def __init__(self) -> None:
        self.now = START

    def wait(self, seconds: float) -> None:
        """Advance the time."""
        self.now += timedelta(seconds=seconds)

    def seconds(self) -> float:
        """Return the seconds since the start."""
        return (self.now - START).total_seconds()

    def __call__(self) -> datetime:
        """Return the current time of the simulation."""
        return self.now


class _Rate(TokenBucket):
    """A rate limit for one caller at a time: in virtual time, concurrent waits would add up."""

    def __init__(self, per_second: float | None, clock: Clock) -> None:
        rate = per_second or 1e9
        super().__init__(rate=rate, burst=max(1.0, rate), clock=clock.seconds, sleep=clock.wait)
        self._turn = threading.Lock()

    def take(self) -> None:
        with self._turn:
            super().take()


class _Standstill:
    """The time since anything ran, arrived or ended, to stop a simulation that cannot continue."""

    def __init__(self) -> None:
        self._state: tuple[int, ...] = ()
        self._since = START

    def reached(self, now: datetime, *state: int) -> bool:
        """Return whether the state has been the same for longer than anything can take."""
        if state != self._state:
            self._state, self._since = state, now
        return now - self._since > STANDSTILL


@dataclass
class _FixedQuotas:
    instances: dict[str, int]

    def training_instances(self, _: timedelta) -> dict[str, int]:
        return self.instances


class Simulation:
    """One workload in one account.

    The class is long because its loop advances every simulated service.

    Args:
        workload: requests and the limits of the account.
        conditions: behavior of the services around the dispatcher.
        forecasts: whether the dispatcher compares expected starts with real ones, which costs time.
        record: whether to keep the running and queued requests after every cycle, for a plot.
        progress: called after every cycle with the ended and with all requests.
    """

    def __init__(
        self,
        workload: Workload,
        conditions: Conditions = IDEAL,
        *,
        forecasts: bool = False,
        record: bool = False,
        progress: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        self.workload = workload
        self._conditions = conditions
        self._progress = progress
        self.clock = Clock()
        self.queues = MemoryQueues(self.clock)
        self.leases, self.documents = MemoryLeases(), MemoryDocuments()
        self.requests = MemoryRequests(self.leases)
        self.events = MemoryEvents()
        self.answers, self.workflows = MemoryOwedAnswers(), MemoryWorkflows()
        runs = _runs(workload, conditions)
        self.targets = SimulatedTargets(
            {
                name: SimulatedSageMaker(
                    self.clock,
                    runs.__getitem__,
                    workload.slots,
                    workload.instances,
                    before_read=_Rate(conditions.reads_per_second, self.clock).take,
                    search_delay=timedelta(seconds=conditions.search_delay),
                )
                for name in target_names(workload.targets)
            }
        )
        self.sagemaker = self.targets.services[HOME]
        self.dispatcher = _dispatcher(self, conditions.creates_per_second, forecasts)
        self._shares = Shares(workload, self.requests, self.queues, self.targets)
        self._accounted = self.clock.now
        self._cycles = 0
        self._ends: list[float] = []
        self._moments: list[Moment] | None = [] if record else None

    def run(self) -> SimulationResult:
        """Send every request at its time, and simulate until all have ended or none can start."""
        return self._run(sorted(self.workload.arrivals, key=lambda arrival: arrival.at))

    def run_to_end(self) -> SimulationResult:
        """Simulate until every request that was sent has ended."""
        return self._run([])

    def _run(self, arrivals: Sequence[Arrival]) -> SimulationResult:
        upcoming = 0
        heartbeat = wake = free_at = self.clock.now
        standstill = _Standstill()
        while upcoming < len(arrivals) or self.targets.count() or self._unsettled():
            upcoming_times = [heartbeat]
            if upcoming < len(arrivals):
                upcoming_times.append(START + timedelta(seconds=arrivals[upcoming].at))
            next_end = self.targets.next_end()
            if next_end:
                upcoming_times.append(next_end)
            if wake > self.clock.now:
                upcoming_times.append(wake)
            self._pass_until(max(self.clock.now, min(upcoming_times)))
            woken = False
            while upcoming < len(arrivals) and self._due(arrivals[upcoming]):
                self.send(arrivals[upcoming])
                upcoming += 1
                woken = True
            ended = self.targets.end_due()
            self._ends += [(job.ends - START).total_seconds() for job in ended]
            if (woken or ended) and self._conditions.on_events and wake <= self.clock.now:
                delay = timedelta(seconds=self._conditions.event_delay)
                wake = max(self.clock.now + delay, free_at)
            if self.clock.now >= heartbeat or self.clock.now == wake:
                while self.clock.now >= heartbeat:
                    heartbeat += HEARTBEAT
                self._cycle()
                free_at = self.clock.now + CYCLE
                finished = len(self._ends)
                self._progress(finished, len(self.workload.arrivals))
                state = (upcoming, finished, self.targets.count(), self.requests.unended())
                if upcoming == len(arrivals) and standstill.reached(self.clock.now, *state):
                    break
        return self._report()

    def _due(self, arrival: Arrival) -> bool:
        return START + timedelta(seconds=arrival.at) <= self.clock.now

    def _unsettled(self) -> bool:
        """Return whether a request is queued or an end is not recorded."""
        return bool(self.queues.waiting() or self.requests.unended())

    def _pass_until(self, moment: datetime) -> None:
        """Advance the clock, and account for the time since the last call."""
        self._shares.pass_for((moment - self._accounted).total_seconds())
        self.clock.now = self._accounted = moment

    def send(self, arrival: Arrival) -> None:
        """Put an arrival's message into its team's queue."""
        self.queues.send(arrival.team, json.dumps(message(arrival)))

    def _cycle(self) -> None:
        deadline = Deadline(remaining=lambda: 900.0, total=900.0)
        try:
            self.dispatcher.run(deadline)
        except CycleIncomplete as error:
            raise AssertionError(f"a simulated service failed: {error}") from error
        self._cycles += 1
        self._pass_until(self.clock.now)
        if self._moments is not None:
            running = Counter(job.key[0] for job in self.targets.running() if job.key)
            queued = {team: self.requests.queue_length(team) for team in self.workload.teams}
            hours = self.clock.seconds() / 3600
            self._moments.append(Moment(hours=hours, running=dict(running), queued=queued))

    def _waiting(self) -> dict[str, str]:
        """Return the requests that have not ended, and why each waits."""
        document = CapacityDocument.parse(self.documents.get(CAPACITY_DOCUMENT))
        return {
            "/".join(entry.key): why(entry, document)
            for entry in self.requests.entries.values()
            if not entry.status.ended
        }

    def _report(self) -> SimulationResult:
        entries = self.requests.entries
        calls: Counter[str] = Counter()
        ledger = (self.leases, self.documents, self.requests)
        for port in (self.queues, *ledger, self.events):
            calls.update(port.calls)
        calls.update(self.targets.calls())
        services = self.targets.services
        sagemaker = sum(count for name, count in calls.items() if name.startswith("sagemaker:"))
        starts = started(entries.values(), START)
        jobs = max(1, len(starts))
        sent = {(arrival.team, arrival.request_id) for arrival in self.workload.arrivals}
        status = Counter(entry.status for entry in entries.values())
        return SimulationResult(
            workload=self.workload.name,
            requests=len(self.workload.arrivals),
            completed=status[Status.COMPLETED],
            failed=status[Status.FAILED],
            cancelled=status[Status.CANCELLED],
            lost=len(sent - entries.keys()),
            duplicated=duplicated(self.targets.ended(), entries),
            peak=sum(service.peak for service in services.values()),
            slots=self.workload.slots * self.workload.targets,
            hours=(self.clock.now - START).total_seconds() / 3600,
            utilization=self._shares.slots_used(),
            utilization_on={name: self._shares.slots_used_on(name) for name in services},
            instance_utilization=self._shares.instances_used(),
            fairness_gap=self._shares.largest_gap(),
            cycles=self._cycles,
            calls=dict(calls),
            calls_per_job=calls.total() / jobs,
            sagemaker_calls_per_job=sagemaker / jobs,
            over_quota=sum(service.beyond_quota for service in services.values()),
            waiting=self._waiting(),
            waits=waits(entries.values()),
            starts=starts,
            ends=self._ends,
            moments=self._moments or (),
        )


def _runs(workload: Workload, conditions: Conditions) -> dict[Key, SimulatedRun]:
    """Return how the tuning job of each request will run."""
    draw = random.Random(conditions.seed)
    return {
        (arrival.team, arrival.request_id): SimulatedRun(
            seconds=arrival.seconds, fails=arrival.fails or draw.random() < conditions.failing
        )
        for arrival in workload.arrivals
    }


def _dispatcher(
    simulation: Simulation, creates_per_second: float | None, forecasts: bool
) -> Dispatcher:
    """Return the real dispatcher over the ports of a simulation."""
    deployment = simulated_deployment(simulation.workload)
    return Dispatcher(
        teams=deployment.teams,
        limits=deployment.limits,
        workflow_settings=deployment.workflows,
        builder=simulated_builder(deployment),
        redactor=Redactor(),
        queues=simulation.queues,
        leases=simulation.leases,
        documents=simulation.documents,
        requests=simulation.requests,
        answers=simulation.answers,
        tuning=simulation.sagemaker,
        events=simulation.events,
        workflows=simulation.workflows,
        quotas=_FixedQuotas(simulation.workload.instances),
        clock=simulation.clock,
        bucket=_Rate(creates_per_second, simulation.clock),
        forecasts=forecasts,
        targets={
            name: TargetServices(
                tuning=service,
                quotas=_FixedQuotas(simulation.workload.instances),
                bucket=_Rate(creates_per_second, simulation.clock),
            )
            for name, service in simulation.targets.services.items()
            if name != HOME
        },
        target_settings=deployment.targets,
    )
