"""What SageMaker refuses for reasons of the account waits, and nothing else waits for it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from hpo_dispatcher.aws.create_errors import creation_error
from hpo_dispatcher.contract.aws_limits import (
    ALL_INSTANCES_QUOTA,
    TRAINING_JOBS_QUOTA,
    TUNING_JOBS_QUOTA,
    QuotaExceeded,
)
from hpo_dispatcher.contract.documents.capacity import CapacityDocument, WaitKind
from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT, TAG_REQUEST_ID, tuning_job_name
from hpo_dispatcher.cycle.act import START_BATCH
from hpo_dispatcher.cycle.lease import CycleIncomplete
from hpo_dispatcher.cycle.outcome import Summary
from hpo_dispatcher.ports import (
    AccountFault,
    AtLimit,
    Creation,
    NameTaken,
    NotYetVisible,
    Refused,
    Rejection,
    Unavailable,
    Untagged,
)
from hpo_dispatcher.scheduling.backoff import DELAYED_AT_ONCE
from hpo_dispatcher.scheduling.history.memory import MEMORY
from hpoq.simulation.sagemaker import SimulatedRun
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Workload
from tests.support.unreliable_dispatcher import ample

FAULT = AccountFault("Could not assume role arn:aws:iam::111122223333:role/x.")
P3 = "ml.p3.8xlarge for training job usage"
Answer = Creation | Exception | None  # None: SageMaker creates the tuning job
HOUR = 60  # minutes


class World(Simulation):
    """An account whose SageMaker refuses what a test wants."""

    def __init__(self, slots: int = 20) -> None:
        super().__init__(
            Workload(name="w", arrivals=[], teams={"fraud": {}, "vision": {}}, slots=slots)
        )
        self.answer: Callable[[str], Answer] = lambda _: None
        self.tried: Counter[str] = Counter()
        self.call_takes = timedelta(0)
        self.sagemaker.run_of = lambda _: SimulatedRun(seconds=100_000)
        real = self.sagemaker

        class Refusing:
            def __getattr__(_, name: str) -> Any:  # noqa: N805
                return getattr(real, name)

            def create(_, api_request: Mapping[str, Any]) -> Creation:  # noqa: N805
                tags = {tag["Key"]: tag["Value"] for tag in api_request["Tags"]}
                request_id = tags[TAG_REQUEST_ID]
                self.tried[request_id] += 1
                self.clock.now += self.call_takes
                answer = self.answer(request_id)
                if isinstance(answer, Exception):
                    raise answer
                return answer or real.create(api_request)

        tuning: Any = Refusing()
        self.dispatcher = replace(self.dispatcher, tuning=tuning)

    def request(
        self, request_id: str, instance_type: str = "ml.m5.large", parallel: int = 1,
        team: str = "fraud",
    ) -> None:  # fmt: skip
        body = {
            "request_id": request_id,
            "hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0.1, "max": 1}},
            "strategy": "Random",
            "resource_limits": {
                "max_training_jobs": parallel,
                "max_parallel_training_jobs": parallel,
            },
            "overrides": {
                "TrainingJobDefinition": {
                    "ResourceConfig": {"InstanceType": instance_type, "InstanceCount": 1}
                }
            },
        }
        self.queues.send(team, json.dumps(body))

    def cycle(self, after: int = 0) -> Summary:
        """Run a cycle, minutes after the one before."""
        self.clock.now += timedelta(minutes=after)
        return self.dispatcher.run(ample())

    def entry(self, request_id: str, team: str = "fraud") -> Entry:
        return self.requests.entries[team, request_id]

    def status(self, request_id: str) -> Status:
        return self.entry(request_id).status

    def ends(self, request_id: str) -> None:
        self.sagemaker.end(self.entry(request_id).tuning_job_name)

    def history(self, request_id: str) -> list[tuple[str, str]]:
        """Return the published changes of a request: from and to which state."""
        return [
            (str(each.previous_status or ""), str(each.status))
            for each in self.events.published
            if each.request_id == request_id
        ]

    def waits(self) -> dict[str, tuple[WaitKind, str]]:
        document = CapacityDocument.parse(self.documents.get(CAPACITY_DOCUMENT))
        assert document is not None
        return {each.request_id: (each.reason_kind, each.reason) for each in document.waiting}


QUEUED, STARTED = ("", "Queued"), ("Queued", "InProgress")


def at_limit(name: str, *, limit: int, in_use: int) -> AtLimit:
    return AtLimit("at limit", QuotaExceeded(name=name, limit=limit, in_use=in_use, requested=1))


def only(request_id: str, answer: Answer) -> Callable[[str], Answer]:
    return lambda asked: answer if asked == request_id else None


# Faults of the account


def faults_of_the_account() -> list[Any]:
    """Return what AWS answers to a good request, quotas apart (tests/fixtures/aws_answers.yaml)."""
    table = yaml.safe_load((Path(__file__).parents[3] / "fixtures/aws_answers.yaml").read_text())
    return [
        pytest.param(creation_error(each["code"], each["message"]), id=each["message"][:50])
        for each in table
        if each["reaction"] == "wait" and "quota" not in each
    ]


@pytest.mark.parametrize("answer", faults_of_the_account())
def test_a_fault_of_the_account_for_an_hour_loses_and_rejects_nothing(answer: Any) -> None:
    world = World()
    world.answer = lambda _: answer
    for number in range(6):
        world.request(f"r{number}")
    for _ in range(6):
        summary = world.cycle(after=10)
        assert summary.account_faults == 6
        assert {world.status(f"r{n}") for n in range(6)} == {Status.QUEUED}
    kind, text = world.waits()["r0"]
    assert kind is WaitKind.ACCOUNT_FAULT
    assert text.startswith(answer.message)
    assert world.tried["r0"] == 3, "after 10, 20 and 40 minutes"

    world.answer = lambda _: None
    world.cycle(after=30)

    for number in range(6):
        assert world.status(f"r{number}") is Status.IN_PROGRESS
        assert world.history(f"r{number}") == [QUEUED, STARTED], "no flapping"
    assert world.queues.dead_letters == []
    assert world.cycle().account_faults == 0


def test_followers_see_a_start_that_was_forgotten_and_refused_back_in_the_queue() -> None:
    """The create got no answer, and then the dispatcher's own document was lost."""
    world = World()
    world.answer = lambda _: Unavailable("connection reset")
    world.request("a")
    with suppress(CycleIncomplete):
        world.cycle()
    assert world.history("a") == [QUEUED]
    world.documents.put(MEMORY, "{}")
    world.answer = lambda _: at_limit(TUNING_JOBS_QUOTA, limit=1, in_use=1)
    world.cycle()
    assert world.history("a") == [QUEUED, ("InProgress", "Queued")]
    assert world.events.published[-1].reason == "at limit"
    assert world.events.published[-1].tuning_job_name == tuning_job_name("fraud", "a")


def test_a_request_that_waits_for_a_quota_after_a_fault_is_no_longer_counted_as_a_fault() -> None:
    world = World()
    world.answer = only("a", FAULT)
    world.request("a", "ml.p3.8xlarge")
    assert world.cycle().account_faults == 1
    world.answer = only("a", at_limit(P3, limit=1, in_use=1))
    assert world.cycle(after=10).account_faults == 0
    for _ in range(24):
        assert world.cycle(after=HOUR).account_faults == 0
    world.answer = only("a", FAULT)
    assert world.cycle(after=HOUR).account_faults == 1
    assert world.status("a") is Status.QUEUED, "two faults are not a day of them"


def test_a_fault_that_concerns_one_request_delays_no_other() -> None:
    world = World()
    world.answer = only("a", AccountFault("No S3 objects found under S3 URL"))
    for request_id in "abc":
        world.request(request_id)

    world.cycle()

    assert [world.status(each) for each in "abc"] == [
        Status.QUEUED, Status.IN_PROGRESS, Status.IN_PROGRESS
    ]  # fmt: skip


def test_the_cycle_that_meets_a_fault_says_so() -> None:
    world = World()
    world.answer = lambda _: FAULT
    world.request("a")

    world.cycle()

    kind, reason = world.waits()["a"]
    assert kind is WaitKind.ACCOUNT_FAULT
    assert FAULT.message.rstrip(".") in reason


def test_a_request_that_meets_faults_for_a_day_fails_and_no_other_does() -> None:
    world = World()
    world.answer = only("a", FAULT)
    world.request("a")
    for _ in range(24 * 6):
        world.cycle(after=10)
    assert world.status("a") is Status.QUEUED
    for _ in range(12):
        world.cycle(after=10)
    world.request("b")
    world.cycle()

    entry = world.entry("a")
    assert (entry.status, entry.reason) == (Status.FAILED, FAULT.message)
    assert world.history("a") == [QUEUED, ("Queued", "Failed")]
    assert world.queues.dead_letters == []
    assert world.tried["a"] <= 18, "retried every two hours at most"
    assert world.status("b") is Status.IN_PROGRESS
    assert world.cycle().account_faults == 0


def test_delayed_requests_do_not_hide_those_behind_them() -> None:
    world = World(slots=1)
    world.call_takes = timedelta(seconds=1)
    world.answer = lambda asked: FAULT if asked.startswith("bad") else None
    for number in range(30):
        world.request(f"bad{number:02}")
    world.request("good")

    world.cycle()

    assert world.status("good") is Status.IN_PROGRESS


def test_many_faults_of_one_team_keep_the_document_small_and_other_teams_going() -> None:
    world = World(slots=100)
    world.answer = lambda asked: None if asked == "other" else FAULT
    for number in range(3 * DELAYED_AT_ONCE):
        world.request(f"r{number:03}")
    counts = [world.cycle(after=1).account_faults for _ in range(8)]
    world.request("other", team="vision")
    world.cycle()

    assert counts[-1] == counts[1] <= 2 * DELAYED_AT_ONCE
    assert world.entry("other", "vision").status is Status.IN_PROGRESS
    world.answer = lambda _: None
    for _ in range(3):
        world.cycle(after=20)
    assert (
        sum(entry.status is Status.IN_PROGRESS for entry in world.requests.entries.values()) == 100
    )


@pytest.mark.parametrize("action", ["cancel", "hold"])
def test_a_delayed_request_that_its_team_withdraws_is_forgotten(action: str) -> None:
    world = World()
    world.answer = only("a", FAULT)
    world.request("a")
    assert world.cycle().account_faults == 1
    world.queues.send("fraud", json.dumps({"action": action, "request_id": "a"}))
    assert world.cycle().account_faults == 0


def test_a_rejection_says_that_the_request_was_queued_before() -> None:
    world = World()
    world.answer = only("a", Refused("bad"))
    world.request("a")
    world.cycle()
    assert world.history("a") == [QUEUED, ("Queued", "Rejected")]


@pytest.mark.parametrize(
    ("answer", "field", "problem", "fix"),
    [
        (Refused("bad"), "request", "bad", "Fix the request and resubmit it"),
        (NameTaken("somebody"), "request_id",
         f"the tuning job name {tuning_job_name('fraud', 'a')} belongs to somebody",
         "Send it under a new request id"),
    ],
)  # fmt: skip
def test_a_rejection_names_the_field_the_problem_and_the_fix(
    answer: Creation, field: str, problem: str, fix: str
) -> None:
    world = World()
    world.answer = only("a", answer)
    world.request("a")
    summary = world.cycle()
    ((team, body, error),) = world.queues.dead_letters
    assert (team, json.loads(body)["request_id"]) == ("fraud", "a")
    assert (error.field, error.problem, error.fix) == (field, problem, fix)
    assert world.entry("a").reason == str(error)
    assert (summary.rejected, summary.started, summary.requeued) == (1, 0, 0)


def test_without_its_dead_letter_queue_a_rejected_request_waits_as_for_a_fault() -> None:
    world = World()
    world.answer = only("a", Refused("bad"))
    real = world.queues

    class WithoutDeadLetters:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def reject(self, rejection: Rejection) -> None:
            raise Unavailable("the queue does not exist")

    queues: Any = WithoutDeadLetters()
    world.dispatcher = replace(world.dispatcher, queues=queues)
    world.request("a")
    world.request("b")

    with pytest.raises(CycleIncomplete, match="rejection of fraud/a: the queue does not exist"):
        world.cycle()

    assert (world.status("a"), world.status("b")) == (Status.QUEUED, Status.IN_PROGRESS)
    assert world.entry("a").reason == (
        "request: bad. Fix the request and resubmit it; it was not rejected: the queue does not "
        "exist"
    )
    assert world.cycle(after=1).account_faults == 1, "it is delayed"
    assert world.tried["a"] == 1
    for _ in range(12):
        with suppress(CycleIncomplete):
            world.cycle(after=10)
    assert world.tried["a"] == 4, "it is tried less and less often, as one that waits"
    world.dispatcher = replace(world.dispatcher, queues=real)
    world.cycle(after=HOUR)
    assert world.status("a") is Status.REJECTED


# Quotas


def test_only_what_needs_the_named_quota_waits_and_the_rest_starts_in_the_same_cycle() -> None:
    world = World(slots=60)
    world.answer = lambda asked: at_limit(P3, limit=2, in_use=2) if asked[0] == "g" else None
    for number in range(45):  # more than one batch
        world.request(f"g{number:02}", "ml.p3.8xlarge")
    world.request("c0")
    world.request("c1", team="vision")

    world.cycle()
    tried = world.tried.total()
    world.cycle(after=1)
    world.cycle(after=1)

    assert {world.status("c0"), world.entry("c1", "vision").status} == {Status.IN_PROGRESS}
    assert tried <= START_BATCH + 2, "later batches know what the first one met"
    assert world.tried.total() == tried, "nothing has ended"
    assert world.waits()["g00"][0] is WaitKind.INSTANCES
    assert world.history("g00") == [QUEUED]


def test_a_named_quota_is_tried_again_when_a_job_that_uses_it_ends() -> None:
    world = World()
    world.request("user", "ml.p3.8xlarge")
    world.request("cpu")
    world.cycle()
    world.answer = only("g", at_limit(P3, limit=1, in_use=1))
    world.request("g", "ml.p3.8xlarge")
    world.cycle()
    world.answer = lambda _: None
    world.ends("cpu")
    world.cycle(after=1)
    assert world.status("g") is Status.QUEUED
    world.ends("user")
    world.cycle(after=1)
    assert world.status("g") is Status.IN_PROGRESS


def test_a_named_quota_is_tried_again_after_10_20_and_30_minutes() -> None:
    world = World()
    world.answer = only("g", at_limit(P3, limit=1, in_use=1))
    world.request("g", "ml.p3.8xlarge")
    tries = []
    for minute in range(100):
        world.cycle(after=1)
        if world.tried["g"] > len(tries):
            tries.append(minute)
    assert tries == [0, 10, 30, 60, 90]


def test_a_smaller_request_starts_within_what_is_left() -> None:
    world = World()
    world.answer = only("large", at_limit(ALL_INSTANCES_QUOTA, limit=4, in_use=2))
    world.request("large", parallel=4)
    world.request("small", "ml.c5.xlarge", parallel=2)
    world.request("second", "ml.c5.xlarge", parallel=2)
    world.cycle()
    assert [world.status(each) for each in ("large", "small")] == [
        Status.QUEUED, Status.IN_PROGRESS
    ]  # fmt: skip
    world.cycle(after=1)
    assert world.waits()["large"][1].startswith(f"AWS counts 2/4 of '{ALL_INSTANCES_QUOTA}'")
    assert world.tried["large"] == 1


def test_a_request_beyond_the_quota_never_fits() -> None:
    world = World()
    world.answer = only("large", at_limit(ALL_INSTANCES_QUOTA, limit=4, in_use=0))
    world.request("large", parallel=5)
    world.cycle()
    world.cycle(after=1)
    assert world.waits()["large"][0] is WaitKind.NEVER_FITS
    assert world.tried["large"] == 1


def test_at_the_limit_of_tuning_jobs_everything_waits_until_one_ends() -> None:
    world = World()
    world.request("first")
    world.cycle()
    world.answer = lambda _: at_limit(TUNING_JOBS_QUOTA, limit=1, in_use=1)
    world.request("a")
    world.request("b", "ml.c5.xlarge", team="vision")
    world.cycle()
    tried = world.tried.total()
    world.cycle(after=1)
    assert world.tried.total() == tried
    assert world.waits()["a"][0] is WaitKind.TUNING_JOBS
    world.answer = lambda _: None
    world.ends("first")
    world.cycle(after=1)
    assert world.status("a") is Status.IN_PROGRESS


@pytest.mark.parametrize(
    "answer", [AtLimit("full"), at_limit(TRAINING_JOBS_QUOTA, limit=1, in_use=1)]
)
def test_a_quota_that_is_not_known_delays_one_request(answer: AtLimit) -> None:
    world = World()
    world.answer = only("a", answer)
    world.request("a")
    world.request("b")
    world.cycle()
    world.cycle(after=1)
    assert (world.status("a"), world.status("b")) == (Status.QUEUED, Status.IN_PROGRESS)
    assert world.tried["a"] == 1
    assert world.waits()["a"][0] is WaitKind.ACCOUNT_QUOTA
    assert world.cycle().account_faults == 0
    for _ in range(50):
        world.cycle(after=HOUR)
    assert world.status("a") is Status.QUEUED, "it waits for as long as it takes"


# Creations whose outcome is not known at once


@pytest.mark.parametrize("created", [True, False])
def test_a_start_without_an_answer_is_announced_once_its_tuning_job_exists(created: bool) -> None:
    world = World()

    def no_answer(_: str) -> Answer:
        if created:
            world.sagemaker.create(asked.pop())
        return Unavailable("timed out")

    asked: list[Any] = []
    tuning: Any = world.dispatcher.tuning
    real_create = tuning.create

    class Recording:
        def __getattr__(self, name: str) -> Any:
            return getattr(tuning, name)

        def create(self, api_request: Any) -> Creation:
            asked.append(api_request)
            answer: Creation = real_create(api_request)
            return answer

    recording: Any = Recording()
    world.dispatcher = replace(world.dispatcher, tuning=recording)
    world.answer = no_answer
    world.request("a")
    with suppress(CycleIncomplete):
        world.cycle()
    assert world.history("a") == [QUEUED]

    world.answer = lambda _: None
    world.cycle(after=1)
    world.cycle(after=1)
    assert world.history("a") == [QUEUED, STARTED]


def test_a_start_without_an_answer_that_is_refused_later_is_never_announced() -> None:
    world = World()
    world.answer = lambda _: Unavailable("timed out")
    world.request("a")
    with suppress(CycleIncomplete):
        world.cycle()
    world.answer = lambda _: at_limit(TUNING_JOBS_QUOTA, limit=1, in_use=1)
    world.cycle(after=1)
    assert world.status("a") is Status.QUEUED
    assert world.history("a") == [QUEUED]


def test_a_name_that_describe_does_not_show_yet_waits_and_is_taken_after_an_hour() -> None:
    world = World()
    world.answer = lambda _: NotYetVisible("a tuning job whose name differs in case")
    world.request("a")
    world.request("b")
    for _ in range(5):
        assert not world.cycle(after=10).problems
        assert world.status("a") is Status.IN_PROGRESS
        assert world.history("a") == [QUEUED]
    world.answer = only("a", NotYetVisible("a tuning job whose name differs in case"))
    world.cycle(after=10)
    world.cycle(after=10)

    assert world.history("b") == [QUEUED, STARTED]
    assert world.status("a") is Status.REJECTED
    assert [body["request_id"] for body in letters(world)] == ["a"]


def test_a_name_without_tags_waits_and_is_taken_after_an_hour() -> None:
    world = World()
    world.answer = lambda _: Untagged("a job not of hpoq")
    world.request("a")
    world.request("b")
    for _ in range(6):
        world.cycle(after=10)
    assert (world.status("a"), world.history("a")) == (Status.QUEUED, [QUEUED])
    assert world.waits()["a"][0] is WaitKind.TUNING_JOB_NAME
    world.answer = only("a", Untagged("a job not of hpoq"))
    for _ in range(4):
        world.cycle(after=10)

    assert world.history("b") == [QUEUED, STARTED]
    assert world.status("a") is Status.REJECTED
    assert [body["request_id"] for body in letters(world)] == ["a"]


def letters(world: World) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body, _ in world.queues.dead_letters]


def test_others_start_in_the_same_invocation_instead_of_a_request_that_is_queued_again() -> None:
    world = World(slots=1)
    world.answer = only("first", AtLimit("an account-level service limit"))
    world.call_takes = timedelta(seconds=1)
    for request_id in ("first", "second"):
        world.request(request_id)
    world.cycle()
    assert world.status("first") is Status.QUEUED
    assert world.status("second") is Status.IN_PROGRESS
    assert world.history("first") == [QUEUED], "to its followers it never left the queue"


def test_a_request_that_is_queued_again_still_counts_in_its_queue() -> None:
    world = World(slots=1)
    world.answer = lambda _: FAULT
    for request_id in "abc":
        world.request(request_id)
    world.cycle()
    document = CapacityDocument.parse(world.documents.get(CAPACITY_DOCUMENT))
    assert document is not None
    assert document.queues["fraud"].queued == 3
    assert document.tuning_jobs.in_use == 0
    assert document.running == ()
