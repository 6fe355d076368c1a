"""Events to the buses of other accounts and Regions, and the policies of buses in templates.

Without this patch, ministack knows no ``AWS::Events::EventBusPolicy``, and delivers events within
one account and Region only. "Sending and receiving events between AWS accounts" and "... between
AWS Regions" of the EventBridge user guide: the role of the rule's target must be allowed to put
events on the bus; across accounts, the policy of the bus must allow it, too. An event keeps the
account and Region of its source, and is forwarded once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import eventbridge, iam
from ministack.services.cloudformation import provisioners

from hpoq.local.sagemaker.settings import PARTITION

Record = dict[str, Any]
logger = logging.getLogger(__name__)
POLICY = "AWS::Events::EventBusPolicy"
FORWARDED = "_Forwarded"  # in an event that came from another account or Region
DEFAULT = "default"


def connect_event_buses() -> None:
    """Deliver events to other buses, and let templates state their policies."""
    provisioners._RESOURCE_HANDLERS[POLICY] = {
        "create": _create_policy,
        "update": _update_policy,
        "delete": _delete_policy,
    }
    deliver_here = eventbridge._invoke_target

    def deliver(target: Record, event: Record, rule: Record, view: Any = None) -> None:
        arn = str(target.get("Arn", ""))
        if _is_elsewhere(arn):
            _forward(arn, str(target.get("RoleArn", "")), event, rule)
        else:
            deliver_here(target, event, rule, view)

    eventbridge._invoke_target = deliver


def _is_elsewhere(arn: str) -> bool:
    """Return whether an ARN is that of a bus in another account or Region."""
    if not arn.startswith("arn:") or ":event-bus/" not in arn:
        return False
    _, _, service, region, account, *_ = arn.split(":")
    return service == "events" and (account, region) != (get_account_id(), get_region())


def _forward(bus: str, role: str, event: Record, rule: Record) -> None:
    if event.get(FORWARDED):
        logger.warning("%s: an event is forwarded once; not to %s", rule.get("Arn"), bus)
        return
    problem = _refusal(bus, role, event, rule)
    if problem:
        logger.warning("%s: no event is sent to %s: %s", rule.get("Arn"), bus, problem)
        return
    _, _, _, region, account, name = bus.split(":")
    forwarded = {**event, "EventBusName": name.partition("/")[2], FORWARDED: True}
    with request_scope(account, region):
        eventbridge._ensure_default_bus()
        if forwarded["EventBusName"] in eventbridge._event_buses:
            eventbridge._dispatch_event(forwarded)
        else:
            logger.warning("%s: there is no bus %s", rule.get("Arn"), bus)


def _refusal(bus: str, role: str, event: Record, rule: Record) -> str:
    """Return why a role may not put an event on a bus, or an empty string."""
    name = role.rpartition("/")[2]
    record = iam._roles.get(name) if role.split(":")[4:5] == [get_account_id()] else None
    if record is None:
        return f"there is no role {role}"
    service = "events.amazonaws.com"
    keys = {"aws:sourcearn": rule.get("Arn", ""), "aws:sourceaccount": get_account_id()}
    trusting = _context(service, "Service", "sts:AssumeRole", role, keys)
    trust = iam_evaluator.evaluate_resource_policy(
        record["AssumeRolePolicyDocument"], trusting, service=service
    )
    if trust.decision != "Allow":
        return f"{role} does not trust {service}"
    sent = {"events:source": [event["Source"]], "events:detail-type": event["DetailType"]}
    context = _context(
        f"arn:{PARTITION}:sts::{get_account_id()}:assumed-role/{name}/EventBridge",
        "AssumedRole",
        "events:PutEvents",
        bus,
        sent,
    )
    policies = iam_evaluator._gather_role_policies(name, get_account_id())
    identity = iam_evaluator.evaluate(context, policies)
    owner, policy = _policy_of(bus)
    result = iam_evaluator.combine_resource_policy(identity, context, policy, owner)
    return "" if result.decision == "Allow" else f"{role} or the policy of the bus do not allow it"


def _context(
    principal: str, kind: str, action: str, resource: str, keys: Mapping[str, Any]
) -> iam_evaluator.EvalContext:
    return iam_evaluator.EvalContext(
        principal_arn=principal,
        principal_type=kind,
        principal_account=get_account_id() if kind == "AssumedRole" else "",
        action=action,
        resource_arn=resource,
        region=get_region(),
        secure_transport=True,
        service_context=dict(keys),
    )


def _policy_of(bus: str) -> tuple[str, Record | None]:
    """Return the account of a bus, and the policy of the bus."""
    _, _, _, region, account, name = bus.split(":")
    with request_scope(account, region):
        return account, eventbridge._event_bus_policies.get(name.partition("/")[2])


def _create_policy(_: str, properties: Record, __: str) -> tuple[str, Record]:
    statement = {"Sid": properties["StatementId"], **properties["Statement"]}
    _set_statement(properties.get("EventBusName", DEFAULT), properties["StatementId"], statement)
    return str(properties["StatementId"]), {}


def _update_policy(
    physical_id: str, old: Record, new: Record, stack: str, logical_id: str = ""
) -> tuple[str, Record]:
    _delete_policy(physical_id, old)
    return _create_policy(logical_id, new, stack)


def _delete_policy(physical_id: str, properties: Record) -> None:
    _set_statement(properties.get("EventBusName", DEFAULT), physical_id, None)


def _set_statement(bus: str, sid: str, statement: Record | None) -> None:
    """Replace a statement of a bus's policy; None deletes it."""
    policies = eventbridge._event_bus_policies
    before = (policies.get(bus) or {}).get("Statement", [])
    statements = [each for each in before if each.get("Sid") != sid]
    if statement:
        statements.append(statement)
    if statements:
        policies[bus] = {"Version": "2012-10-17", "Statement": statements}
    else:
        policies.pop(bus, None)
