"""IAM condition keys that ministack lacks: of DynamoDB, events, roles and simulated calls.

Without this patch, a policy that limits a team to its own partition allows it all partitions;
SimulatePrincipalPolicy ignores its ContextEntries; and aws:PrincipalArn of an assumed role is the
ARN of the session, not of the role.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextvars import ContextVar
from itertools import count
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.services import dynamodb, iam

_EQUAL = re.compile(r"(#?\w+)\s*=\s*(:\w+)")

Keys = dict[str, Any]
_DECISIONS = {"Allow": "allowed", "Deny": "explicitDeny"}
_context_entries: ContextVar[Keys] = ContextVar("context_entries")


def add_condition_keys() -> None:
    """Add the keys to those that ministack derives from every request."""
    original = iam_actions.request_tag_context

    def context(service: str, action: str, body: bytes, parameters: Keys) -> Keys:
        return {**original(service, action, body, parameters), **_keys(service, body)}

    iam_actions.request_tag_context = context
    resolve = iam_evaluator._resolve_condition_key

    def resolved(key: str, call: iam_evaluator.EvalContext) -> Any:
        found = resolve(key, call)
        return _role_arn(found) if key.lower() == "aws:principalarn" else found

    iam_evaluator._resolve_condition_key = resolved


def simulate_with_context_entries() -> None:
    """Replace the functions that read the parameters of a simulation and write its results."""
    original = iam._extract_simulate_params

    def parameters(given: Keys) -> Any:
        _context_entries.set(dict(_entries(given)))
        return original(given)

    iam._extract_simulate_params = parameters
    iam._build_simulate_results_real = _results


def _entries(given: Keys) -> Iterator[tuple[str, Any]]:
    """Yield the condition keys of a simulation, in lower case as the evaluator reads them."""
    for entry in _members(given, "ContextEntries", ".ContextKeyName"):
        key = iam._p(given, f"{entry}.ContextKeyName").lower()
        values = [iam._p(given, each) for each in _members(given, f"{entry}.ContextKeyValues")]
        yield key, values[0] if len(values) == 1 else values


def _members(given: Keys, name: str, field: str = "") -> Iterator[str]:
    """Yield the prefixes of the members of a list in the parameters of a Query request."""
    for number in count(1):
        member = f"{name}.member.{number}"
        if not iam._p(given, f"{member}{field}"):
            return
        yield member


def _results(
    actions: list[str], resource: str, principal: str, account: str, policies: list[Any]
) -> str:
    found = []
    for action in actions:
        call = iam_evaluator.EvalContext(
            principal_arn=principal,
            principal_type="User",
            principal_account=account,
            action=action,
            resource_arn=resource,
            region=iam.get_region(),
            service_context=_context_entries.get(),
        )
        decision = _DECISIONS.get(iam_evaluator.evaluate(call, policies).decision, "implicitDeny")
        found.append(
            f"<member><EvalActionName>{action}</EvalActionName>"
            f"<EvalResourceName>{resource}</EvalResourceName>"
            f"<EvalDecision>{decision}</EvalDecision>"
            "<MatchedStatements></MatchedStatements>"
            "<MissingContextValues></MissingContextValues></member>"
        )
    return "".join(found)


def _role_arn(principal: str) -> str:
    """Return the ARN of the role of a session; the ARN of another principal as it is."""
    if ":assumed-role/" not in principal:
        return principal
    account, name = principal.split(":")[4], principal.split("/")[1]
    role = iam._roles.get_scoped(account, None, name)
    return str(role["Arn"]) if role else principal


def _keys(service: str, body: bytes) -> Keys:
    if service not in ("dynamodb", "events"):
        return {}
    try:
        request = iam_actions.json.loads(body or b"{}")  # the cached result (speed.py)
    except ValueError:
        return {}
    if service == "events":
        return _event_keys(request.get("Entries") or [])
    leading = sorted(set(_leading_keys(request)))
    return {"dynamodb:LeadingKeys": leading} if leading else {}


def _event_keys(entries: list[Keys]) -> Keys:
    names = {"events:source": "Source", "events:detail-type": "DetailType"}
    found = {
        key: sorted({str(e[name]) for e in entries if name in e}) for key, name in names.items()
    }
    return {key: values for key, values in found.items() if values}


def _leading_keys(request: Keys) -> Iterator[str]:
    """Yield the partition keys that a request names, for every operation."""
    for name, batch in (request.get("RequestItems") or {}).items():
        if isinstance(batch, dict):
            partition = _partition_key(name, None)
            yield from (_text(each.get(partition)) for each in batch.get("Keys") or [])
    if "TableName" not in request:
        return
    partition = _partition_key(request["TableName"], request.get("IndexName"))
    row = request.get("Key") or request.get("Item")
    if row and partition in row:
        yield _text(row[partition])
    names = request.get("ExpressionAttributeNames") or {}
    values = request.get("ExpressionAttributeValues") or {}
    for name, value in _EQUAL.findall(request.get("KeyConditionExpression") or ""):
        if names.get(name, name) == partition:
            yield _text(values.get(value))


def _partition_key(table: str, index: str | None) -> str:
    known = dynamodb._tables.get(table.rsplit("/", 1)[-1]) or {}
    schemas = [each for each in known.get("GlobalSecondaryIndexes") or [] if index]
    named = [each["KeySchema"] for each in schemas if each["IndexName"] == index]
    for element in named[0] if named else known.get("KeySchema") or []:
        if element["KeyType"] == "HASH":
            return str(element["AttributeName"])
    return ""


def _text(value: Keys | None) -> str:
    """Return the value of a key without its type."""
    return str(next(iter(value.values()))) if value else ""
