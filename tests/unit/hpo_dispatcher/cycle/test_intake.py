"""What becomes of bad, repeated and cancelling messages."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.ports import Envelope
from hpoq.simulation.sagemaker import SimulatedRun
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Workload
from tests.support.dispatcher_account import RANGES, Account, ample_time

LR = RANGES["lr"]
BAD: dict[str, tuple[Any, str]] = {
    "not JSON": ("{", "body"),
    "unknown field": ({"hyperparameter_ranges": RANGES, "stratgy": "Random"}, "stratgy"),
    "min above max": (
        {"hyperparameter_ranges": {"lr": {**LR, "min": 1.0}}},
        "hyperparameter_ranges.lr",
    ),
    "31 ranges": (
        {"hyperparameter_ranges": {f"p{i}": LR for i in range(31)}},
        "hyperparameter_ranges",
    ),
    "name clash": (
        {"hyperparameter_ranges": RANGES, "hyperparameters": {"lr": 0.1}},
        "hyperparameters.lr",
    ),
    "over the guardrails": (
        {"hyperparameter_ranges": RANGES, "resource_limits": {"max_training_jobs": 500}},
        "resource_limits.max_training_jobs",
    ),
    "300 KB": (json.dumps({"hyperparameter_ranges": RANGES, "x": "x" * 300_000}), "body"),
    "unknown template": ({"hyperparameter_ranges": RANGES, "template": "gpu"}, "template"),
    "other content": (
        {"request_id": "good", "hyperparameter_ranges": RANGES, "priority": 9},
        "request_id",
    ),
}


def entry(account: Account, team: str, request_id: str) -> Entry:
    found = account.dispatcher().requests.get(team, request_id)
    assert found is not None
    return found


def test_each_bad_message_is_dead_lettered_with_its_reason_and_good_neighbours_run(
    account: Account,
) -> None:
    account.configure(guardrails={"max_training_jobs": 100})
    account.request("fraud", "good")
    account.cycle()
    for message, _ in BAD.values():
        account.send("fraud", message)
    account.request("fraud", "neighbour")
    account.request("vision", "neighbour")

    summary = account.cycle()

    assert (summary.rejected, summary.started) == (len(BAD), 2)
    letters = account.dead_letters("fraud")
    assert sorted(letter["hpoq-field"] for letter in letters) == sorted(f for _, f in BAD.values())
    assert all(letter["hpoq-problem"] and letter["hpoq-fix"] for letter in letters)
    assert {letter["hpoq-team"] for letter in letters} == {"fraud"}
    assert account.waiting("fraud") == 0


def test_more_than_the_account_grants_one_tuning_job_is_rejected_until_its_setting_is_raised(
    account: Account,
) -> None:
    wide = {"resource_limits": {"max_training_jobs": 12, "max_parallel_training_jobs": 12}}
    large = {"resource_limits": {"max_training_jobs": 751}, "strategy": "Random"}
    account.request("fraud", "wide", **wide)
    account.request("fraud", "large", **large)
    assert account.cycle().rejected == 2
    quotas = {letter["hpoq-fix"].split("'")[1] for letter in account.dead_letters("fraud")}
    assert quotas == {
        "Number of parallel training jobs per hyperparameter tuning job",
        "[Random search] Number of training jobs per hyperparameter tuning job",
    }

    account.configure(limits={"parallel_training_jobs": 12, "random_training_jobs": 751})
    account.request("fraud", "wide", **wide)
    account.request("fraud", "large", **large)
    assert account.cycle().rejected == 0


def test_an_accepted_request_starts_although_its_setting_was_lowered(account: Account) -> None:
    wide = {"resource_limits": {"max_training_jobs": 12, "max_parallel_training_jobs": 12}}
    account.configure(limits={"parallel_training_jobs": 12})
    account.request("fraud", "wide", **wide)
    account.send("fraud", {"action": "hold"})
    account.cycle()
    assert entry(account, "fraud", "wide").status is Status.QUEUED

    account.configure()
    account.send("fraud", {"action": "release"})
    account.cycle()

    assert entry(account, "fraud", "wide").status is Status.IN_PROGRESS
    assert account.dead_letters("fraud") == []


def test_a_rejected_request_is_in_the_ledger_and_may_be_sent_again(account: Account) -> None:
    account.request("fraud", "a", template="gpu")
    account.cycle()
    rejected = entry(account, "fraud", "a")
    assert rejected.status is Status.REJECTED
    assert "unknown template 'gpu'" in rejected.reason

    account.request("fraud", "a")
    assert account.cycle().started == 1


def test_the_same_request_twice_is_one_request(account: Account) -> None:
    account.request("fraud", "a")
    account.request("fraud", "a")
    account.cycle()
    account.request("fraud", "a")

    assert account.cycle().repeated == 1
    assert len(account.tuning_jobs()) == 1
    assert account.dead_letters("fraud") == []


def test_the_same_id_of_two_teams_is_two_requests(account: Account) -> None:
    account.request("fraud", "a")
    account.request("vision", "a")
    assert account.cycle().started == 2


def test_a_name_taken_by_somebody_else_rejects_the_request(account: Account) -> None:
    from hpo_dispatcher.contract.names import tuning_job_name

    foreign = account.dispatcher().builder.api_request("fraud", queued_request())
    foreign["HyperParameterTuningJobName"] = tuning_job_name("fraud", "a")
    foreign["Tags"] = []
    account.sagemaker.create_hyper_parameter_tuning_job(**foreign)
    account.request("fraud", "a")

    account.cycle()
    assert entry(account, "fraud", "a").status is Status.QUEUED, "its tags may only be late"
    account.cycle()
    dispatcher = account.dispatcher()
    later = dispatcher.clock() + timedelta(hours=1)
    replace(dispatcher, clock=lambda: later).run(ample_time())

    assert entry(account, "fraud", "a").status is Status.REJECTED
    (letter,) = account.dead_letters("fraud")
    assert "a job not of hpoq" in letter["hpoq-problem"]
    assert json.loads(letter["body"])["request_id"] == "a"


def queued_request() -> Any:
    from hpo_dispatcher.contract.message import parse_message

    return parse_message(json.dumps({"hyperparameter_ranges": RANGES}), "foreign")


def test_a_queued_request_is_cancelled(account: Account) -> None:
    account.request("fraud", "a")
    account.send("fraud", {"action": "cancel", "request_id": "a"})
    account.cycle()
    assert entry(account, "fraud", "a").status in (Status.CANCELLED, Status.STOPPING)


@pytest.mark.parametrize("team", ["fraud"])
def test_a_cancel_that_overtakes_its_request_still_holds(account: Account, team: str) -> None:
    account.send(team, {"action": "cancel", "request_id": "a"})
    account.cycle()
    account.request(team, "a")
    account.cycle()

    assert entry(account, team, "a").status is Status.CANCELLED
    assert account.tuning_jobs() == []
    assert account.waiting(team) == 0


def test_a_team_cannot_cancel_anothers_request(account: Account) -> None:
    account.request("fraud", "a")
    account.cycle()
    account.send("vision", {"action": "cancel", "request_id": "a"})
    account.cycle()
    assert entry(account, "fraud", "a").status is Status.COMPLETED


def test_a_missing_queue_delays_no_other_team(account: Account) -> None:
    from hpo_dispatcher.cycle.lease import CycleIncomplete

    account.request("vision", "a")
    url = account.sqs.get_queue_url(QueueName="hpoq-fraud-requests")["QueueUrl"]
    account.sqs.delete_queue(QueueUrl=url)

    with pytest.raises(CycleIncomplete, match="intake of fraud"):
        account.cycle()
    assert len(account.tuning_jobs()) == 1


def test_a_team_that_never_stops_sending_does_not_delay_starts(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hpo_dispatcher.cycle.intake import drain

    monkeypatch.setattr(drain, "LATE", timedelta(0))
    dispatcher = account.dispatcher()
    queues: Any = dispatcher.queues

    def receive_while_fraud_sends(team: str, *, wait: bool = True) -> Any:
        if team == "fraud":
            account.send("fraud", {"action": "cancel", "request_id": "a"})
        return queues.receive(team, wait=wait)

    never_empty: Any = SimpleNamespace(
        receive=receive_while_fraud_sends, delete=queues.delete, reject=queues.reject
    )
    dispatcher = replace(dispatcher, queues=never_empty)
    account.request("vision", "a")

    assert dispatcher.run(ample_time()).started == 1
    assert account.waiting("fraud") < 10  # and what had been sent was taken


# Seconds from the start of the cycle at which the messages of each batch were sent, and how many
# batches are taken. The clocks of SQS and of the function may differ by two seconds.
@pytest.mark.parametrize(
    ("sent", "taken"),
    [
        ([[-5], [-5], [-5]], 3),
        ([[0], [1], [2], [-5]], 4),
        ([[3], [-5]], 1),  # the next cycle takes the rest
        ([[-5, 3], [3], [-5]], 2),  # an older one came with it
        ([[3, 60], [3]], 1),
        ([[0], [60], [60], [60]], 2),
    ],
)
def test_what_is_sent_during_a_cycle_is_left_to_the_next_unless_older_messages_come_with_it(
    sent: list[list[float]], taken: int
) -> None:
    account = Simulation(Workload(name="w", arrivals=[], teams={"fraud": {}}))
    batches = [
        [
            Envelope(
                team="fraud", message_id=f"{n}-{m}", receipt=f"{n}-{m}",
                body=json.dumps({"action": "cancel", "request_id": "a"}),
                sent_at=account.clock.now + timedelta(seconds=seconds),
            )
            for m, seconds in enumerate(batch)
        ]
        for n, batch in enumerate(sent)
    ]  # fmt: skip
    deleted: list[str] = []

    class Scripted:
        def receive(self, team: str, *, wait: bool = True) -> list[Envelope]:
            return batches.pop(0) if batches else []

        def delete(self, envelopes: list[Envelope]) -> None:
            deleted.extend(envelope.message_id for envelope in envelopes)

    scripted: Any = Scripted()
    replace(account.dispatcher, queues=scripted).run(ample_time())

    assert len(batches) == len(sent) - taken
    assert len(deleted) == sum(map(len, sent[:taken])), "what is received is accounted for"


def test_what_has_come_is_accounted_for_without_waiting_for_more(account: Account) -> None:
    """To be sure that SQS has no more takes a second; one look at the end is enough."""
    dispatcher = account.dispatcher()
    queues: Any = dispatcher.queues
    looks: list[tuple[bool, int, int]] = []

    def receive(team: str, *, wait: bool = True) -> Any:
        received = queues.receive(team, wait=wait)
        if team == "fraud":
            accounted = len(dispatcher.requests.heads("fraud", 100))
            looks.append((wait, len(received), accounted))
        return received

    watched: Any = SimpleNamespace(receive=receive, delete=queues.delete, reject=queues.reject)
    for number in range(13):
        account.request("fraud", f"r{number}")

    replace(dispatcher, queues=watched).run(ample_time())
    assert looks == [(True, 10, 0), (False, 3, 0), (True, 0, 13)]


def test_a_bug_that_a_message_meets_rejects_that_message_only_and_tells_no_secret() -> None:
    arrivals = Simulation(Workload(name="w", arrivals=[], teams={"fraud": {}}))
    arrivals.sagemaker.run_of = lambda _: SimulatedRun(seconds=60)
    real = arrivals.dispatcher.builder

    class Buggy:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def entry(self, team: str, request: Any, accepted_at: Any) -> Entry:
            if request.request_id == "meets-a-bug":
                raise KeyError("a secret")
            return real.entry(team, request, accepted_at)

    builder: Any = Buggy()
    for request_id in ("meets-a-bug", "good"):
        body = {"request_id": request_id, "hyperparameter_ranges": RANGES}
        arrivals.queues.send("fraud", json.dumps(body))
    replace(arrivals.dispatcher, builder=builder).run(ample_time())

    ((_, _, error),) = arrivals.queues.dead_letters
    assert (error.field, error.problem, error.fix) == (
        "body",
        "hpoq hit an internal error while reading this message (KeyError)",
        "Report the bug with this message; redrive the message once it is fixed",
    )
    assert arrivals.requests.entries["fraud", "good"].status is Status.IN_PROGRESS
    assert arrivals.requests.entries["fraud", "meets-a-bug"].status is Status.REJECTED
