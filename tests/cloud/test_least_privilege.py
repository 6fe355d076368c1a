"""The dispatcher's role allows exactly the actions that a dispatcher uses."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hpo_dispatcher import wiring
from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.names import tuning_job_name
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.cycle.outcome import Summary
from hpo_dispatcher.cycle.pacing import Deadline
from hpoq.local.lifecycle.processes import wait_until
from hpoq.local.session import CloudSession
from infra.source import write_function
from tests.support.deployed_stack import ROOT, Deployed
from tests.support.iam_users import user_with

# Actions that Lambda itself uses on behalf of the role.
LAMBDA_ITSELF = {
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "sqs:GetQueueAttributes",  # CDK grants it with every on-failure destination
}
ACTIONS = {"DeleteMessageBatch": ["DeleteMessage"]}
ROW_ACTIONS = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}


def actions_of(operation: Any, parameters: dict[str, Any]) -> set[str]:
    """Return the IAM actions of an API call according to the Service Authorization Reference."""
    service, name = operation.service_model.signing_name, operation.name
    if name == "TransactWriteItems":
        kinds = {kind for item in parameters["TransactItems"] for kind in item}
        return {f"dynamodb:{ROW_ACTIONS[kind]}" for kind in kinds}
    needed = {f"{service}:{action}" for action in ACTIONS.get(name, [name])}
    if name == "CreateHyperParameterTuningJob":
        needed |= {"iam:PassRole"} | ({"sagemaker:AddTags"} if "Tags" in parameters else set())
    return needed


@pytest.fixture
def granted(deployed: Deployed) -> tuple[set[str], list[dict[str, Any]]]:
    """Return the role's actions and the policies that name them."""
    function = deployed.outputs["DispatcherFunctionName"]
    role = deployed.client("lambda").get_function_configuration(FunctionName=function)["Role"]
    iam, name = deployed.client("iam"), role.rsplit("/", 1)[-1]
    policies = [
        iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
    ]
    actions: set[str] = set()
    for policy in policies:
        for statement in policy["Statement"]:
            named = statement["Action"]
            actions |= {named} if isinstance(named, str) else set(named)
    return actions, policies


@pytest.fixture
def _data(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Upload training data, so that the tuning job runs long enough to be stopped."""
    folder = tmp_path_factory.mktemp("data")
    command = [sys.executable, "-m", "training.prepare_data", "--synthetic", "--out", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    for path in sorted(folder.rglob("*.npz")):
        key = f"data/credit-default/{path.relative_to(folder).as_posix()}"
        bucket = deployed.outputs["ArtifactBucketName"]
        deployed.client("s3").upload_file(str(path), bucket, key)


@pytest.fixture
def _undisturbed(deployed: Deployed) -> Iterator[None]:
    """Disable the deployed function, so that the test's dispatcher does the work."""
    events = deployed.client("events")
    names = [rule["Name"] for rule in events.list_rules()["Rules"]]
    for name in names:
        events.disable_rule(Name=name)
    yield
    for name in names:
        events.enable_rule(Name=name)


def cycle(dispatcher: Dispatcher) -> Summary:
    """Run a cycle; retry while the deployed function holds the lease."""
    summaries: list[Summary] = []

    def done() -> bool:
        end = time.monotonic() + 60
        deadline = Deadline(remaining=lambda: end - time.monotonic(), total=60)
        summaries.append(dispatcher.run(deadline))
        return not summaries[-1].skipped

    assert wait_until(done, 60, step=1)
    return summaries[-1]


@pytest.mark.usefixtures("_data", "_undisturbed")
def test_a_dispatcher_uses_every_granted_action_and_needs_no_other(
    deployed: Deployed, granted: tuple[set[str], list[dict[str, Any]]], tmp_path: Path
) -> None:
    actions, policies = granted
    name = f"least-{time.time_ns()}"
    session: CloudSession = user_with(deployed.session, deployed.cloud, name, *policies)
    used: set[str] = set()
    session.events.register(
        "before-parameter-build.*.*",
        lambda params, model, **_: used.update(actions_of(model, params)),
    )
    dispatcher = _dispatcher(deployed, session, tmp_path)
    send = _sender(deployed)

    taken = TuningRequest.model_validate(_wanted(f"{name}-taken"))
    api_request = dict(dispatcher.builder.api_request("fraud", taken))
    api_request["Tags"] = [{"Key": "owner", "Value": "somebody else"}]
    deployed.client("sagemaker").create_hyper_parameter_tuning_job(**api_request)
    send(_wanted(f"{name}-taken"))
    send(_wanted(f"{name}-a"))
    send(_wanted(f"{name}-after", after=[f"{name}-a"]))
    send({"hyperparameter_ranges": {}})

    assert cycle(dispatcher).started == 1
    send({"version": 1, "action": "cancel", "request_id": f"{name}-a"})
    cycle(dispatcher)

    def ended() -> bool:
        cycle(dispatcher)
        entry = dispatcher.requests.get("fraud", f"{name}-a")
        return entry is not None and entry.status.ended

    assert wait_until(ended, 60, step=1)
    sagemaker = deployed.client("sagemaker")
    _stop(sagemaker, api_request["HyperParameterTuningJobName"])
    together = [f"{name}-b", f"{name}-c"]
    for request_id in together:
        send(_wanted(request_id))
    cycle(dispatcher)
    for request_id in together:
        _stop(sagemaker, tuning_job_name("fraud", request_id))
    cycle(dispatcher)
    assert [_status(dispatcher, each) for each in together] == [Status.STOPPED] * 2
    assert _status(dispatcher, f"{name}-a") is Status.STOPPED
    assert _status(dispatcher, f"{name}-taken") is Status.REJECTED
    assert actions - used - LAMBDA_ITSELF == set()
    assert used - actions == set()


def _stop(sagemaker: Any, name: str) -> None:
    """Stop a tuning job without the queue and wait until it has stopped."""

    def stopped() -> bool:
        job = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        return bool(job["HyperParameterTuningJobStatus"] == "Stopped")

    sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    assert wait_until(stopped, 60, step=0.2)


def _status(dispatcher: Dispatcher, request_id: str) -> Status:
    entry = dispatcher.requests.get("fraud", request_id)
    assert entry is not None
    return entry.status


def _wanted(request_id: str, **more: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "request_id": request_id,
        "template": "smoke",
        "hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}},
        "resource_limits": {"max_training_jobs": 50, "max_parallel_training_jobs": 1},
        **more,
    }


def _sender(deployed: Deployed) -> Callable[[dict[str, Any]], None]:
    sqs = deployed.client("sqs")

    def send(message: dict[str, Any]) -> None:
        sqs.send_message(QueueUrl=deployed.queue("fraud"), MessageBody=json.dumps(message))

    return send


def _dispatcher(deployed: Deployed, session: CloudSession, folder: Path) -> Dispatcher:
    """Build a dispatcher whose ledger has no quotas and no images yet."""
    table = deployed.outputs["LedgerTableName"]
    for document in ("quotas", "settings"):
        key = {"team": {"S": "#deployment"}, "id": {"S": document}}
        deployed.client("dynamodb").delete_item(TableName=table, Key=key)
    function = deployed.outputs["DispatcherFunctionName"]
    configuration = deployed.client("lambda").get_function_configuration(FunctionName=function)
    variables = configuration["Environment"]["Variables"]
    write_function(folder, {"teams": {"fraud": {}, "vision": {}}, "limits": {"tuning_jobs": 10}})
    region = deployed.cloud.running.region
    return wiring.build_dispatcher({**variables, "AWS_REGION": region}, folder, session)
