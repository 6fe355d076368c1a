"""Two dispatchers run the real cycle call by call, and Hypothesis interleaves them with events.

Between two calls, messages may arrive, repeatedly and out of order, jobs may end, other users may
start jobs, and time may pass. Reads may be stale, and calls may fail before or after they take
effect. A process may die, and a lease may be lost. The invariants are checked after every call.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.message import request_id_in
from hpo_dispatcher.contract.names import tuning_job_name as name_of
from hpo_dispatcher.cycle.pacing import Deadline
from hpo_dispatcher.ports import AlreadyOurs, AtLimit, Creation, Envelope, TuningJob, Unavailable
from hpoq.simulation.sagemaker import SimulatedRun
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Workload
from tests.support.invocation import WELL, Fate, Invocation

SLOTS = 2
M5 = "ml.m5.large"
QUOTA = 4
TEAMS: dict[str, dict[str, Any]] = {"a": {}, "b": {"weight": 2.0}}
# Jobs of both teams may be preempted, for higher priorities and for team b's guarantee.
PREEMPTIBLE = {"a": {"preemptible": True}, "b": {"preemptible": True, "guaranteed_share": 0.5}}
IDS = [f"r{number}" for number in range(8)]
TIMEOUT = 300.0  # seconds of an invocation
# Calls at which a dispatcher may pause or fail; the most critical ones are repeated.
INTAKE = (
    "queues.receive", "requests.add", "queues.delete", "queues.reject", "requests.get",
    "requests.stop", "requests.hold", "requests.release", "requests.unblock",
)  # fmt: skip
STARTING = (
    "requests.running", "tuning.in_progress", "tuning.search_ended", "tuning.describe",
    "tuning.instances", "requests.heads", "requests.start", "tuning.create", "tuning.create",
)  # fmt: skip
ENDING = (
    "requests.requeue", "requests.preempt", "tuning.stop", "requests.finish", "documents.put",
    "leases.release", "the end",
)  # fmt: skip
ENDS = (Status.COMPLETED, Status.FAILED, Status.STOPPED)
STALE = ("requests.heads", "tuning.in_progress")
RECENT = 12  # the largest number of calls by which a read may lag

Key = tuple[str, str]
tuning_job_name = cache(name_of)
LEGAL = {
    Status.QUEUED: {Status.IN_PROGRESS, Status.CANCELLED},  # Stopped, too, if it has run before
    Status.IN_PROGRESS: {
        Status.STOPPING, Status.STOPPED, Status.COMPLETED, Status.FAILED, Status.QUEUED,
        Status.REJECTED,
    },
    Status.STOPPING: {
        Status.STOPPED, Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.REJECTED,
    },
    Status.REJECTED: {Status.QUEUED, Status.CANCELLED},  # resubmitted after a fix, or cancelled
}  # fmt: skip

teams = st.sampled_from(sorted(TEAMS))
ids = st.sampled_from(IDS)
numbers = st.integers(0, 1)
events = st.none() | st.integers(1, 6)
lags = st.sampled_from([0, 0, 0, 1, 3, 8])
fates = st.sampled_from(["well", "well", "throttled", "answer lost", "no capacity"])


def throttled() -> BaseException:
    return Unavailable("ThrottlingException: injected")


def timed_out() -> BaseException:
    return Unavailable("ReadTimeoutError: injected")


class CheckedAccount:
    """A simulated account with checks that must hold at every moment."""

    def __init__(self, of_teams: dict[str, dict[str, Any]]) -> None:
        workload = Workload(
            name="machine", arrivals=[], teams=of_teams, slots=SLOTS, instances={M5: QUOTA}
        )
        self.account = Simulation(workload)
        self.account.sagemaker.run_of = lambda key: SimulatedRun(seconds=600, fails=key[1] == "r4")
        self.account.sagemaker.search_delay = timedelta(seconds=60)  # short in the machine's time
        self.clock, self.requests = self.account.clock, self.account.requests
        self.queues, self.sagemaker = self.account.queues, self.account.sagemaker
        self.sent: list[Envelope] = []
        self.overlapped = False  # two cycles have run at the same time
        self._wanted: dict[str, Key] = {}  # requests by the id of their message
        self._before: dict[Key, Entry] = {}
        self._recent: deque[tuple[dict[str, list[Entry]], list[TuningJob]]] = deque(maxlen=RECENT)

    def send(self, team: str, message: object) -> None:
        body = message if isinstance(message, str) else json.dumps(message)
        message_id = self.queues.send(team, body)
        self.sent.append(self.queues._visible[team][-1])
        if not (isinstance(message, dict) and "action" in message):
            self._wanted[message_id] = team, request_id_in(body, message_id)

    def deliver_again(self, envelope: Envelope) -> None:
        self.queues._visible[envelope.team].append(envelope)

    def reorder(self, team: str, by: int) -> None:
        self.queues._visible.get(team, deque()).rotate(by)

    def forget_recent(self) -> None:
        """Forget recent answers, because indexes and lists lag by only a few seconds."""
        self._recent.clear()

    def stale(self, call: str, lag: int, *args: Any) -> Any:
        """Return the answer of an index or list that lags some calls behind."""
        if len(self._recent) < lag:
            reads = {STALE[0]: self.requests.heads, STALE[1]: self.sagemaker.in_progress}
            return reads[call](*args)
        lines, listed = self._recent[-lag]
        return listed if call == "tuning.in_progress" else lines[args[0]][: args[1]]

    def no_capacity(self, api_request: Any) -> Creation:
        """Answer like SageMaker if jobs that hpoq cannot list use the quota."""
        if api_request["HyperParameterTuningJobName"] in self.sagemaker.running:
            return AlreadyOurs()
        return AtLimit("ResourceLimitExceeded")

    def called(self, by: Invocation, call: str, args: Sequence[Any], answer: Any) -> None:
        """Check the invariants after a call took effect."""
        if call == "tuning.in_progress":
            by.listed = {job.name for job in answer}
        if call == "requests.start":
            self._limits_hold(by)
        self._all_is_accounted_for()
        self._each_request_is_one_tuning_job_and_one_for_each_stop()
        self._nothing_that_ended_is_run_again()
        self._changes_are_legal()
        self._books_agree()
        lines = {team: list(self.requests.heads(team, 99)) for team in TEAMS}
        self._recent.append((lines, list(self.sagemaker.in_progress())))

    def _limits_hold(self, by: Invocation) -> None:
        """Check that promised jobs and known jobs of other users are within the limits."""
        active = {job.tuning_job_name: job for job in self.requests.running()}
        promised = [job for name, job in active.items() if name not in self.sagemaker.ended]
        others = [
            job
            for name, job in self.sagemaker.running.items()
            if name in by.listed and name not in active
        ]
        assert len(promised) + len(others) <= SLOTS
        held = sum(job.instances.get(M5, 0) for job in [*promised, *others])
        assert held <= QUOTA

    def _all_is_accounted_for(self) -> None:
        """Check that each message is in its queue, in the ledger or in the dead-letter queue."""
        waiting = {each.message_id for line in self.queues._visible.values() for each in line}
        waiting |= {each.message_id for each in self.queues._received.values()}
        letters = {(team, body) for team, body, _ in self.queues.dead_letters}
        for each in self.sent:
            if each.message_id in waiting or (each.team, each.body) in letters:
                continue
            key = self._wanted.get(each.message_id)
            assert key is None or key in self.requests.entries, f"lost: {each}"

    def _each_request_is_one_tuning_job_and_one_for_each_stop(self) -> None:
        jobs = self.sagemaker.running | self.sagemaker.ended
        assert len(self.sagemaker.running) <= SLOTS
        for name, job in jobs.items():
            if job.key is None:
                continue
            entry = self.requests.entries[job.key]
            if any(name == each.tuning_job_name for each in entry.earlier):
                assert name in self.sagemaker.ended, "its request was resumed while it still runs"
                continue
            assert name == tuning_job_name(*job.key, len(entry.earlier)), "doubled"
            if self.overlapped:  # then a start may be withdrawn while the job is being created
                continue
            assert entry.status.active or name in self.sagemaker.ended, (
                "it runs, and the ledger does not say so"
            )
            assert entry.status not in (Status.QUEUED, Status.CANCELLED, Status.REJECTED)

    def _nothing_that_ended_is_run_again(self) -> None:
        runs: Counter[Key] = Counter()  # training jobs that have ended or may still end
        for job in (self.sagemaker.running | self.sagemaker.ended).values():
            if job.key:
                ended = job.name in self.sagemaker.ended
                runs[job.key] += job.counters.get("Completed", 0) if ended else job.training_jobs
        for key, count in runs.items():
            assert count <= self.requests.entries[key].max_training_jobs, (
                "more training jobs than requested"
            )

    def _changes_are_legal(self) -> None:
        for key, entry in self.requests.entries.items():
            was = self._before.get(key)
            if was and was.status is not entry.status:
                legal = set(LEGAL.get(was.status, ()))
                legal |= {Status.STOPPED} if was.earlier else set()
                legal |= {Status.QUEUED} if len(entry.earlier) > len(was.earlier) else set()
                assert entry.status in legal, f"{was.status} -> {entry.status}"
            if was and was.status is Status.QUEUED and entry.status is Status.IN_PROGRESS:
                assert not was.on_hold, "held"
                assert not was.blocked, "parents have not ended"
                assert self._parents_ended(entry)
            ended = entry.status in (Status.COMPLETED, Status.FAILED, Status.STOPPED)
            if ended and not entry.earlier:
                job = self.sagemaker.ended[tuning_job_name(*key)]
                assert job.status is entry.status
        assert self._before.keys() <= self.requests.entries.keys()
        self._before = dict(self.requests.entries)

    def _parents_ended(self, entry: Entry) -> bool:
        parents = entry.request.after if entry.request else ()
        return all(self.requests.entries[entry.team, each].status.ended for each in parents)

    def _books_agree(self) -> None:
        """Check that queued requests are in line unless held or blocked, and active counts."""
        entries = self.requests.entries
        queued = {entry.key for team in TEAMS for entry in self.requests.queue(team)}
        assert queued == {
            key
            for key, entry in entries.items()
            if entry.status is Status.QUEUED and not (entry.on_hold or entry.blocked)
        }
        active = {(job.team, job.request_id) for job in self.requests.running()}
        assert active == {key for key, entry in entries.items() if entry.status.active}


class Cycles(RuleBasedStateMachine):
    """The state machine of everything that can happen."""

    of_teams = TEAMS
    rounds = 1  # rounds of training jobs in each tuning job

    def __init__(self) -> None:
        super().__init__()
        # With one thread in each pool, a dispatcher always waits before exactly one known call.
        self._patches = [
            patch("hpo_dispatcher.cycle.intake.drain.THREADS", 1),
            patch("hpo_dispatcher.cycle.pacing.THREADS", 1),
            patch("hpo_dispatcher.cycle.act.START_BATCH", 2),
        ]
        for each in self._patches:
            each.start()
        self.world = CheckedAccount(self.of_teams)
        self.invocations: dict[int, Invocation] = {}
        self.running_jobs = {0: "x0", 1: "y0"}
        self.moments: list[datetime] = [self.world.clock.now]

    # What teams do

    @rule(
        team=teams,
        request_id=ids,
        parallel=st.sampled_from([1, 1, 1, 2, 4, 5]),
        after=st.just([]) | st.just([]) | st.lists(ids, max_size=2, unique=True),
        priority=st.integers(0, 3),
    )
    def a_request(
        self, team: str, request_id: str, parallel: int, after: list[str], priority: int
    ) -> None:
        body: dict[str, Any] = {
            "request_id": request_id,
            "hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0.1, "max": 1}},
            "strategy": "Random",
            "priority": priority,
            "resource_limits": {
                "max_training_jobs": parallel * self.rounds,
                "max_parallel_training_jobs": parallel,
            },
        }
        if after and request_id not in after:
            body["after"] = after
        self._send(team, body)

    @rule(
        team=teams, request_id=ids | st.none(), priority=st.integers(0, 5),
        action=st.sampled_from(["cancel", "hold", "release", "release", "priority", "bad"]),
    )  # fmt: skip
    def action(self, team: str, request_id: str | None, action: str, priority: int) -> None:
        """Send an action on a request or on the whole team; invalid actions are rejected."""
        fields: dict[str, Any] = {"priority": priority} if action == "priority" else {}
        self._send(team, {"action": action, "request_id": request_id, **fields})

    def _send(self, team: str, message: object) -> None:
        self.world.send(team, message)
        self.moments.append(self.world.clock.now)

    # What SQS does

    @precondition(lambda self: self.world.sent)
    @rule(team=teams, which=st.integers(0, 99), by=st.integers(0, 5), again=st.booleans())
    def messages_come_again_and_in_another_order(
        self, team: str, which: int, by: int, again: bool
    ) -> None:
        if again:
            self.world.deliver_again(self.world.sent[-1 - which % len(self.world.sent)])
        else:
            self.world.queues.reappear()
        self.world.reorder(team, by)

    # What SageMaker, other users and the clock do

    @rule(instances=st.integers(1, 3))
    def another_user_starts_a_job(self, instances: int) -> None:
        name = f"other-{len(self.world.sagemaker.running) + len(self.world.sagemaker.ended)}"
        self.world.sagemaker.start_of_others(name, {M5: instances}, seconds=200)

    @precondition(lambda self: self.world.sagemaker.running)
    @rule(data=st.data(), status=st.sampled_from([Status.COMPLETED, Status.FAILED, Status.STOPPED]))
    def a_job_ends(self, data: st.DataObject, status: Status) -> None:
        self.world.sagemaker.end(
            data.draw(st.sampled_from(sorted(self.world.sagemaker.running))), status
        )
        self.moments.append(self.world.clock.now)

    @rule(seconds=st.sampled_from([1, 20, 120, 400, 1500]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.now += timedelta(seconds=seconds)
        self.world.forget_recent()
        if self.world.sagemaker.end_due():
            self.moments.append(self.world.clock.now)
        for number, each in list(self.invocations.items()):
            if each.deadline.remaining() <= 0:  # Lambda ends the invocation
                self._kill(number)

    # What dispatchers do

    @initialize()
    def prepare_requests(self) -> None:
        for request_id in IDS[:3]:
            for team in TEAMS:
                self.a_request(team, request_id, 1, [], 0)

    @rule(number=numbers, event=events, until=st.sampled_from(INTAKE), how=fates, lag=lags)
    def a_dispatcher_receives_messages(self, **how: Any) -> None:
        self._advance(**how)

    @rule(number=numbers, event=events, until=st.sampled_from(STARTING), how=fates, lag=lags)
    def a_dispatcher_starts(self, **how: Any) -> None:
        self._advance(**how)

    @rule(number=numbers, event=events, until=st.sampled_from(STARTING), how=fates, lag=lags)
    def a_dispatcher_starts_more(self, **how: Any) -> None:
        self._advance(**how)

    @rule(number=numbers, event=events, until=st.sampled_from(ENDING), how=fates, lag=lags)
    def a_dispatcher_completes_its_cycle(self, **how: Any) -> None:
        self._advance(**how)

    def _advance(self, number: int, event: int | None, until: str, how: str, lag: int) -> None:
        """Advance a dispatcher to a certain call, which may fail; reads before it may be stale.

        An idle dispatcher is invoked first, by the heartbeat or by an event of any age.
        """
        if number not in self.invocations:
            asked_at = self.moments[-min(event, len(self.moments))] if event else None
            self.invocations[number] = self._invocation(self.running_jobs[number], asked_at)
        invocation = self.invocations[number]
        for call in invocation.calls():
            if call == until:
                invocation.step(self._fate(how, call))
                break
            invocation.step(self._read(call, lag))
        if not invocation.next_call:
            del self.invocations[number]

    def _invocation(self, owner: str, asked_at: datetime | None) -> Invocation:
        clock, until = self.world.clock, self.world.clock.now + timedelta(seconds=TIMEOUT)

        def remaining() -> float:
            return (until - clock.now).total_seconds()

        deadline = Deadline(remaining=remaining, total=TIMEOUT)
        dispatcher = replace(self.world.account.dispatcher, owner=owner)
        return Invocation(dispatcher, deadline, asked_at, self.world.called)

    @precondition(lambda self: self.invocations)
    @rule(number=numbers)
    def a_dispatcher_is_killed(self, number: int) -> None:
        if number in self.invocations:
            self._kill(number)

    @rule(
        number=numbers,
        until=st.sampled_from(STARTING),
        the_others=st.sampled_from([*STARTING, *ENDING]),
        how=fates,
    )
    def the_lease_is_lost_during_a_cycle(
        self, number: int, until: str, the_others: str, how: str
    ) -> None:
        """Delete the lease, as if clocks differed, so that two cycles run at the same time."""
        self._advance(number, None, until, "well", 0)
        self.world.account.leases.owner = None
        self.world.overlapped = True
        self._advance(1 - number, None, the_others, how, 0)

    def _fate(self, how: str, call: str) -> Fate:
        if how == "no capacity" and call == "tuning.create":
            return Fate(instead=self.world.no_capacity)
        if how in ("well", "no capacity"):
            return WELL
        return Fate(before=throttled) if how == "throttled" else Fate(after=timed_out)

    def _read(self, call: str, lag: int) -> Fate:
        return Fate(instead=partial(self.world.stale, call, lag)) if call in STALE and lag else WELL

    def _kill(self, number: int) -> None:
        self.invocations.pop(number).kill()
        self.running_jobs[number] += "'"  # the next process is another lease owner

    # The final checks

    def teardown(self) -> None:
        try:
            for number in list(self.invocations):
                self._kill(number)
            self._converge()
        finally:
            for each in self._patches:
                each.stop()

    def _converge(self) -> None:
        """Check that every request ends after the faults are over."""
        world = self.world
        self._clean_cycles(
            2
        )  # process holds that are still queued, so that they do not follow the release
        for team in TEAMS:
            for request_id in IDS:
                world.send(team, {"action": "release", "request_id": request_id})
            world.send(team, {"action": "release"})
        self._clean_cycles()
        left = [entry for entry in world.requests.entries.values() if not entry.status.ended]
        for entry in left:
            assert entry.status is Status.QUEUED, entry
            assert not entry.on_hold
            assert entry.blocked or entry.instances[M5] > QUOTA, f"could have run: {entry}"
            world.send(entry.team, {"action": "cancel", "request_id": entry.request_id})
        self._clean_cycles()
        assert all(entry.status.ended for entry in world.requests.entries.values())
        assert world.queues.waiting() == 0
        assert not world.sagemaker.running

    def _clean_cycles(self, most: int = 60) -> None:
        for number in range(most):
            if number > 2 and not (self.world.requests.unended() or self.world.queues.waiting()):
                break
            self.world.queues.reappear()
            self.world.clock.now += timedelta(seconds=1200)
            self.world.sagemaker.end_due()
            invocation = self._invocation(f"clean{number}", None)
            for _ in invocation.calls():
                invocation.step()


class PreemptingCycles(Cycles):
    """The state machine with preemption of tuning jobs, whose requests resume."""

    of_teams = PREEMPTIBLE
    rounds = 4

    @initialize()
    def prepare_requests(self) -> None:
        """Fill the account with one team's jobs before the other team sends requests."""
        for request_id in IDS[:3]:
            self.a_request("a", request_id, 1, [], 0)
        self._advance(0, None, "the end", "well", 0)
        self.a_request("a", "r3", 1, [], 3)
        for request_id in IDS[:2]:
            self.a_request("b", request_id, 1, [], 0)


THOROUGHLY = settings(
    max_examples=100,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestCycles = Cycles.TestCase
TestCycles.settings = THOROUGHLY
TestPreemptingCycles = PreemptingCycles.TestCase
TestPreemptingCycles.settings = THOROUGHLY
